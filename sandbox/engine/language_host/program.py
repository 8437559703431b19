"""Runs the program in a child process, as Pulumi's Python language host does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sandbox.engine.deployment import Deployment
from sandbox.engine.language_host.project import Project, interpreter
from sandbox.engine.request import Request

HOST = Path(__file__).with_name("run_program.py")
# The file backend's only organization.
ORGANIZATION = "organization"


def send_settings(lifeline: int, **settings: Any) -> None:
    """Let the waiting interpreter run its program."""
    # If it has ended already, its exit code and its output say why.
    with suppress(BrokenPipeError), os.fdopen(lifeline, "wb", closefd=False) as pipe:
        pipe.write(json.dumps(settings).encode() + b"\n")


class Program:
    """One run of the program."""

    def __init__(self, project: Project, request: Request) -> None:
        """Start the interpreter, which imports the SDK and then waits for `run`."""
        lifeline, alive = os.pipe()
        command = [
            str(interpreter(project)),
            "-u",
            str(HOST),
            f"--lifeline={lifeline}",
            "--no-debug",  # the engine shows no debug messages
            str(project.program),
        ]
        # In its own session it does not receive Ctrl-C; the engine decides what to stop.
        self._process = subprocess.Popen(
            command,
            cwd=project.folder,
            env=dict(request.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=[lifeline],
        )
        os.close(lifeline)
        # Closes when this process ends, so that the program ends with a killed engine.
        self._alive: int | None = alive
        self._pumps: list[threading.Thread] = []
        self.stderr_lines: list[str] = []

    def run(self, deployment: Deployment, engine_address: str) -> None:
        """Run the program; its output goes to the recorder line by line."""
        self._recorder = deployment.recorder
        self._pumps = [
            self._pump(self._process.stdout, self._recorder.output),
            self._pump(self._process.stderr, self._complain),
        ]
        project, request = deployment.project, deployment.request
        assert self._alive is not None  # noqa: S101 - closed by `wait` only
        send_settings(
            self._alive,
            engine=engine_address,
            monitor=engine_address,
            organization=ORGANIZATION,
            project=project.name,
            stack=request.stack,
            root=str(project.directory),
            parallel=request.parallel,
            preview=deployment.preview,
            config=dict(deployment.configuration.values),
            secret_keys=sorted(deployment.configuration.secret_keys),
        )

    @staticmethod
    def _pump(stream: IO[str] | None, receive: Callable[[str], None]) -> threading.Thread:
        def read() -> None:
            for line in stream or ():
                receive(line.rstrip("\n"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def _complain(self, line: str) -> None:
        self.stderr_lines.append(line)
        self._recorder.output(line)

    def wait_until_registered(self, settled: threading.Event) -> bool:
        """Wait until the program has registered everything; return False if it ended first."""

        def watch() -> None:
            self._process.wait()
            settled.set()

        threading.Thread(target=watch, daemon=True).start()
        settled.wait()
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for the program's end and return its exit code."""
        code = self._process.wait()
        for pump in self._pumps:
            pump.join(timeout=5)
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None
        return code

    def stop(self) -> None:
        """End the program and its child processes, if they run."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
