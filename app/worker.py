"""gunicorn's worker for this service: one loop for all clients, and threads only for requests that wait for something.

gunicorn's own threaded worker hands each request to a thread and back, which costs more than answering it, and reads
from clients in those threads: as many slow clients as there are threads stop it. Here one loop reads from and writes to
all clients and waits for none. A request is handled once it has arrived whole: at once in the loop, or by a thread where
the application says that it would have to wait (app.waiting); meanwhile all others are answered. Its stop: app.stopping.

Parsing, limits, the WSGI environment, error answers and signals are gunicorn's. Why, and what it brings:
docs/decisions/a-worker-of-our-own.md. It knows neither TLS nor HTTP/2: both end at the load balancer.
A little over four hundred lines, because a connection's life reads best in one place.
"""

import contextlib
import io
import os
import queue
import re
import selectors
import signal
import socket
import threading
import time
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import InvalidHeader, LimitRequestHeaders
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader

from app.body import LARGEST_BODY
from app.stopping import STOPS, DrainingWorker
from app.waiting import MUST_NOT_WAIT, WouldWaitError

ARRIVAL_SECONDS: Final = 10.0
"""What a client may take from the first byte of a request to its last, and as long again to take the answer."""
LINGER_SECONDS: Final = 2.0
"""How long a connection outlives its last answer, for the client to read it, and the worker's stop, for a last request."""
_AT_ONCE: Final = 1 << 16
_LARGEST_HEAD: Final = 1 << 16
_LARGEST_IN_CHUNKS: Final = 8 * LARGEST_BODY  # the largest body, even if each byte comes as a chunk
_CHUNK_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,16}(?=[\r; \t])")


class _StarvedError(Exception):
    """Everything that has arrived is read, and the request isn't complete."""


class _Arrived(Unreader):  # type: ignore[misc]  # gunicorn is untyped
    """What a client has sent and nobody has read yet."""

    ended = False
    """Whether no more of the request will come, or be waited for."""
    next_chunk = 0
    """Where in a body that comes in chunks the next one begins that has not been looked at."""

    def chunk(self, size_hint: int | None = None) -> bytes:  # noqa: ARG002 -- gunicorn's signature
        """gunicorn's parser and bodies call this when they need more than there is. Empty: nothing more will come."""
        if self.ended:
            return b""
        raise _StarvedError

    def append(self, data: bytes) -> None:
        self.buf.seek(0, os.SEEK_END)
        self.buf.write(data)

    def has_last_chunk(self) -> bool:
        """Whether the chunks are here up to the last one, or to one that is wrong, which gunicorn's parser says better."""
        data: bytes = self.buf.getvalue()
        while (end := data.find(b"\r\n", self.next_chunk)) >= 0:
            size = _CHUNK_SIZE.match(data, self.next_chunk)
            if size is None:
                return True
            if int(size[0], 16) == 0:
                return data.find(b"\r\n\r\n", end) >= 0
            self.next_chunk = end + 2 + int(size[0], 16) + 2
        return False

    def __len__(self) -> int:
        return int(self.buf.getbuffer().nbytes)


class _Request(Request):  # type: ignore[misc]  # as above
    """gunicorn's request, where nobody is believed about who is behind him: that is app.factory's matter."""

    def parse(self, unreader: Any) -> Any:
        """gunicorn's, and what HTTP demands beyond it: exactly one Host, from HTTP/1.1 on (RFC 9112, 3.2)."""
        unused = super().parse(unreader)
        hosts = [name for name, _ in self.headers if name == "HOST"]
        if len(hosts) > 1 or (not hosts and self.version >= (1, 1)):
            raise InvalidHeader("HOST")
        return unused

    def _peer_is_trusted_proxy(self) -> bool:
        return False


