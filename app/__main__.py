"""Serves: `python3 -m app`. It is gunicorn with gunicorn.conf.py beside this file, without gunicorn's command line."""

import gc
import importlib
import sys

if sys.flags.no_site:  # -S saves Python's search for site packages; this alone of it is wanted (app/bundle.py)
    importlib.import_module("sitecustomize")

# What is imported stays: looking for garbage in it meanwhile makes the start a tenth longer. Workers enable it again.
gc.disable()

from pathlib import Path  # noqa: E402 -- all of them after that line
from typing import Any  # noqa: E402

from gunicorn.app.base import Application  # noqa: E402


class Service(Application):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn's application object. Asking for options of its command line takes as long as the whole application."""

    def load_config(self) -> None:
        """Read the settings."""
        self.load_config_from_file(str(Path(__file__).with_name("gunicorn.conf.py")))

    def load(self) -> Any:
        """Import the application."""
        from app.wsgi import application  # noqa: PLC0415 -- gunicorn says when

        return application


if __name__ == "__main__":
    Service().run()
