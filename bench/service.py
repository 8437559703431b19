"""Measures the service against `python app.py` as in the seed, side by side in one run, on the same cores.

    python -m bench.service [--load-seconds 600]     prints the rows and writes them into docs/benchmarks.md

Needs wrk (Debian's package). Each number is the median of rounds that take turns, so that what else the machine does
falls on both. The load with a restart runs for 20 s unless told otherwise; the issue's bar is --load-seconds 600.
"""
# ruff: noqa: RUF001 -- the multiplication sign is meant

import argparse
import datetime
import http.client
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MARKS = ("<!-- service: begin -->", "<!-- service: end -->")
ROUNDS = 3
CONNECTIONS = 16
SEED = """import sys
from flask import Flask

app = Flask(__name__)


@app.route("/")
def hello():
    return "Hello, World!"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]))
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int, path: str = "/") -> bool:
    """Whether a request gets a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def running(kind: str, folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The seed or the service on a port, and the seconds from its start to its first good answer."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("APP_", "DATABASE_"))
    }
    if kind == "seed":
        (folder / "app.py").write_text(SEED)
        command = [sys.executable, str(folder / "app.py"), str(port)]
    else:
        command = [sys.executable, "-m", "app"]
        environment |= {"APP_BIND": "127.0.0.1", "APP_PORT": str(port), "APP_DRAIN_SECONDS": "2"}
    with (folder / f"{kind}-{port}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            while not answers(port):
                if process.poll() is not None or time.perf_counter() - began > 30:
                    raise SystemExit(f"The {kind} did not start: see {log.name}")
                time.sleep(0.005)
            yield process, time.perf_counter() - began
        finally:
            # The quickest end of each. Not SIGINT for the seed: a shell that starts us in the background has it ignored.
            process.send_signal(signal.SIGTERM if kind == "seed" else signal.SIGQUIT)
            process.wait(30)


def wrk(port: int, seconds: int, path: str = "/") -> tuple[float, float]:
    """Requests per second and the 99th percentile in milliseconds. Answers other than 2xx stop the benchmark."""
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        f"http://127.0.0.1:{port}{path}",
    ]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate, p99 = (
        re.search(r"Requests/sec:\s+([\d.]+)", out),
        re.search(r"99%\s+([\d.]+)(us|ms|s)", out),
    )
    if rate is None or p99 is None or "Non-2xx" in out:
        raise SystemExit(f"wrk found failures or said nothing:\n{out}")
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


@dataclass
class Load:
    """What clients saw. They do as a cluster's do: new connections go to the pods that were ready half a second ago."""

    ports: list[int]
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    refused: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, number: int) -> None:
        """Requests one after the other on kept connections, until told to stop."""
        connection: http.client.HTTPConnection | None = None
        turn = number
        while not self.stop.is_set():
            if connection is None:
                turn += 1
                ports = self.ports
                connection = http.client.HTTPConnection(
                    "127.0.0.1", ports[turn % len(ports)], timeout=20
                )
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    with self.lock:
                        self.refused += 1
                    connection = None
                    time.sleep(0.01)
                    continue
            try:
                connection.request("GET", "/api/release")
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.failed.append(repr(error))
                connection = None
                continue
            with self.lock:
                self.answered += 1
                if response.status != 200:
                    self.failed.append(str(response.status))
            if response.will_close:
                connection.close()
                connection = None


def load_with_restart(folder: Path, seconds: float) -> Load:
    """A load on one process; in the middle another takes its place, as in a rolling update."""
    old_port, new_port = free_port(), free_port()
    with running("service", folder, old_port) as (old, _):
        load = Load([old_port])
        clients = [threading.Thread(target=load.client, args=(number,)) for number in range(8)]
        for client in clients:
            client.start()
        time.sleep(seconds / 2)
        with running("service", folder, new_port):
            load.ports = [old_port, new_port]
            old.send_signal(signal.SIGTERM)
            time.sleep(
                0.5
            )  # an old pod is still in the load balancer's list when it has begun to stop
            load.ports = [new_port]
            old.wait(60)
            time.sleep(seconds / 2)
            load.stop.set()
            for client in clients:
                client.join(30)
    return load


