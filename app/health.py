"""Probes: /livez answers while the process runs, /readyz while the database is usable."""

import logging

from flask import Blueprint, Response, jsonify

from app.db.engine import Engine
from app.errors import DatabaseUnavailableError

_log = logging.getLogger("app.health")


def blueprint(engine: Engine | None) -> Blueprint:
    """Return the probes' routes; `engine` is None without a database."""
    routes = Blueprint("health", __name__)

    @routes.get("/livez")
    def live() -> Response:
        """Succeed without the database: restarting a pod does not bring it back."""
        return jsonify(status="alive")

    @routes.get("/readyz")
    def ready() -> tuple[Response, int]:
        if engine is None:
            return jsonify(status="ready", database="not configured"), 200
        try:
            engine.check()
        except DatabaseUnavailableError as error:
            _log.warning("not ready", extra={"reason": str(error)})
            return jsonify(status="database unavailable"), 503
        return jsonify(status="ready", database="reachable"), 200

    return routes
