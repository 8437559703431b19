"""Puts the service together: `create_app(config)` gives a WSGI application."""

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from flask import Flask, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api import api
from app.config import Config
from app.errors import handle_errors
from app.health import health
from app.lifecycle import Lifecycle
from app.observation import observe
from app.page import page
from app.page_cache import PageCache
from app.security import protect

LARGEST_BODY: Final = 16 * 1024
"""Bytes. The longest entry, four bytes a character and URL-encoded, fits."""


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
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["static_file"] = _addresses(app)

    store: Any = None
    guestbook: Any = None
    if config.database is not None:
        # Imported here: SQLAlchemy takes longer to load than all the rest, and isn't needed without a database.
        from app.database import Store  # noqa: PLC0415
        from app.guestbook import Guestbook  # noqa: PLC0415

        store = Store(config.database, pool_size=config.threads)
        guestbook = Guestbook(store)

    lifecycle = app.extensions["lifecycle"] = Lifecycle()
    observe(app, config)
    protect(app)
    handle_errors(app)
    app.register_blueprint(health(lifecycle, store))
    app.register_blueprint(api(config, guestbook))
    app.register_blueprint(page(config, guestbook))
    app.wsgi_app = PageCache(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way
    if config.trusted_proxies:
        # Without this, what X-Forwarded-* says is ignored: anyone can send those.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=config.trusted_proxies, x_proto=config.trusted_proxies)  # type: ignore[method-assign]  # as above
    return app


def _addresses(app: Flask) -> Any:
    """For the templates: a static file's address with a hash of its content, so that browsers may keep it for ever."""
    folder = Path(app.static_folder or "")
    hashes = {file.name: sha256(file.read_bytes()).hexdigest()[:12] for file in sorted(folder.iterdir())}

    def address(name: str) -> str:
        return url_for("static", filename=name, v=hashes[name])

    return address
