"""What Kubernetes asks: is the process alive, and should it be sent requests."""

import logging
from typing import Any

from flask import Blueprint, Response, g, jsonify

from app.errors import DatabaseUnavailableError
from app.lifecycle import Lifecycle

_log = logging.getLogger("app.health")


def health(lifecycle: Lifecycle, store: Any) -> Blueprint:
    """The probes' routes. `store` is an app.database.Store, or None where no database is configured."""
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def alive() -> Response:
        """Says only that this process answers: a database that is away is no reason to kill pods."""
        return jsonify(status="alive")

    @routes.get("/readyz")
    def ready() -> tuple[Response, int]:
        if lifecycle.draining:
            return jsonify(status="draining"), 503
        if store is None:
            return jsonify(status="ready", database="not configured"), 200
        try:
            store.check()
        except DatabaseUnavailableError as error:
            _log.warning("not ready", extra={"fields": {"reason": error.reason, "request_id": g.request_id}})
            return jsonify(status="database unavailable"), 503
        return jsonify(status="ready", database="reachable"), 200

    return routes
