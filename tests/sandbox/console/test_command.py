"""`sandbox console` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: platform\nruntime: python\n")
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    return tmp_path


@contextmanager
def console(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    variables = {key: value for key, value in os.environ.items() if key != "SANDBOX_HOME"}
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "-C", str(project), "console", *arguments],
        env=variables | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().partition(" ")[0]
    assert url.startswith("http://127.0.0.1:")
    return url


def test_page_is_served_at_the_same_port_until_an_interrupt(project: Path) -> None:
    urls = []
    for _ in range(2):
        with console(project, "dev") as process:
            urls.append(url(process))
            assert urls[-1].endswith("/#/stacks/dev")
            with urlopen(urls[-1]) as response:
                assert b"Sandbox console" in response.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
    assert urls[0] == urls[1]


def test_second_console_has_another_port(project: Path) -> None:
    with console(project) as first:
        address = url(first)
        with console(project) as second:
            assert url(second) != address


def test_taken_port_is_refused_in_one_sentence(project: Path) -> None:
    with console(project) as first:
        port = url(first).rstrip("/").rpartition(":")[2]
        with console(project, "--port", port) as second:
            _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert errors == (
        f"error: port {port} cannot be used: Address already in use; choose another --port.\n"
    )


def test_unknown_stack_is_refused(project: Path) -> None:
    with console(project, "other") as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (
        2,
        "error: there is no stack 'other' in this project.\n",
    )