class _Outgoing:
    """Stands where gunicorn expects a socket to write to: keeps the answer, so that it can be sent in one piece."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.sendall = self.parts.append

    @staticmethod
    def gettimeout() -> float:
        """For gunicorn's error answers, which make a socket non-blocking that isn't."""
        return 0.0


@lru_cache(maxsize=256)
def _processed(name: str, value: str) -> tuple[list[tuple[str, str]], int | None]:
    """A header by gunicorn's rules, and the body's length if it says one. Most are the same in each answer."""
    response = wsgi.Response(None, None, None)
    response.process_headers([(name, value)])
    return response.headers, response.response_length


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return str(util.http_date(second))


class _Response(wsgi.Response):  # type: ignore[misc]  # as above
    """gunicorn's response, its head made at once, of headers that are looked at once for each different one."""

    headers_sent: bool

    def __init__(self, request: Any, outgoing: _Outgoing, config: Any, worker: "Worker", arrived: _Arrived) -> None:
        super().__init__(request, outgoing, config)
        self._worker, self._arrived = worker, arrived
        self.keep = False

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            kept, length = _processed(name, value)
            self.headers += kept
            if length is not None:
                self.response_length = length

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        self.headers_sent = True
        if self._worker.leaving or _is_to_come(self.req, self._arrived):
            self.force_close()
        self.keep = not self.should_close()
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {_http_date(int(time.time()))}\r\n"
            f"Connection: {'keep-alive' if self.keep else 'close'}\r\n",
            *[f"{name}: {value}\r\n" for name, value in self.headers],
            "Transfer-Encoding: chunked\r\n\r\n" if self.chunked else "\r\n",
        ]
        self.sock.sendall("".join(lines).encode("latin-1"))


def _is_to_come(request: Any, arrived: _Arrived) -> bool:
    """Whether a part of the request's body has not arrived, and so where the next request begins isn't known."""
    reader = request.body.reader
    if arrived.ended:
        return True
    if isinstance(reader, LengthReader):
        return int(reader.length) > len(arrived)
    return reader.parser is not None  # in chunks: their end has not been read


