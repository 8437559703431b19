"""Ends the processes of pods and of the load balancer, which outlive the background process."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.runtime import process_table

_STOP_SECONDS = 10.0


def end_all(pods: Path, service_proxy: Path) -> bool:
    """End all processes, by SIGKILL after 10 s; return whether there were any."""
    groups = list(_groups(pods, service_proxy))
    for _, _, group in groups:
        process_table.kill_group(group, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while running := [item for item in groups if process_table.runs(item[0], item[1])]:
        if time.monotonic() > deadline:
            for _, _, group in running:
                process_table.kill_group(group, signal.SIGKILL)
            break
        time.sleep(0.05)
    return bool(groups)


def _groups(pods: Path, service_proxy: Path) -> Iterator[tuple[int, str, int]]:
    """Yield the leading process, an argument of its command line, and the group to end."""
    try:
        balancer = int((service_proxy / "pid").read_text())
    except (FileNotFoundError, ValueError):
        pass
    else:
        if process_table.runs(balancer, str(service_proxy)):
            yield balancer, str(service_proxy), balancer
    for file in pods.glob("pods/*/containers/*/running.json"):
        running = json.loads(file.read_text())
        if process_table.runs(running["monitor"], str(file.parent)):
            yield running["monitor"], str(file.parent), running["pid"]
