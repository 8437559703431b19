"""The service under gunicorn: probes, metrics, logs, hostile requests, and a stop that loses nothing."""

import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.worker import ARRIVAL_SECONDS
from tests.app.serving import ROOT, Service, send, served


def wait_until_draining(service: Service) -> None:
    deadline = time.monotonic() + 60
    while service.get("/readyz").status != 503:
        assert time.monotonic() < deadline, "it never began to drain"
        time.sleep(0.02)


def test_probes_page_and_health_check_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app import healthcheck

    with served(tmp_path, APP_VERSION="9.9.9") as service:
        assert service.get("/livez").json() == {"status": "alive"}
        assert service.get("/readyz").status == 200
        assert b"9.9.9" in service.get("/").body
        monkeypatch.setenv("APP_PORT", str(service.port))
        assert healthcheck.main() == 0
    assert healthcheck.main() == 1


def test_metrics_add_up_over_all_workers(tmp_path: Path) -> None:
    with served(tmp_path, APP_WORKERS="3", APP_VERSION="9.9.9") as service:
        for _ in range(60):
            service.get("/api/release")
        counted = 'app_http_request_seconds_count{method="GET",route="/api/release",status="200"} 60.0'
        deadline = time.monotonic() + 60
        # A worker that has just started brings in within a second what it has counted.
        while counted not in (metrics := service.get("/metrics").body.decode()):
            assert time.monotonic() < deadline, metrics
            time.sleep(0.1)
    assert 'version="9.9.9"} 1.0' in metrics
    # A route that isn't there must not become a label of its own.
    assert "unmatched" not in metrics