def machine() -> str:
    """What the numbers were taken on."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average at the start {os.getloadavg()[0]:.1f}"
    )


def measure(seconds: int, load_seconds: float) -> tuple[str, bool]:
    """Run everything; the section for docs/benchmarks.md, and whether every bar is met."""
    where = machine()
    rates: dict[str, list[float]] = {"seed": [], "service": []}
    tails: dict[str, list[float]] = {"seed": [], "service": []}
    starts: dict[str, list[float]] = {"seed": [], "service": []}
    uncached: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-service-") as name:
        folder = Path(name)
        for _ in range(ROUNDS):
            for kind in ("seed", "service"):
                port = free_port()
                with running(kind, folder, port):
                    rate, tail = wrk(port, seconds)
                    rates[kind].append(rate)
                    tails[kind].append(tail)
                    if kind == "service":
                        uncached.append(wrk(port, seconds, "/api/release")[0])
        for _ in range(7):
            for kind in ("seed", "service"):
                with running(kind, folder, free_port()) as (_, took):
                    starts[kind].append(took)
        load = load_with_restart(folder, load_seconds)
    middle = {
        kind: (
            statistics.median(rates[kind]),
            statistics.median(tails[kind]),
            statistics.median(starts[kind]),
        )
        for kind in rates
    }
    (seed_rate, seed_tail, seed_start), (rate, tail, start) = middle["seed"], middle["service"]
    rows = [
        ("requests a second, the page, no database", f"{rate:,.0f}", f"{seed_rate:,.0f}", f"{rate / seed_rate:.1f} ×", "≥ 5 ×", rate >= 5 * seed_rate),
        ("requests a second, /api/release, which is never kept", f"{statistics.median(uncached):,.0f}", f"{seed_rate:,.0f}", f"{statistics.median(uncached) / seed_rate:.1f} ×", "none", None),
        ("99th percentile of the page, ms", f"{tail:.1f}", f"{seed_tail:.1f}", f"{tail / seed_tail:.2f} ×", "none", None),
        ("process start to first good answer, s", f"{start:.2f}", f"{seed_start:.2f}", f"{start / seed_start:.2f} ×", "none; the container's is measured above", None),
        (f"{load_seconds:g} s of load with a restart in the middle", f"{load.answered:,} answered, {len(load.failed)} failed, {load.refused} refused", "", "", "no accepted request fails", not load.failed),
    ]  # fmt: skip
    verdict = {True: "yes", False: "**no**", None: ""}
    lines = [
        "## The service against `python app.py`",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {where}. wrk, 1 thread, {CONNECTIONS} kept connections, {ROUNDS} rounds of {seconds} s in turn, medians;"
        " the load generator shares the cores with both. The service's page is kept for a second in each worker and every"
        " request is logged, counted and given its id; the seed's answers `Hello, World!` and logs a line. `python -m bench.service` writes this section.",
        "",
        "| what | service | seed | ratio | bar | met |",
        "|---|---|---|---|---|---|",
        *(
            f"| {what} | {ours} | {seed} | {ratio} | {bar} | {verdict[met]} |"
            for what, ours, seed, ratio, bar, met in rows
        ),
    ]
    if load.failed:
        lines += ["", f"First failures: {load.failed[:3]}"]
    return "\n".join(lines), all(row[-1] is not False for row in rows)


def write(section: str) -> None:
    """Put the section between its marks, leaving what others wrote."""
    text = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    block = f"{MARKS[0]}\n{section}\n{MARKS[1]}"
    if MARKS[0] in text:
        before, _, rest = text.partition(MARKS[0])
        text = before + block + rest.partition(MARKS[1])[2]
    else:
        text = text.rstrip("\n") + f"\n\n{block}\n"
    DOCUMENT.write_text(text)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=4, help="of each round of wrk")
    parser.add_argument(
        "--load-seconds",
        type=float,
        default=20,
        help="of the load with a restart (600 for the bar)",
    )
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    section, met = measure(arguments.seconds, arguments.load_seconds)
    write(section)
    sys.stdout.write(section + "\n")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
