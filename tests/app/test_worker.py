"""The worker that serves all clients from one loop: what slow, hasty and odd clients get, and what others get meanwhile."""

import json
import selectors
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from gunicorn.config import Config

from app import worker
from tests.app.serving import Service, served

GET = b"GET /api/release HTTP/1.1\r\nHost: a\r\n\r\n"
JSON = b"Host: a\r\nContent-Type: application/json\r\n"


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=60)


def answers(raw: socket.socket, count: int) -> list[tuple[bytes, bytes]]:
    """Status line and body of that many answers, each with its length."""
    found = []
    with raw.makefile("rb") as stream:
        for _ in range(count):
            status, length = stream.readline().strip(), 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            found.append((status, stream.read(length)))
    return found


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y",
        b"POST /api/entries HTTP/1.1\r\n" + JSON + b"Content-Length: 10000\r\n\r\n{",
        b"POST /api/entries HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"POST /api/entries HTTP/1.1\r\n" + JSON + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
    ],
    ids=["nothing", "half a line", "half a head", "half a body", "a chunk", "a question"],
)
def test_clients_that_stop_in_mid_request_hold_up_nobody(tmp_path: Path, beginning: bytes) -> None:
    with served(tmp_path) as service, ExitStack() as slow:
        for _ in range(60):
            slow.enter_context(connect(service)).sendall(beginning)
        began = time.monotonic()
        for _ in range(20):
            assert service.get("/api/release").status == 200
        assert time.monotonic() - began < worker.ARRIVAL_SECONDS  # when the slow ones would have been dropped


def test_a_request_that_comes_in_single_bytes_is_answered(tmp_path: Path) -> None:
    with served(tmp_path) as service, connect(service) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in GET:
            raw.sendall(bytes([byte]))
            time.sleep(0.002)
        [(status, body)] = answers(raw, 1)
    assert status == b"HTTP/1.1 200 OK"
    assert json.loads(body)["database"] == "not configured"


def test_requests_sent_at_once_are_answered_in_their_order(tmp_path: Path) -> None:
    requests = [GET, GET.replace(b"/api/release", b"/nowhere"), GET.replace(b"/api/release", b"/livez")]
    with served(tmp_path) as service, connect(service) as raw:
        raw.sendall(b"".join(requests) * 20)
        found = answers(raw, 60)
    expected = [b"HTTP/1.1 200 OK", b"HTTP/1.1 404 NOT FOUND", b"HTTP/1.1 200 OK"]
    assert [status for status, _ in found] == expected * 20
    assert found[-1][1].strip() == b'{"status":"alive"}'


def test_a_client_that_never_reads_holds_up_nobody(tmp_path: Path) -> None:
    with served(tmp_path, APP_WORKERS="1") as service, connect(service) as raw:
        raw.setblocking(False)
        page = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n"
        try:
            for _ in range(20_000):  # 200 MB of answers, far more than the kernel keeps
                raw.send(page)
        except BlockingIOError:
            pass  # the service has stopped reading from it, too
        assert service.get("/api/release").status == 200


