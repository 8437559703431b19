"""The service: a release page and a guestbook. `app.factory.create_app` builds it from what `app.config.load` reads."""

# Nothing is imported here: gunicorn.conf.py must read the configuration before prometheus_client is first imported.
