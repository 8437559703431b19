"""How the pages' templates are set up, and the image's store of compiled ones: compiling takes a tenth of the start.

`python3 -m app.templating FOLDER` fills that store. What is in it is bound to its template's text and to Python's
version; anything else is compiled when it is first used.
"""

import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from flask import Flask, url_for
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

COMPILED: Final = Path("/opt/templates")


class _Store(BytecodeCache):
    def __init__(self, folder: Path, *, fill: bool) -> None:
        self._folder, self._fill = folder, fill

    def get_cache_key(self, name: str, filename: str | None = None) -> str:  # noqa: ARG002 -- Jinja's signature
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        try:
            with (self._folder / bucket.key).open("rb") as file:
                bucket.load_bytecode(file)
        except OSError:
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        if self._fill:
            with (self._folder / bucket.key).open("wb") as file:
                bucket.write_bytecode(file)


def set_up_templates(app: Flask, compiled: Path = COMPILED, *, fill: bool = False) -> None:
    """Blocks leave no blank lines; `static_file(name)` is an address that browsers may keep for ever."""
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["static_file"] = _addresses(app)
    app.jinja_env.bytecode_cache = _Store(compiled, fill=fill)


def _addresses(app: Flask) -> Any:
    """A static file's address with a hash of its content."""
    folder = Path(app.static_folder or "")

    def address(name: str) -> str:
        return url_for("static", filename=name, v=sha256((folder / name).read_bytes()).hexdigest()[:12])

    return address


def main() -> None:
    """Compile every template into the folder that is named."""
    app = Flask("app")
    set_up_templates(app, Path(sys.argv[1]), fill=True)
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)


if __name__ == "__main__":
    main()
