"""Creates the application: `create_app(config)` returns the Flask app."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from flask import Flask, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from app import errors, health, security, telemetry
from app.config import Config, load
from app.db.engine import Engine
from app.guestbook import api, page, parsing
from app.guestbook.store import Guestbook

MAX_BODY_BYTES = 16 * 1024
YEAR_SECONDS = 365 * 24 * 3600


def create_app(config: Config | None = None) -> Flask:
    """Return the application, configured from the environment by default."""
    config = config or load()
    app = Flask("app")
    app.config.update(
        DEBUG=False,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=YEAR_SECONDS,  # the URL of a static file has its hash
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    @cache
    def digest(name: str) -> str:
        return sha256((Path(app.static_folder or "") / name).read_bytes()).hexdigest()[:12]

    @app.template_global()
    def static_file(name: str) -> str:
        return url_for("static", filename=name, v=digest(name))

    engine = Engine(config.database, pool_size=config.threads) if config.database else None
    guestbook = Guestbook(engine) if engine else None
    telemetry.init_app(app, config)
    security.init_app(app)
    errors.init_app(app)
    parsing.init_app(app, config.threads)
    app.register_blueprint(health.blueprint(engine))
    app.register_blueprint(api.blueprint(config, guestbook))
    app.register_blueprint(page.blueprint(config, guestbook))
    if proxies := config.trusted_proxies:  # without, anyone could set X-Forwarded-*
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    return app
