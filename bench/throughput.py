"""Requests per second and latency relative to the Hello World, measured with wrk."""

import http.client
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

from bench.postgresql import programs
from bench.postgresql import running as running_postgres
from bench.processes import ROOT, hello_world, service
from bench.row import Row

ROUNDS = 3
SECONDS = 3
CONNECTIONS = 16
WORKERS = 2
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
                results["hello"].append(_wrk(port))
            with service(directory, workers=WORKERS) as (port, _):
                results["page"].append(_wrk(port))
            with service(directory, workers=WORKERS, database=url) as (port, _):
                results["database"].append(_wrk(port))
    hello = _medians(results["hello"])
    rows = []
    for name, label, bar in (
        ("page", "page without the database", 3.0),
        ("database", f"page with {ENTRIES} entries of PostgreSQL", 1.5),
    ):
        rate, p99 = _medians(results[name])
        ratio, hello_rate = rate / hello[0], f"{hello[0]:,.0f}/s"
        label_rate = f"requests, {label}, {WORKERS} workers"
        rows += [
            Row(label_rate, f"{rate:,.0f}/s", hello_rate, f"{ratio:.2f}", f"≥ {bar}", ratio >= bar),
            Row(
                f"p99, {label}, {WORKERS} workers",
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


def _wrk(port: int) -> tuple[float, float]:
    """Return requests per second and the 99th percentile in milliseconds."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    command = ["wrk", *options, f"http://127.0.0.1:{port}/"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
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