def test_every_log_line_is_json_and_forged_lines_stay_inside_theirs(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        service.get("/nowhere%0A%7B%22level%22:%22forged%22%7D", **{"X-Request-Id": "request-0001"})
        service.get("/livez")
        lines = service.lines()
    (mine,) = [line for line in lines if line.get("request_id") == "request-0001"]
    assert (mine["status"], mine["method"], mine["path"]) == (404, "GET", '/nowhere\n{"level":"forged"}')
    assert not [line for line in lines if line.get("path") == "/livez"]
    assert {line["level"] for line in lines} == {"info"}


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 70 + b"\r\n", 431),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 404),
    ],
)
def test_a_hostile_request_gets_an_error_and_the_next_one_an_answer(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    with served(tmp_path) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
            raw.sendall(request_bytes)
            first = raw.recv(65536)
        assert first.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Traceback" not in first
        assert service.get("/livez").status == 200


def test_a_body_too_large_is_refused_with_or_without_its_length(tmp_path: Path, database: str) -> None:
    with served(tmp_path, DATABASE_URL=database) as service:
        large = b"x" * 100_000
        assert service.request("POST", "/api/entries", large, {"Content-Type": "application/json"}).status == 413
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        chunks = iter([b"x" * 10_000] * 3)
        connection.request("POST", "/api/entries", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert service.get("/api/entries").json()["entries"] == []


def test_on_sigterm_it_says_unready_still_serves_and_asks_clients_to_leave(tmp_path: Path) -> None:
    with served(tmp_path, APP_DRAIN_SECONDS="6", APP_WORKERS="1") as service:
        kept = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        assert send(kept, "GET", "/livez").headers["connection"] == "keep-alive"
        service.terminate()
        wait_until_draining(service)
        # A connection from before is answered and closed; a new one is still taken.
        assert send(kept, "GET", "/livez").headers["connection"] == "close"
        assert service.get("/").status == 200
        assert service.process.wait(60) == 0
        with pytest.raises(ConnectionRefusedError):
            service.get("/livez")
        assert not [line for line in service.lines() if line["level"] in ("error", "critical")]


def test_a_request_under_way_at_sigterm_is_answered_and_its_entry_kept(tmp_path: Path, database: str) -> None:
    with served(tmp_path, APP_DRAIN_SECONDS="0.2", DATABASE_URL=database) as service:
        assert service.get("/readyz").status == 200
        body = json.dumps({"name": "late", "message": "sent in two parts"}).encode()
        head = (
            "POST /api/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow:
            slow.sendall(head + body[:10])
            time.sleep(0.3)
            service.terminate()
            time.sleep(1.5)  # the drain is over: gunicorn waits for this request alone
            assert service.process.poll() is None
            slow.sendall(body[10:])
            answer = slow.recv(65536)
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert service.process.wait(60) == 0
    with served(tmp_path, DATABASE_URL=database) as service:
        assert [entry["name"] for entry in service.get("/api/entries").json()["entries"]] == ["late"]


def reconnecting_clients(service: Service, number: int) -> tuple[list[threading.Thread], Counter[str]]:
    """Clients that ask once on each connection, and come back at once to the only instance until it refuses them."""
    outcomes: Counter[str] = Counter()

    def client() -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                return  # never accepted: it has stopped
            try:
                outcomes[str(send(connection, "GET", "/api/release").status)] += 1
            except (OSError, http.client.HTTPException) as error:
                outcomes[repr(error)] += 1
            connection.close()

    clients = [threading.Thread(target=client) for _ in range(number)]
    for thread in clients:
        thread.start()
    deadline = time.monotonic() + 60
    while sum(outcomes.values()) < 50:
        assert time.monotonic() < deadline, outcomes
        time.sleep(0.05)
    return clients, outcomes


@pytest.mark.parametrize("drain_seconds", ["0", "0.5", "1"])
def test_a_stop_under_load_loses_no_connection_that_was_accepted(tmp_path: Path, drain_seconds: str) -> None:
    with served(tmp_path, APP_DRAIN_SECONDS=drain_seconds) as service:
        clients, outcomes = reconnecting_clients(service, 16)
        service.terminate()
        for client in clients:
            client.join(120)
        assert service.process.wait(60) == 0
    assert list(outcomes) == ["200"]


def test_a_reload_under_load_replaces_the_workers_and_loses_nothing(tmp_path: Path) -> None:
    with served(tmp_path, APP_DRAIN_SECONDS="0.5", APP_WORKERS="1") as service:
        clients, outcomes = reconnecting_clients(service, 8)
        service.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while "Worker exiting" not in service.log_file.read_text():  # the old worker, after its drain
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.5)
        assert service.get("/readyz").status == 200
        service.terminate()
        for client in clients:
            client.join(120)
    assert list(outcomes) == ["200"]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Length: 90\r\n\r\n{",
        b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",  # and then doesn't close its own side
    ],
    ids=["silent", "half a head", "half a body", "a huge body that never comes", "never closes"],
)
def test_clients_that_stall_keep_nobody_else_waiting(tmp_path: Path, sent: bytes) -> None:
    with served(tmp_path) as service, ExitStack() as open_until_the_end:
        for _ in range(40):  # ten times as many as there are threads
            stalled = open_until_the_end.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            stalled.sendall(sent)
        time.sleep(0.2)
        # Less than those clients are given: nobody is answered only because they have been dropped.
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=ARRIVAL_SECONDS - 1)
        assert [send(connection, "GET", "/livez").status for _ in range(5)] == [200] * 5


def test_a_body_that_trickles_in_by_chunks_is_cut_off_and_its_client_told(tmp_path: Path, database: str) -> None:
    with served(tmp_path, DATABASE_URL=database) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as slow:
            slow.sendall(
                b"POST /api/entries HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
            )
            assert slow.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert "Traceback" not in service.log_file.read_text()
        assert service.get("/api/entries").json()["entries"] == []


def test_a_stop_while_a_worker_is_starting_reaches_it(tmp_path: Path) -> None:
    settings = tmp_path / "slow.conf.py"
    settings.write_text(
        f"import time\nfrom pathlib import Path\nexec(Path({str(ROOT / 'app' / 'gunicorn.conf.py')!r}).read_text())\n"
        "forked = post_fork\ndef post_fork(server, worker):\n    time.sleep(1)\n    forked(server, worker)\n"
    )
    with served(
        tmp_path, "-m", "gunicorn", "-c", str(settings), APP_WORKERS="1", APP_DRAIN_SECONDS="0", PYTHONPATH=str(ROOT)
    ) as service:
        deadline = time.monotonic() + 60
        while "Booting worker" not in service.log_file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
    # If it missed the signal, it was killed without a word when the time for a graceful stop was over.
    assert "Worker exiting" in service.log_file.read_text()
