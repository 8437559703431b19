"""What the sandbox remembers of each stack beside its state, to detect that one of them is lost."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandbox.engine.state.backend import Backend
from sandbox.runtime.home import Home


class LostContentsError(Exception):
    """The state or the account is lost or changed; the message names the remedy."""


@dataclass(frozen=True)
class StackRecord:
    """The result of the last operation.

    resources: their number in the state. digest: SHA-256 of the checkpoint, empty after an
    interruption. unread: state or account were restored, so the next operation reads first.
    """

    resources: int = 0
    digest: str = ""
    unread: bool = False


class StackRecords:
    """The record of one stack, in a file outside of state and account."""

    def __init__(self, home: Home, project: str, stack: str) -> None:
        self._backend, self._project, self._stack = Backend(home.state), project, stack
        self._file = _directory(home) / f"{project}.{stack}.json"
        self._before = StackRecord()

    def read(self) -> StackRecord:
        """Return the record, an empty one before the first operation."""
        return _read(self._file)

    def begin(self) -> None:
        """Record that an operation runs, and may create resources."""
        self._before = self.read()
        self._write(replace(self.read(), digest="", resources=max(1, self.read().resources)))

    def end(self, *, read: bool) -> None:
        """Record the state after an operation; `read` if it has read all resources."""
        resources = self._backend.read(self._project, self._stack).get("resources") or []
        unread = self.read().unread and not read
        self._write(StackRecord(len(resources), self._digest(), unread))

    def forget_unstarted(self) -> None:
        """Remove the record of an operation that ended before it created anything.

        Without a state before and after it, there is nothing that could be lost.
        """
        if not self._before.resources and not self._backend.exists(self._project, self._stack):
            self._file.unlink(missing_ok=True)

    def restored(self) -> None:
        """Record that state or account were restored."""
        self._write(replace(self.read(), digest="", unread=True))

    def check_exists(self) -> None:
        """Raise LostContentsError if the state is lost."""
        if self.read().resources and not self._backend.exists(self._project, self._stack):
            raise LostContentsError(
                f"the state of stack {self._stack} is lost ({self.checkpoint} is missing), but "
                f"its resources exist. {self._remedy()}"
            )

    def check(self) -> None:
        """Raise LostContentsError if the state is lost, or was changed since the last operation."""
        self.check_exists()
        record, stack = self.read(), self._stack
        if not record.digest or record.digest == self._digest() or self._is_in_history():
            return
        raise LostContentsError(
            f"{self.checkpoint} is not what the last operation on stack {stack} wrote. If you "
            f"changed it, `python -m sandbox refresh {stack}` accepts it. {self._remedy()}"
        )

    @property
    def checkpoint(self) -> Path:
        """The file of the stack's state."""
        return self._backend.checkpoint(self._project, self._stack)

    def _remedy(self) -> str:
        copy = self._backend.newest_copy(self._project, self._stack)
        if copy is None:
            return "There is no copy of it. Erase account and stacks: `python -m sandbox reset`."
        return f"Restore its newest copy: `python -m sandbox import {self._stack} --file {copy}`."

    def _digest(self) -> str:
        return _digest(self.checkpoint)

    def _is_in_history(self) -> bool:
        """Whether a Pulumi CLI of the user wrote the state: it adds each state to the history."""
        newest = self._backend.newest_history(self._project, self._stack)
        return newest is not None and _digest(newest) == self._digest()

    def _write(self, record: StackRecord) -> None:
        _write(self._file, record)


def restored(home: Home) -> None:
    """Record that the account was restored: each stack reads its resources before it changes."""
    for file in _directory(home).glob("*.json"):
        _write(file, replace(_read(file), unread=True))


def _directory(home: Home) -> Path:
    return home.path / "created"


def _read(file: Path) -> StackRecord:
    try:
        return StackRecord(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return StackRecord()


def _write(file: Path, record: StackRecord) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(record)))
    temporary.replace(file)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
