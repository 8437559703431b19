"""The account's memory on disk: every request that changed something, in order, to be replayed at the next start.

One JSON line per request, written and flushed before its answer leaves, so an answered request survives kill -9 and an
unanswered one may or may not. With each request stands what its answer called things: a replay by other code that calls
them otherwise is found out instead of being served. Bodies over 32 KiB lie beside it in `blobs/`, named by their SHA-256. The file holds what
requests held (passwords of the emulated databases too) and is readable by its owner only.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any


class JournalError(Exception):
    """The journal can't be read (`damaged`), or doesn't make the account again that it made; the text says where."""

    def __init__(self, text: str, *, damaged: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged


_LARGE = 32 * 1024
_KEPT_KEYS = (
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "CONTENT_TYPE",
    "RAW_URI",
    "REQUEST_URI",
    "HTTP_HOST",
)
_DROPPED_HEADERS = frozenset(
    {"HTTP_HOST", "HTTP_USER_AGENT", "HTTP_CONNECTION", "HTTP_ACCEPT_ENCODING", "HTTP_EXPECT"}
)


@dataclass
class Entry:
    """One request: when, under which seed and time scale, the WSGI keys that matter, and what the outside answered.

    `operation` is "service:Operation" for people; `identifiers` are the ids, ARNs and names in its answer.
    """

    moment: float
    seed: str
    time_scale: float
    environ: dict[str, Any]
    body: str = ""
    blob: str = ""
    outside: dict[str, Any] = field(default_factory=dict)
    operation: str = ""
    identifiers: list[str] = field(default_factory=list)


class Journal:
    """An append-only file of entries under `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal.jsonl"
        self._blobs = directory / "blobs"
        self._file: IO[bytes] | None = None
        self._blobs.mkdir(parents=True, exist_ok=True)

    def entry(
        self, moment: float, seed: str, time_scale: float, environ: dict[str, Any], body: bytes
    ) -> Entry:
        """Describe a request so that it can be made again. Credentials' signatures are kept, secrets aren't in them."""
        kept = {key: environ[key] for key in _KEPT_KEYS if key in environ}
        kept |= {
            key: value
            for key, value in environ.items()
            if (key.startswith("HTTP_") and key not in _DROPPED_HEADERS)
            or key == "moto.preserved_header_names"
        }
        entry = Entry(moment, seed, time_scale, kept)
        if len(body) > _LARGE:
            entry.blob = hashlib.sha256(body).hexdigest()
            blob = self._blobs / entry.blob
            if not blob.exists():
                partial = blob.with_suffix(".partial")
                partial.write_bytes(body)
                partial.rename(blob)
        else:
            entry.body = base64.b64encode(body).decode()
        return entry

    def append(self, entry: Entry) -> None:
        """Write an entry; it is in the operating system's hands when this returns. Raises OSError, and has written nothing then."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._file = os.fdopen(descriptor, "ab", buffering=0)
        line = json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            written = self._file.write(line)
        finally:
            if written != len(line):  # half a line in the middle would damage the whole
                os.truncate(self._path, before)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def body(self, entry: Entry) -> bytes:
        """Return the request's body."""
        try:
            return (
                (self._blobs / entry.blob).read_bytes()
                if entry.blob
                else base64.b64decode(entry.body)
            )
        except (OSError, ValueError) as error:
            raise JournalError(
                f"{self._path}: the body of {entry.operation or 'a request'} is lost: {error}",
                damaged=True,
            ) from None

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order, and cut off a last line that a crash left half written.

        Raises JournalError for any other line that isn't an entry.
        """
        if not self._path.exists():
            return
        good = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                good += len(line)
                try:
                    entry = Entry(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise JournalError(
                        f"{self._path}, line {number}, is damaged: {error}", damaged=True
                    ) from None
                yield entry
        if good != self._path.stat().st_size:
            os.truncate(self._path, good)

    def clear(self) -> None:
        """Forget everything: for an account that holds nothing any more."""
        self.close()
        self._path.unlink(missing_ok=True)
        for blob in self._blobs.iterdir():
            blob.unlink()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
