"""The registry as a thing that is started and stopped: one loopback port, the same after every restart."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.contracts.image_repositories import RepositoryRules
from sandbox.registry.api import create_app
from sandbox.registry.repositories import Holdings
from sandbox.registry.store import Store
from sandbox.runtime import ports

LOOPBACK = "127.0.0.1"


class Registry:
    """An OCI registry on loopback, storing under `directory`, whose repositories belong to `rules`.

    The port is taken when the object is made, so that `host` can be part of repository URIs while the account still
    restores itself; images are handed back to their repositories, and requests answered, from start() on.
    """

    def __init__(self, directory: Path, repositories: RepositoryRules) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._rules = repositories
        self._store = Store(directory)
        self._holdings = Holdings(self._store, repositories)
        self._socket = _listening(directory / "port", used=bool(self._store.repositories()))
        self._server: BaseWSGIServer | None = None
        # `localhost`, not the address: Docker and buildah take plain HTTP from both, and people can read it.
        self.host = f"localhost:{self._socket.getsockname()[1]}"
        repositories.attach(self.host, directory)

    def start(self) -> str:
        """Hand stored images back to their repositories, then serve. Returns `host`, "localhost:PORT"."""
        self._holdings.restore()
        self._rules.watch(self._holdings.settle)
        app = create_app(self._store, self._rules)
        port = self._socket.getsockname()[1]
        self._server = make_server(
            LOOPBACK, port, app, threaded=True, request_handler=_QuietHandler, fd=self._socket.fileno()
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="registry", daemon=True).start()
        return self.host

    def architecture(self, repository: str, reference: str) -> str:
        """The CPU that an image's configuration names (amd64, arm64; "" where it names none). Raises RefusedError."""
        manifest = json.loads(self._holdings.find(repository, reference).manifest)
        if "config" not in manifest:
            return ""
        return str(json.loads(self._store.read(manifest["config"]["digest"])).get("architecture", ""))

    def stop(self) -> None:
        """Answer no more requests and free the port; the data stays."""
        self._rules.detach()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._socket.close()


class _QuietHandler(WSGIRequestHandler):
    """Serves without a line on stderr per request: layers come in hundreds of chunks."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        del code, size


def _listening(port_file: Path, *, used: bool) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port = ports.read_port(port_file)
    try:
        listener.bind((LOOPBACK, port))
    except OSError:
        if used:
            listener.close()
            raise ports.PortTakenError(port, "the image references") from None
        ports.bind_free_port(lambda another: listener.bind((LOOPBACK, another)))
    listener.listen(64)
    port_file.write_text(str(listener.getsockname()[1]))
    return listener
