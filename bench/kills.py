"""Kills operations at random moments: the next run must be complete, or refuse with the remedy."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from bench.progress import report
from bench.row import Row
from bench.small_stack import SmallStack

KILLS = 200
_UNEXPECTED_CHANGES = 7
_PREVIEW = ("preview", "dev", "--expect-no-changes")


class Kills:
    """Kills operations of one stack and checks each following run."""

    def __init__(self, directory: Path, seed: int, engine: str = "embedded") -> None:
        """Create the stack; its objects are what each later `up` must restore."""
        self.stack = SmallStack.create(directory, engine)
        self._chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self._generation = 0
        self._seconds: dict[str, float] = {}
        self.killed = 0
        self.unfinished = 0  # kills that left an operation pending
        self._timed("up")
        self.complete = self.stack.objects()

    def round(self) -> str:
        """Kill one operation and run the next; return what is wrong, or nothing."""
        failure = self._round()
        if failure:  # the next round starts with a complete stack
            self.stack.run("destroy", "dev", "--yes")
            self.stack.run("up", "dev", "--yes", "--skip-preview")
        return failure

    def _round(self) -> str:
        kind = self._chance.choice(("up", "up", "destroy", "destroy", "refresh"))
        options: tuple[str, ...] = ()
        if kind == "up":
            options = self._change()
            if self._chance.random() < 0.3:
                self.stack.run("destroy", "dev", "--yes")
        working = kind != "refresh" and self._chance.random() < 0.7
        longest = 0.2 if working else self._seconds.get(kind, 3.0)
        after = self._chance.uniform(0.0, longest)
        started = time.monotonic()
        command = (kind, "dev", "--yes", *options)
        if self.stack.kill_after(after, *command, working=working):
            self.killed += 1
            self.unfinished += b'"pending_operations"' in self.stack.checkpoint.read_bytes()
        else:
            self._seconds[kind] = time.monotonic() - started
        context = f"{kind} {' '.join(options)} killed after {after:.2f} s"
        code, output = 0, ""
        if previewed := self._chance.random() < 0.4:
            code, output = self.stack.run(*_PREVIEW, *options)
        if previewed and code == 0 and (missing := self.complete - self.stack.objects()):
            return f"{context}: the preview has no changes, but {_list(missing)} missing"
        if code not in (0, _UNEXPECTED_CHANGES):
            return f"{context}: the preview fails: {output[-600:]}"
        code, output = self.stack.run("up", "dev", "--yes", "--skip-preview", *options)
        if code != 0:
            return f"{context}: `up` fails: {output[-600:]}"
        if difference := self._difference():
            return f"{context}: after `up`, {difference}: {output[-600:]}"
        return ""

    def stop(self) -> None:
        """Stop the sandbox."""
        self.stack.run("stop", "--force")

    def _change(self) -> tuple[str, ...]:
        """Return options that update, replace or create resources."""
        self._generation += 1
        key = self._chance.choice(("text", "generation"))
        return ("-c", f"{key}=g{self._generation}")

    def _timed(self, kind: str) -> None:
        for _ in range(2):  # the first one starts the background process
            started = time.monotonic()
            code, output = self.stack.run(kind, "dev", "--yes")
            if code != 0:
                raise RuntimeError(f"the first {kind} failed: {output[-600:]}")
            self._seconds[kind] = time.monotonic() - started

    def _difference(self) -> str:
        """Return how the account differs from a complete one."""
        objects = self.stack.objects()
        missing, surplus = self.complete - objects, objects - self.complete
        parts = [("missing", missing), ("surplus", surplus)]
        return ", ".join(f"{_list(items)} {word}" for word, items in parts if items)


def measure(directory: Path) -> list[Row]:
    """Kill KILLS operations."""
    kills = Kills(directory, seed=14)
    try:
        failures = []
        while kills.killed < KILLS:
            if failure := kills.round():
                failures.append(failure)
                report(failure)
            report(f"{kills.killed} of {KILLS} kills, {len(failures)} failures")
    finally:
        kills.stop()
    complete = KILLS - len(failures)
    return [
        Row(
            f"{KILLS} random kills of `up`, `refresh` and `destroy`",
            f"the next run was complete after {complete}; "
            f"{kills.unfinished} left operations pending",
            "",
            "",
            f"{KILLS}",
            not failures,
        )
    ]


def _list(items: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(items.items()))