class _Connection:
    """One client."""

    __slots__ = (
        "arrived", "blocked", "busy", "client", "ending", "outgoing", "request", "requests", "server", "since", "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, client: Any, server: Any) -> None:
        self.sock, self.client, self.server = sock, client, server
        self.arrived = _Arrived()
        self.request: Any = None
        """The request whose body is still to come, or that a thread has."""
        self.requests = 0
        self.outgoing = b""
        self.blocked = False
        """The client takes no more of `outgoing` at present."""
        self.busy = False
        """A thread has it."""
        self.ending = False
        """The last answer is made."""
        self.since = time.monotonic()
        """Since when this client is waited for."""


class Worker(DrainingWorker):
    """See the module. It heeds gunicorn's threads, keepalive, worker_connections, timeout, graceful_timeout, limit_*."""

    alive: bool

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # gunicorn looks each setting up by way of two functions: too long for what is asked a dozen times a request.
        self._settings = SimpleNamespace(
            **{name: setting.get() for name, setting in self.cfg.settings.items()}, is_ssl=False
        )
        self._connections: set[_Connection] = set()
        self._jobs: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[_Connection, bytes, bool]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """gunicorn calls this. It returns when the worker was told to stop and has answered what had begun."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        poller = self._poller = selectors.DefaultSelector()
        # gunicorn writes here when a signal comes, and threads do when they have an answer.
        poller.register(self.PIPE[0], selectors.EVENT_READ, (self._woken, self.PIPE[0]))
        for listener in self.sockets:
            listener.setblocking(False)
            poller.register(listener, selectors.EVENT_READ, (self._accept, listener))
        tended, stopped, settled = time.monotonic(), None, False
        while stopped is None or (self._connections and time.monotonic() < stopped + self.cfg.graceful_timeout):
            for key, _ in poller.select(1.0 if stopped is None else 0.1):
                callback, argument = key.data
                callback(argument)
            now = time.monotonic()
            if not self.alive and stopped is None:
                stopped = now
                for listener in self.sockets:
                    poller.unregister(listener)
            if now - tended >= 1.0 or stopped is not None:
                tended = now
                self.notify()
                self._tend(now, stopped)
                if not settled:  # a second after the start: what the first answers need not wait for
                    settled = True
                    self.wsgi.extensions["settle"]()
                if self.ppid != os.getppid():
                    self.log.info("Parent changed, shutting down: %s", self)
                    self.alive = False

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, client = listener.accept()
        except OSError:  # another worker was quicker, or the client has gone
            return
        sock.setblocking(False)
        if len(self._connections) >= self.cfg.worker_connections:
            self._make_room()
        connection = _Connection(sock, client, listener.getsockname())
        self._connections.add(connection)
        self._poller.register(sock, selectors.EVENT_READ, (self._readable, connection))
        self._readable(connection)

    def _make_room(self) -> None:
        """End the connection that has been waited for longest, so that clients who only hold some lock nobody out."""
        idle = [connection for connection in self._connections if not connection.busy]
        if idle:
            self._close(min(idle, key=lambda connection: connection.since))

    def _readable(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data and connection.request is not None:  # in the middle of a body: the application says so
            connection.arrived.ended = True
            self._proceed(connection)
        elif not data:
            self._close(connection)
        elif not connection.ending:  # what comes after the last answer is read only to let the client read that answer
            if connection.request is None and not len(connection.arrived):
                connection.since = time.monotonic()
            connection.arrived.append(data)
            self._proceed(connection)

    def _proceed(self, connection: _Connection) -> None:
        """Answer the requests that have arrived, one after the other, each once the answer before is sent."""
        while not (connection.busy or connection.ending or connection.outgoing):
            if connection.request is None:
                if not len(connection.arrived):
                    return
                try:
                    connection.request = self._parsed(connection)
                except _StarvedError:
                    return
                except Exception as error:  # noqa: BLE001 -- gunicorn sorts them
                    outgoing = _Outgoing()
                    self.handle_error(None, outgoing, connection.client, error)
                    self._answered(connection, b"".join(outgoing.parts), keep=False)
                    return
            if not _is_whole(connection.request, connection.arrived):
                self._ask_for_more(connection)
                return
            try:
                self._answered(connection, *self._answer(connection, may_wait=False))
            except WouldWaitError:
                self._hand_over(connection)

    def _ask_for_more(self, connection: _Connection) -> None:
        """Tell a client that asked before sending a body to go on."""
        if connection.request._expected_100_continue:
            connection.request._expected_100_continue = False
            with contextlib.suppress(OSError):  # gone: reading from it says so, too
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _parsed(self, connection: _Connection) -> Any:
        """The request whose head has arrived. Raises _StarvedError and leaves everything as it was if it hasn't."""
        raw = connection.arrived.buf.getvalue()
        try:
            return _Request(self._settings, connection.arrived, connection.client, connection.requests + 1)
        except _StarvedError:
            if len(raw) > _LARGEST_HEAD:
                raise LimitRequestHeaders("max buffer headers") from None
            connection.arrived.buf = io.BytesIO(raw)
            raise

    def _answer(self, connection: _Connection, *, may_wait: bool) -> tuple[bytes, bool]:
        """The application's answer, and whether the connection stays. Raises WouldWaitError, only if it may not wait."""
        request, outgoing = connection.request, _Outgoing()
        request._expected_100_continue = False  # all of it is here, or the answer comes without it
        try:
            response, environ = wsgi.create(
                request, outgoing, connection.client, connection.server, self._settings,
                response_class=_Response, response_args=(self, connection.arrived),
            )  # fmt: skip
            environ["wsgi.multithread"] = True
            environ[MUST_NOT_WAIT] = not may_wait
            body = self.wsgi(environ, response.start_response)
            try:
                for part in body:
                    response.write(part)
                response.close()
            finally:
                close = getattr(body, "close", None)
                if close is not None:
                    close()
            if response.keep:
                while request.body.read(_AT_ONCE):  # what the application left of it, all of which is here
                    pass
        except WouldWaitError:
            raise
        except Exception as error:  # noqa: BLE001 -- as above
            outgoing.parts.clear()
            self.handle_error(request, outgoing, connection.client, error)
            return b"".join(outgoing.parts), False
        return b"".join(outgoing.parts), response.keep

    def _hand_over(self, connection: _Connection) -> None:
        connection.busy = True
        self._poller.unregister(connection.sock)
        if len(self._threads) < self.cfg.threads:
            self._threads.append(threading.Thread(target=self._wait_and_answer, daemon=True))
            self._threads[-1].start()
        self._jobs.put(connection)

    def _wait_and_answer(self) -> None:
        """A thread's life."""
        while True:
            connection = self._jobs.get()
            answer, keep = self._answer(connection, may_wait=True)
            self._done.put((connection, answer, keep))
            with contextlib.suppress(BlockingIOError):  # full: the loop is awake anyway
                os.write(self.PIPE[1], b".")

    def _woken(self, pipe: int) -> None:
        os.read(pipe, 4096)
        while not self._done.empty():
            connection, answer, keep = self._done.get()
            connection.busy = False
            self._poller.register(connection.sock, selectors.EVENT_READ, (self._readable, connection))
            self._answered(connection, answer, keep)
            self._proceed(connection)

    def _answered(self, connection: _Connection, answer: bytes, keep: bool) -> None:
        connection.request = None
        connection.arrived.next_chunk = 0
        connection.requests += 1
        connection.ending = not keep
        connection.outgoing = answer
        connection.since = time.monotonic()
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        """Send what the client takes now; the rest when it takes more."""
        try:
            sent = connection.sock.send(connection.outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.outgoing = connection.outgoing[sent:]
        if bool(connection.outgoing) is not connection.blocked:
            connection.blocked = not connection.blocked
            if connection.blocked:
                self._poller.modify(connection.sock, selectors.EVENT_WRITE, (self._writable, connection))
            else:
                self._poller.modify(connection.sock, selectors.EVENT_READ, (self._readable, connection))
        if connection.ending and not connection.outgoing:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)

    def _writable(self, connection: _Connection) -> None:
        self._send(connection)
        self._proceed(connection)

    def _tend(self, now: float, stopped: float | None) -> None:
        """End the connections whose clients have had their time."""
        for connection in list(self._connections):
            waited = now - connection.since
            if connection.busy:
                continue
            if connection.outgoing or connection.request is not None or len(connection.arrived):
                over = waited > ARRIVAL_SECONDS
            elif connection.ending:
                over = waited > LINGER_SECONDS
            elif stopped is None:
                over = waited > self.cfg.keepalive
            else:  # its client may be sending a request just now: it gets an answer, and is asked to leave
                over = now - max(connection.since, stopped) > LINGER_SECONDS
            if over and connection.request is not None and not connection.arrived.ended:
                connection.arrived.ended = True  # the body breaks off here: the application says so
                self._proceed(connection)
            elif over:
                self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self._poller.unregister(connection.sock)
            connection.sock.close()
            connection.ending, connection.outgoing = True, b""


def _is_whole(request: Any, arrived: _Arrived) -> bool:
    """Whether the request can be answered: it is here, or so large that the application refuses it without the rest."""
    reader = request.body.reader
    if isinstance(reader, LengthReader):
        if reader.length <= len(arrived):
            return True
        arrived.ended = arrived.ended or reader.length > LARGEST_BODY
    else:  # in chunks
        if arrived.has_last_chunk():
            return True
        arrived.ended = arrived.ended or len(arrived) > _LARGEST_IN_CHUNKS
    return arrived.ended
