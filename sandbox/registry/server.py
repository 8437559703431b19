"""Starts and stops the registry on one loopback port, the same after each restart."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.contracts.image_repositories import ImageRepositories
from sandbox.registry.api import create_app
from sandbox.registry.repositories import Repositories
from sandbox.registry.store import RegistryStore
from sandbox.runtime import ports

LOOPBACK = "127.0.0.1"


class Registry:
    """An OCI registry on loopback that stores under `directory`; `owner` owns its repositories.

    The port is bound at construction, because `host` is part of repository URIs while the account
    restores its state. start() registers stored images and serves requests.
    """

    def __init__(self, directory: Path, owner: ImageRepositories) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._owner = owner
        self._store = RegistryStore(directory)
        self._repositories = Repositories(self._store, owner)
        self._socket = _listening(directory / "port", used=bool(self._store.repositories()))
        self._server: BaseWSGIServer | None = None
        # Docker and buildah accept plain HTTP from `localhost`.
        self.host = f"localhost:{self._socket.getsockname()[1]}"
        owner.attach(self.host, directory)

    def start(self) -> str:
        """Register stored images with their repositories and serve; return `host`."""
        self._repositories.restore()
        self._owner.on_removal(self._repositories.reconcile)
        app = create_app(self._store, self._owner)
        port = self._socket.getsockname()[1]
        self._server = make_server(
            LOOPBACK,
            port,
            app,
            threaded=True,
            request_handler=_QuietHandler,
            fd=self._socket.fileno(),
        )
        threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="registry", daemon=True
        ).start()
        return self.host

    def architecture(self, repository: str, reference: str) -> str:
        """Return the architecture in an image's configuration, or "". Raises RegistryError."""
        manifest = json.loads(self._repositories.find(repository, reference).manifest)
        if "config" not in manifest:
            return ""
        return str(
            json.loads(self._store.read(manifest["config"]["digest"])).get("architecture", "")
        )

    def stop(self) -> None:
        """Stop serving and free the port; data stays."""
        self._owner.detach()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self._socket.close()


class _QuietHandler(WSGIRequestHandler):
    """Logs no requests: a layer arrives in hundreds of chunks."""

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
        ports.bind_free_port(lambda free_port: listener.bind((LOOPBACK, free_port)))
    listener.listen(64)
    port_file.write_text(str(listener.getsockname()[1]))
    return listener
