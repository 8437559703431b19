"""Requests per second and latency relative to the Hello World, measured with wrk.

The service runs as in a cluster: one process per replica, with the connections divided among them.
Workers of one process would share a socket, and one of them can accept all connections of a run.
"""

import http.client
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.postgresql import programs
from bench.postgresql import running as running_postgres
from bench.processes import ROOT, hello_world, service
from bench.row import Row

ROUNDS = 3
SECONDS = 3
CONNECTIONS = 16
REPLICAS = 2
ENTRIES = 20  # one full page
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def measure(directory: Path) -> list[Row]:
    """Measure in alternating rounds, so that other work of the machine affects each alike."""
    server = programs()
    if server is None:
        raise RuntimeError("no PostgreSQL server is installed")
    with running_postgres(server) as postgres:
        url = postgres.new_database()
        subprocess.run(
            [sys.executable, "-m", "app.db.migrate"],
            cwd=ROOT,
            env={"DATABASE_URL": url},
            check=True,
            capture_output=True,
        )
        with service(directory, database=url) as (port, _):
            _add_entries(port)
        results: dict[str, list[tuple[float, float]]] = {"hello": [], "page": [], "database": []}
        for _ in range(ROUNDS):
            with hello_world(directory) as port:
                results["hello"].append(_wrk([port]))
            results["page"].append(_replicas(directory, None))
            results["database"].append(_replicas(directory, url))
    hello = _medians(results["hello"])
    rows = []
    for key, label, bar in (
        ("page", "page without the database", 3.0),
        ("database", f"page with {ENTRIES} entries of PostgreSQL", 1.5),
    ):
        rate, p99 = _medians(results[key])
        ratio, hello_rate = rate / hello[0], f"{hello[0]:,.0f}/s"
        name = f"{label}, {REPLICAS} replicas"
        rows += [
            Row(
                f"requests, {name}",
                f"{rate:,.0f}/s",
                hello_rate,
                f"{ratio:.2f}",
                f"≥ {bar}",
                ratio >= bar,
            ),
            Row(
                f"p99, {name}",
                f"{p99:.1f} ms",
                f"{hello[1]:.1f} ms",
                f"{p99 / hello[1]:.2f}",
                "≤ 1",
                p99 <= hello[1],
            ),
        ]
    return rows


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    rates, latencies = zip(*rounds, strict=True)
    return statistics.median(rates), statistics.median(latencies)


def _replicas(directory: Path, database: str | None) -> tuple[float, float]:
    with ExitStack() as stack:
        ports = [
            stack.enter_context(service(directory, database=database))[0] for _ in range(REPLICAS)
        ]
        return _wrk(ports)


def _wrk(ports: Sequence[int]) -> tuple[float, float]:
    """Load all ports at once; return requests per second and the worst p99 in milliseconds."""
    options = ["-t1", f"-c{CONNECTIONS // len(ports)}", f"-d{SECONDS}s", "--latency"]
    running = [
        subprocess.Popen(
            ["wrk", *options, f"http://127.0.0.1:{port}/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for port in ports
    ]
    results = [_result(process.communicate()[0]) for process in running]
    return sum(rate for rate, _ in results), max(p99 for _, p99 in results)


def _result(output: str) -> tuple[float, float]:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if rate is None or p99 is None or "Non-2xx" in output:
        raise RuntimeError(f"wrk reported failures:\n{output}")
    return float(rate[1]), float(p99[1]) * _UNITS[p99[2]]


def _add_entries(port: int) -> None:
    headers = {"Content-Type": "application/json"}
    for number in range(ENTRIES):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        entry = json.dumps({"name": f"Writer {number}", "message": "A message of some words."})
        connection.request("POST", "/api/entries", entry, headers)
        if connection.getresponse().status != 201:
            raise RuntimeError("an entry was not stored")
        connection.close()
