"""Puts the service together: `create_app(config)` gives a WSGI application."""

from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api import api
from app.body import LARGEST_BODY
from app.config import Config
from app.errors import handle_errors
from app.health import health
from app.lifecycle import Lifecycle
from app.observation import observe
from app.page import page
from app.page_cache import PageCache
from app.security import protect
from app.templating import set_up_templates
from app.waiting import Waiting


def create_app(config: Config) -> Flask:
    """The application. Opens no connection and starts no thread, so gunicorn may fork after it."""
    app = Flask("app", static_url_path="/static")
    app.config.update(
        DEBUG=False,
        TESTING=False,
        PROPAGATE_EXCEPTIONS=False,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        SEND_FILE_MAX_AGE_DEFAULT=365 * 24 * 3600,  # safe: the address of a static file changes with its content
    )
    set_up_templates(app)

    store: Any = None
    guestbook: Any = None
    if config.database is not None:
        # Imported here: SQLAlchemy takes longer to load than all the rest, and isn't needed without a database.
        from app.database import Store  # noqa: PLC0415
        from app.guestbook import Guestbook  # noqa: PLC0415

        store = Store(config.database, pool_size=config.threads)
        guestbook = Guestbook(store)

    lifecycle = app.extensions["lifecycle"] = Lifecycle(config.drain_seconds)
    observe(app, config)
    protect(app)
    handle_errors(app)
    app.register_blueprint(health(lifecycle, store))
    app.register_blueprint(api(config, guestbook))
    app.register_blueprint(page(config, guestbook))
    if store is not None:
        app.wsgi_app = Waiting(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way
    app.wsgi_app = PageCache(app.wsgi_app)  # type: ignore[method-assign]  # as above
    if config.trusted_proxies:
        # Without this, what X-Forwarded-* says is ignored: anyone can send those.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=config.trusted_proxies, x_proto=config.trusted_proxies)  # type: ignore[method-assign]  # as above
    return app
