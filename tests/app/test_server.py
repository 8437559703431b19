"""The running server: probes, metrics, logs, invalid requests, shutdown, restarts under load."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.app.service_process import Service, running, send

POST = b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
ENTRY = json.dumps({"name": "Ada", "message": "complete"}).encode()


def test_probes_and_page_answer(tmp_path: Path) -> None:
    with running(tmp_path, APP_VERSION="9.9.9") as service:
        assert service.get("/livez").json() == {"status": "alive"}
        assert service.get("/readyz").status == 200
        assert b"9.9.9" in service.get("/").body


def test_metrics_are_summed_over_workers(tmp_path: Path) -> None:
    with running(tmp_path, APP_WORKERS="3", APP_VERSION="9.9.9") as service:
        for _ in range(60):
            service.get("/api/release")
        metrics = service.get("/metrics").body.decode()
    labels = 'method="GET",route="/api/release",status="200"'
    assert f"app_http_request_seconds_count{{{labels}}} 60.0" in metrics
    assert 'version="9.9.9"} 1.0' in metrics


def test_log_lines_are_json_and_cannot_be_forged(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = "/nowhere%0A%7B%22level%22:%22forged%22%7D"
        service.get(path, **{"X-Request-Id": "request-0001"})
        service.get("/livez")
        records = service.log_records()
    (record,) = [item for item in records if item.get("request_id") == "request-0001"]
    assert (record["status"], record["method"]) == (404, "GET")
    assert record["path"] == '/nowhere\n{"level":"forged"}'
    assert not [item for item in records if item.get("path") == "/livez"]
    assert {item["level"] for item in records} <= {"info", "warning"}


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 404),
    ],
)
def test_invalid_request_is_refused_and_the_next_is_served(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    with running(tmp_path) as service:
        response = exchange(service, request_bytes)
        assert response.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Traceback" not in response
        assert service.get("/livez").status == 200


def exchange(service: Service, request: bytes, *, half_close: bool = False) -> bytes:
    """Send raw bytes and return the response; b"" if the server closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
        try:
            raw.sendall(request)
            if half_close:
                raw.shutdown(socket.SHUT_WR)
            return raw.recv(65536)
        except ConnectionError:
            return b""


def test_too_large_and_chunked_bodies_are_refused(tmp_path: Path, database: str) -> None:
    with running(tmp_path, DATABASE_URL=database) as service:
        headers = {"Content-Type": "application/json"}
        response = service.request("POST", "/api/entries", b"x" * 20_000, headers)
        assert response.status == 413
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("POST", "/api/entries", iter([ENTRY]), headers, encode_chunked=True)
        assert connection.getresponse().status == 411
        connection.close()
        assert service.get("/api/entries").json()["entries"] == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        POST + b"Content-Length: 100\r\n\r\n",
        POST + b"Content-Length: 100\r\n\r\n" + ENTRY,
        POST + b"Content-Length: 100\r\n\r\n" + ENTRY[:10],
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(ENTRY), ENTRY),
        POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n" % (len(ENTRY), ENTRY),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 100\r\n\r\nname=Ada&message=cut",
    ],
    ids=[
        "no body",
        "complete JSON of a longer body",
        "part of the JSON",
        "no chunk",
        "part of a chunk",
        "no last chunk",
        "incomplete last chunk",
        "part of the form",
    ],
)
@pytest.mark.parametrize("half_close", [True, False])
def test_truncated_request_is_not_stored(
    tmp_path: Path, database: str, request_bytes: bytes, half_close: bool
) -> None:
    with running(tmp_path, DATABASE_URL=database) as service:
        if half_close:
            response = exchange(service, request_bytes, half_close=True)
            status = b"411" if b"chunked" in request_bytes else b"400"
            assert response.startswith(b"HTTP/1.1 " + status), response
            assert b"\r\nx-request-id: " in response
            assert b"\r\nx-content-type-options: nosniff" in response
        else:  # the client disconnects
            with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
                raw.sendall(request_bytes)
            time.sleep(0.3)
        assert service.get("/api/entries").json()["entries"] == []
        assert "Traceback" not in service.log_file.read_text()


@pytest.mark.parametrize("head", [b"", b"POST /api/entries HTTP/1.1\r\nHost"])
def test_request_without_complete_headers_is_closed(tmp_path: Path, head: bytes) -> None:
    with running(tmp_path) as service:
        assert exchange(service, head, half_close=True) == b""
        assert service.get("/livez").status == 200


def test_clients_with_stalled_bodies_block_no_probe_and_no_page(
    tmp_path: Path, database: str
) -> None:
    with running(tmp_path, DATABASE_URL=database) as service, ExitStack() as stack:
        head = POST + f"Content-Length: {len(ENTRY)}\r\n\r\n".encode()
        stalled = []
        for _ in range(20):
            address = ("127.0.0.1", service.port)
            client = stack.enter_context(socket.create_connection(address, timeout=60))
            client.sendall(head + ENTRY[:10])
            stalled.append(client)
            time.sleep(0.01)  # requests get their threads in this order
        for path in ("/livez", "/readyz", "/", "/api/entries") * 2:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
            assert send(connection, "GET", path).status == 200
        response = service.post_json("/api/entries", {"name": "Bob", "message": "hello"})
        assert (response.status, response.headers["retry-after"]) == (503, "5")
        stalled[0].sendall(ENTRY[10:])
        assert stalled[0].recv(65536).startswith(b"HTTP/1.1 201 ")
        time.sleep(0.1)
        response = service.post_json("/api/entries", {"name": "Bob", "message": "hello"})
        assert response.status == 201


def test_request_in_progress_at_sigterm_is_answered(tmp_path: Path, database: str) -> None:
    with running(tmp_path, DATABASE_URL=database) as service:
        head = POST + f"Content-Length: {len(ENTRY)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow:
            slow.sendall(head + ENTRY[:10])
            time.sleep(0.3)
            service.terminate()
            time.sleep(1)
            assert service.process.poll() is None
            slow.sendall(ENTRY[10:])
            response = slow.recv(65536)
        assert response.startswith(b"HTTP/1.1 201 ")
        assert service.process.wait(60) == 0
    with running(tmp_path, DATABASE_URL=database) as service:
        entries = service.get("/api/entries").json()["entries"]
        assert [entry["name"] for entry in entries] == ["Ada"]


def test_rolling_restarts_under_load_lose_no_request(tmp_path: Path) -> None:
    """Replace the instance as a Deployment does: new one ready, then traffic, then SIGTERM."""
    outcomes: Counter[str] = Counter()
    done = threading.Event()
    with ExitStack() as stack:
        current = [stack.enter_context(running(tmp_path))]

        def client() -> None:
            while not done.is_set():
                service = current[0]
                try:
                    outcomes[str(service.get("/api/release").status)] += 1
                except (OSError, http.client.HTTPException) as error:
                    outcomes[repr(error)] += 1

        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        for _ in range(3):
            old, current[0] = current[0], stack.enter_context(running(tmp_path))
            time.sleep(0.5)  # the pod's preStop hook
            old.terminate()
            assert old.process.wait(60) == 0
        done.set()
        for thread in clients:
            thread.join(60)
    assert list(outcomes) == ["200"]


def test_clients_with_incomplete_headers_do_not_block_others(tmp_path: Path) -> None:
    with running(tmp_path) as service, ExitStack() as stack:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n") * 20:
            address = ("127.0.0.1", service.port)
            stalled = stack.enter_context(socket.create_connection(address))
            stalled.sendall(sent)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
        assert [send(connection, "GET", "/livez").status for _ in range(5)] == [200] * 5
