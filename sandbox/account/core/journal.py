"""The account's journal: every write in order, replayed at the next start.

One JSON line per request, flushed before its response is sent: an answered request survives kill
-9. Each entry has the identifiers of its response, so that a replay by changed code that creates
others is detected. Bodies over 32 KiB are files in `blobs/`, named by SHA-256. The file contains
the requests' passwords and is readable by its owner only.
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
    """The journal is unreadable (`damaged`) or its replay differs; the message names the entry."""

    def __init__(self, text: str, *, damaged: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged


_LARGE = 32 * 1024
_ENVIRON_KEYS = (
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
    """One request: time, seed, time scale, WSGI environment, and results of external calls.

    `operation` is "service:Operation"; `identifiers` are the IDs, ARNs and names of the response.
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
    """An append-only file of entries in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal.jsonl"
        self._blobs = directory / "blobs"
        self._file: IO[bytes] | None = None
        self._blobs.mkdir(parents=True, exist_ok=True)

    def entry(
        self, moment: float, seed: str, time_scale: float, environ: dict[str, Any], body: bytes
    ) -> Entry:
        """Return the entry of a request. It includes signatures, which contain no secrets."""
        environ_copy = {key: environ[key] for key in _ENVIRON_KEYS if key in environ}
        environ_copy |= {
            key: value
            for key, value in environ.items()
            if (key.startswith("HTTP_") and key not in _DROPPED_HEADERS)
            or key == "moto.preserved_header_names"
        }
        entry = Entry(moment, seed, time_scale, environ_copy)
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
        """Append an entry. Raises OSError, and leaves the file unchanged then."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            self._file = os.fdopen(descriptor, "ab", buffering=0)
        line = json.dumps(asdict(entry), separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            written = self._file.write(line)
        finally:
            if written != len(line):  # an incomplete line would damage the journal
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
                f"{self._path}: the body of {entry.operation or 'a request'} is missing: {error}",
                damaged=True,
            ) from None

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order; truncate an incomplete last line.

        Raises JournalError for any other invalid line.
        """
        if not self._path.exists():
            return
        valid_bytes = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                valid_bytes += len(line)
                try:
                    entry = Entry(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise JournalError(
                        f"{self._path}, line {number}, is damaged: {error}", damaged=True
                    ) from None
                yield entry
        if valid_bytes != self._path.stat().st_size:
            os.truncate(self._path, valid_bytes)

    def clear(self) -> None:
        """Erase the journal of an empty account."""
        self.close()
        self._path.unlink(missing_ok=True)
        for blob in self._blobs.iterdir():
            blob.unlink()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