def test_a_body_in_chunks_is_read_and_the_connection_stays(tmp_path: Path, database: str) -> None:
    body = json.dumps({"name": "in", "message": "chunks"}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"
    with served(tmp_path, DATABASE_URL=database) as service, connect(service) as raw:
        raw.sendall(b"POST /api/entries HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + chunks[:30])
        time.sleep(0.2)
        raw.sendall(chunks[30:] + GET)
        (created, entry), (next_one, _) = answers(raw, 2)
    assert (created, next_one) == (b"HTTP/1.1 201 CREATED", b"HTTP/1.1 200 OK")
    assert json.loads(entry)["message"] == "chunks"


@pytest.mark.parametrize(
    "chunks", [b"5\r\n{", b"zz\r\n", b"2\r\n{}no", b"-2\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"0" * 99]
)
def test_a_body_in_chunks_that_breaks_off_or_is_wrong_is_the_clients_fault(
    tmp_path: Path, database: str, chunks: bytes
) -> None:
    with served(tmp_path, DATABASE_URL=database) as service, connect(service) as raw:
        raw.sendall(b"POST /api/entries HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_bodies_without_end_are_refused_and_hold_no_thread(tmp_path: Path, database: str) -> None:
    head = b"POST /api/entries HTTP/1.1\r\n" + JSON
    with served(tmp_path, DATABASE_URL=database, APP_WORKERS="1", APP_THREADS="1") as service, ExitStack() as endless:
        for beginning in (
            b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 0x400 + b"\r\n" * 200,
            b"Transfer-Encoding: chunked\r\n\r\n" + b"1000000\r\n" + b" " * 200_000,
            b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
        ):
            raw = endless.enter_context(connect(service))
            raw.sendall(head + beginning)
            assert raw.recv(65536).startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
        for _ in range(8):
            endless.enter_context(connect(service)).sendall(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")
        assert service.post_json("/api/entries", {"name": "in", "message": "between"}).status == 201


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(tmp_path: Path, database: str) -> None:
    body = b'{"name": "a", "message": "b"}'
    with served(tmp_path, DATABASE_URL=database) as service, connect(service) as raw:
        head = JSON + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        raw.sendall(b"POST /api/entries HTTP/1.1\r\n" + head)
        assert raw.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(body)
        assert raw.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_what_an_unread_body_says_is_not_taken_for_a_request(tmp_path: Path) -> None:
    hidden = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with served(tmp_path) as service:
        with connect(service) as raw:
            raw.sendall(head % len(hidden) + hidden + GET)
            found = answers(raw, 2)
        assert [status for status, _ in found] == [b"HTTP/1.1 404 NOT FOUND", b"HTTP/1.1 200 OK"]
        assert b'"alive"' not in found[1][1]
        with connect(service) as raw:  # longer than is kept: the connection ends with the answer
            raw.sendall(head % 100_000 + hidden)
            received = b""
            while part := raw.recv(65536):
                received += part
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in received


@pytest.mark.parametrize(
    "head", [b"GET /livez HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"], ids=["none", "two"]
)
def test_a_request_that_does_not_name_one_host_is_refused(tmp_path: Path, head: bytes) -> None:
    with served(tmp_path) as service, connect(service) as raw:
        raw.sendall(head)
        assert raw.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_an_old_client_and_one_that_asks_for_it_find_the_connection_closed(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        for request in (b"GET /livez HTTP/1.0\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"):
            with connect(service) as raw:
                raw.sendall(request)
                with raw.makefile("rb") as stream:
                    assert b'{"status":"alive"}' in stream.read()


def test_a_head_alone_comes_without_its_body(tmp_path: Path) -> None:
    with served(tmp_path) as service, connect(service) as raw:
        raw.sendall(
            b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n" + GET.replace(b"Host: a", b"Host: a\r\nConnection: close")
        )
        with raw.makefile("rb") as stream:
            received = stream.read()
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b'"alive"' not in received
    assert b"not configured" in received


def test_requests_that_wait_for_the_database_do_not_hold_up_the_others(tmp_path: Path, database: str) -> None:
    with served(tmp_path, DATABASE_URL=database, APP_WORKERS="1") as service, psycopg.connect(database) as blocker:
        assert service.get("/readyz").status == 200
        blocker.execute("LOCK TABLE guestbook_entry")
        waiting = [Thread(target=service.get, args=("/api/entries",)) for _ in range(8)]
        for thread in waiting:
            thread.start()
        deadline = time.monotonic() + 60
        while blocker.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for path in ("/livez", "/api/release", "/metrics", "/livez"):
            assert service.get(path).status == 200
        # Two at a time give up after three seconds: the last of them haven't been answered yet.
        assert any(thread.is_alive() for thread in waiting)
        blocker.rollback()
        for thread in waiting:
            thread.join(60)
        assert service.get("/api/entries").status == 200


def test_a_silent_client_is_dropped_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the worker itself, since the limit is not a setting."""
    quiet = worker.Worker(0, 0, [], None, 30, Config(), None)
    here, there = socket.socketpair()
    monkeypatch.setattr(quiet, "_poller", selectors.DefaultSelector(), raising=False)
    with here:
        connection = worker._Connection(there, ("127.0.0.1", 1), ("127.0.0.1", 2))
        quiet._connections.add(connection)
        quiet._poller.register(there, selectors.EVENT_READ)
        connection.arrived.append(b"GET / HT")
        quiet._tend(connection.since + worker.ARRIVAL_SECONDS - 1, None)
        assert quiet._connections
        quiet._tend(connection.since + worker.ARRIVAL_SECONDS + 1, None)
        assert not quiet._connections
        assert here.recv(1) == b""
