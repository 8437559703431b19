"""`make demo`: commits become releases, from an empty sandbox, and releases that must not happen.

It works in a clone of the project with a sandbox of its own, both under `.sandbox/demo`. Each step
states what must happen; the exit code is 1 if one does not. Of the service's tests, the clone has
those of the configuration only, so that a release takes a minute; `--all-tests` keeps all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
DIRECTORY = PROJECT / ".sandbox" / "demo"
_IDENTITY = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com")
_HANGS_AFTER = 1800.0
_TEST = "tests/app/test_config.py"
_FAILING = "\n\ndef test_fails() -> None:\n    raise AssertionError\n"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoError(Exception):
    """A step did not do what it must."""


def require(condition: object, message: str) -> None:
    """Raise DemoError with the message unless the condition holds."""
    if not condition:
        raise DemoError(message)


@dataclass
class Demo:
    """A clone of the project, and its sandbox."""

    project: Path = DIRECTORY / "project"
    home: Path = DIRECTORY / "home"
    failed: list[str] = field(default_factory=list)

    def clone(self, *, all_tests: bool) -> None:
        """Clone HEAD; remove what an earlier demo has left."""
        if self.home.exists():
            self.run("stop", check=False)
        shutil.rmtree(DIRECTORY, ignore_errors=True)
        DIRECTORY.mkdir(parents=True)
        subprocess.run(
            ["git", "clone", "--quiet", "--no-local", str(PROJECT), str(self.project)], check=True
        )
        (self.project / ".venv").symlink_to(PROJECT / ".venv")
        if not all_tests:
            tests = self.project / "tests" / "app"
            for path in tests.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name.startswith("test_") and path != self.project / _TEST:
                    path.unlink()
            self.commit("Test the configuration only")

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        ran = subprocess.run(
            ["git", *_IDENTITY, *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stdout.strip()

    def commit(self, subject: str) -> str:
        """Commit all changes; return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text of a file that must contain it."""
        path = self.project / file
        text = path.read_text(encoding="utf-8")
        require(old in text, f"{file} does not contain {old!r}; change this demo")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `sandbox` in the clone."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "MFLAGS", "ARGS", "STACK"))
        }
        ran = subprocess.run(
            [sys.executable, "-m", "sandbox", *arguments],
            cwd=self.project,
            env=environment | {"SANDBOX_HOME": str(self.home), "PYTHONPATH": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_HANGS_AFTER,
            check=False,
        )
        if check and ran.returncode != 0:
            lines = (ran.stdout + ran.stderr).strip().splitlines()[-12:]
            raise DemoError("\n".join([f"sandbox {' '.join(arguments)}:", *lines]))
        return ran

    def json(self, *arguments: str, check: bool = True) -> dict[str, Any]:
        """Run `sandbox` with --json; return its document."""
        ran = self.run(*arguments, "--json", check=check)
        document: dict[str, Any] = json.loads(ran.stdout)
        return document

    def step(self, title: str, action: Callable[[], str]) -> None:
        """Run one step; print what it saw and how long it took."""
        sys.stdout.write(f"  {title} … ")
        sys.stdout.flush()
        started = time.monotonic()
        try:
            seen, mark = action(), "✓"
        except (DemoError, subprocess.SubprocessError, ValueError, KeyError) as error:
            seen, mark = f"{type(error).__name__}: {error}", "✗"
            self.failed.append(title)
        sys.stdout.write(f"{mark} {seen} ({time.monotonic() - started:.1f} s)\n")
        sys.stdout.flush()

    # Steps

    def up(self, stack: str, *options: str) -> str:
        """Create a stack."""
        document = self.json("up", stack, "--yes", *options)
        return f"{document['changes']['create']} created"

    def release(self, stack: str, *options: str) -> str:
        """Release HEAD; the page must then show its commit."""
        commit, document = self.git("rev-parse", "HEAD"), self.json("release", stack, *options)
        require(document["commit"] == commit, f"{document['commit']} was released, not {commit}")
        require(document["serves"], f"{document['url']} does not serve {document['digest']}")
        return f"{document['url']} serves {commit[:12]}, {document['digest'][:19]}"

    def refused(self, stack: str, action: str, *options: str) -> str:
        """Release HEAD, which must fail at `action`, and leave the served page as it is."""
        before = self.page(stack)
        document = self.json("release", stack, *options, check=False)
        require(document["result"] == "failed", f"the release of {stack} succeeded")
        failed = [item["action"] for item in document["actions"] if item["status"] == "Failed"]
        require(action in failed, f"{failed or 'nothing'} failed instead of {action}")
        require(self.page(stack) == before, "the page has changed")
        return f"stopped at {action}, and the page is unchanged"

    def page(self, stack: str) -> str:
        """Return the digest that the stack's page shows."""
        url = self.run("url", stack).stdout.strip()
        with _DIRECT.open(url, timeout=30) as response:
            text: str = response.read().decode()
        start = text.find("sha256:")
        return text[start : start + 71]

    def same_digest(self) -> str:
        """Both stacks must serve one digest."""
        digests = {stack: self.page(stack) for stack in ("dev", "prod")}
        require(len(set(digests.values())) == 1, f"the digests differ: {digests}")
        return digests["dev"][:19]

    def broken_readiness(self) -> str:
        """A release whose pods are never ready is reverted, without a lost request."""
        self.edit(
            "app/health.py", 'status="ready", database="reachable"), 200', "ready=False), 503"
        )
        self.commit("Break the readiness probe")
        with self.requests("dev") as counts:
            seen = self.refused("dev", "Deploy")
        self.git("revert", "--no-edit", "HEAD")
        require(counts["failed"] == 0, f"{counts['failed']} of {counts['sent']} requests failed")
        return f"{seen}; {counts['sent']} requests, none lost"

    @contextmanager
    def requests(self, stack: str) -> Iterator[dict[str, int]]:
        """Request the page all the time, and count."""
        url, counts = self.run("url", stack).stdout.strip(), {"sent": 0, "failed": 0}
        ended = threading.Event()

        def send() -> None:
            while not ended.wait(0.05):
                counts["sent"] += 1
                try:
                    with _DIRECT.open(url, timeout=10) as response:
                        response.read()
                except (urllib.error.URLError, OSError):
                    counts["failed"] += 1

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield counts
        finally:
            ended.set()
            thread.join()

    def two_at_once(self) -> str:
        """Of two commits at once in dev, only the newer is released if the older waits."""
        executions = []
        for number in range(3):
            self.commit(f"Change {number}")
            executions.append(self.json("release", "dev", "--no-wait")["execution"])
        statuses = self.wait("dev", executions)
        require(statuses[-1] == "Succeeded", f"the newest is {statuses[-1]}")
        require("Superseded" in statuses, f"none was superseded: {statuses}")
        return ", ".join(statuses)

    def killed(self) -> str:
        """The background process is killed during a build: the execution ends."""
        self.commit("Kill the background process")
        execution = self.json("release", "dev", "--no-wait")["execution"]
        time.sleep(5)
        process = json.loads(self.run("status", "--json").stdout)["process"]["pid"]
        os.kill(process, signal.SIGKILL)
        return self.wait("dev", [execution])[0]

    def wait(self, stack: str, executions: list[str]) -> list[str]:
        """Wait until the executions have ended; return their statuses."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            by_execution = {
                item["pipelineExecutionId"]: item["status"]
                for item in self.json("pipeline", "status", stack)["executions"]
            }
            statuses = [by_execution.get(id, "unknown") for id in executions]
            if not {"InProgress", "Stopping"} & set(statuses):
                return statuses
            time.sleep(1)
        raise DemoError(f"the executions hang: {statuses}")


def main() -> None:
    """Run all steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all-tests", action="store_true", help="keep all tests of the service")
    parser.add_argument("--keep", action="store_true", help="leave the stacks up at the end")
    options = parser.parse_args()
    demo = Demo()
    sys.stdout.write(f"Commits become releases; the sandbox is {demo.home}\n")
    demo.clone(all_tests=options.all_tests)
    demo.step("dev is created", lambda: demo.up("dev"))
    demo.step("prod is created", lambda: demo.up("prod", "-c", "pipeline.bake_minutes=1"))
    demo.commit("Change nothing but the commit")
    demo.step("a commit is released to dev", lambda: demo.release("dev"))
    demo.git("tag", "v1.0.0")
    demo.step("its tag is approved for prod", lambda: demo.release("prod", "--approve"))
    demo.step("dev and prod serve the same digest", demo.same_digest)
    with (demo.project / _TEST).open("a", encoding="utf-8") as file:
        file.write(_FAILING)
    demo.commit("Break a test")
    demo.step("failing tests stop a release", lambda: demo.refused("dev", "Test"))
    demo.git("revert", "--no-edit", "HEAD")
    demo.git("tag", "v1.1.0")
    demo.step(
        "prod refuses a commit that dev has not proven", lambda: demo.refused("prod", "Promote")
    )
    demo.step("newer commits supersede those that wait", demo.two_at_once)
    demo.step("an execution survives or fails a kill, and does not hang", demo.killed)
    demo.step("pods that are not ready are reverted (five minutes)", demo.broken_readiness)
    if not options.keep:
        demo.step("dev is deleted", lambda: str(demo.json("destroy", "dev", "--yes")["result"]))
        demo.run("stop", check=False)
    if demo.failed:
        sys.exit(f"failed: {'; '.join(demo.failed)}")


if __name__ == "__main__":
    main()
