"""Requests lost in rolling restarts under load."""

import http.client
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from bench.processes import service
from bench.row import Row

RESTARTS = 10
CLIENTS = 8
PRE_STOP_SECONDS = 0.5


class Load:
    """Clients with keep-alive connections to the current port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.completed = 0
        self.lost: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._clients = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Stop the clients."""
        self._stop.set()
        for client in self._clients:
            client.join(30)

    def _run(self) -> None:
        port, connection = 0, None
        while not self._stop.is_set():
            if connection is None or port != self.port:
                if connection is not None:
                    connection.close()
                port = self.port
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            failure = _request(connection)
            with self._lock:
                self.completed += failure is None
                if failure is not None:
                    self.lost.append(failure)
            if failure is not None:
                connection.close()
                connection = None


def measure(directory: Path) -> list[Row]:
    """Replace the instance RESTARTS times, as a rolling update does."""
    with ExitStack() as instances:
        port, process = instances.enter_context(service(directory))
        load = Load(port)
        try:
            for _ in range(RESTARTS):
                port, new = instances.enter_context(service(directory))
                load.port = port
                time.sleep(PRE_STOP_SECONDS)
                process.send_signal(signal.SIGTERM)
                process.wait(60)
                process = new
        finally:
            load.stop()
    result = f"{len(load.lost)} of {load.completed + len(load.lost):,}"
    measure_name = f"requests lost in {RESTARTS} rolling restarts under load"
    return [Row(measure_name, result, "", "", "0", not load.lost)]


def _request(connection: http.client.HTTPConnection) -> str | None:
    """Send a request and return the failure, or None."""
    try:
        connection.request("GET", "/api/release")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    return None if response.status == 200 else str(response.status)
