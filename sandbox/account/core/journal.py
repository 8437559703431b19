"""The account's journal: every write in order, replayed at the next start.

One line per request, flushed before its response is sent: an answered request survives kill -9.
A line has number, length and SHA-256 of its JSON entry, and `journal.end` the number of the last
line, so that lost or changed lines are detected before the replay. Each entry has the identifiers
of its response, so that a replay by changed code that creates others is detected. Bodies over
32 KiB are files in `blobs/`, named by SHA-256. The files contain the requests' passwords and are
readable by their owner only.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any


class JournalError(Exception):
    """The journal is `damaged` or its replay differs; the message names the entry.

    Of a damaged journal that is not `readable`, a repair can keep nothing.
    """

    def __init__(self, text: str, *, damaged: bool = False, readable: bool = True) -> None:
        super().__init__(text)
        self.damaged, self.readable = damaged, readable


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


@dataclass(frozen=True)
class Contents:
    """The readable entries by number, and the number and time of the last request."""

    entries: dict[int, Entry]
    last: int
    last_moment: float
    valid_bytes: int

    @property
    def lost(self) -> list[int]:
        """The numbers of the requests that are not readable."""
        return [number for number in range(1, self.last + 1) if number not in self.entries]


class Journal:
    """An append-only file of entries in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal.jsonl"
        self._end_path = directory / "journal.end"
        self._blobs = directory / "blobs"
        self._file: IO[bytes] | None = None
        self._end: IO[bytes] | None = None
        self._count = 0
        try:
            self._blobs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unreadable(self._blobs, error) from None

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
            self._file = _open(self._path, os.O_APPEND)
        if self._end is None:
            self._end = _open(self._end_path)
        line = _line(self._count + 1, entry)
        before = os.fstat(self._file.fileno()).st_size
        written = 0
        try:
            written = self._file.write(line)
        finally:
            if written != len(line):  # an incomplete line would damage the journal
                os.truncate(self._path, before)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._count += 1
        with suppress(OSError):  # a shorter count hides no loss of what was counted before
            os.pwrite(self._end.fileno(), _end_line(self._count, entry.moment), 0)

    def body(self, entry: Entry) -> bytes:
        """Return the request's body. Raises JournalError if it is missing or changed."""
        try:
            if not entry.blob:
                return base64.b64decode(entry.body)
            body = (self._blobs / entry.blob).read_bytes()
            if hashlib.sha256(body).hexdigest() == entry.blob:
                return body
            reason = "its SHA-256 is another"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        raise JournalError(
            f"{self._blobs / entry.blob}, the body of {entry.operation or 'a request'} of "
            f"{_time(entry.moment)}, is damaged: {reason}",
            damaged=True,
        )

    def read(self) -> Contents:
        """Return what is readable. Raises JournalError if the file cannot be opened."""
        entries: dict[int, Entry] = {}
        number = valid_bytes = 0
        last, last_moment = self._read_end()
        try:
            lines = self._path.open("rb") if self._path.exists() else ()
            for line in lines:
                number += 1
                complete = line.endswith(b"\n")
                parsed = _parse(line) if complete else None
                if parsed is not None:
                    number = parsed[0] or number
                    entries[number] = parsed[1]
                if complete:
                    valid_bytes += len(line)
                else:  # a process was killed before it answered this request
                    number -= 1
        except OSError as error:
            raise _unreadable(self._path, error) from None
        if number > last:
            last, last_moment = number, 0.0
        return Contents(entries, last, last_moment, valid_bytes)

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries in order; truncate an incomplete last line.

        Raises JournalError if requests are lost, before the first entry.
        """
        contents = self.read()
        if lost := contents.lost:
            raise JournalError(self._describe(contents, lost), damaged=True)
        if self._path.exists() and contents.valid_bytes != self._path.stat().st_size:
            os.truncate(self._path, contents.valid_bytes)
        self._count = contents.last
        for number in sorted(contents.entries):
            yield contents.entries[number]

    def replace(self, entries: Iterable[Entry]) -> Path | None:
        """Write a journal of these entries; return the path of the former one, if there was one."""
        self.close()
        former = self._path.with_name(f"journal.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl")
        exists = self._path.exists()
        if exists:
            self._path.rename(former)
        self._end_path.unlink(missing_ok=True)
        self._count = 0
        for entry in entries:
            self.append(entry)
        self.close()
        return former if exists else None

    def clear(self) -> None:
        """Erase the journal of an empty account."""
        self.close()
        self._count = 0
        self._end_path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        for blob in self._blobs.iterdir():
            blob.unlink()

    def close(self) -> None:
        """Close the files."""
        for file in (self._file, self._end):
            if file is not None:
                file.close()
        self._file = self._end = None

    def _read_end(self) -> tuple[int, float]:
        """Return number and time of the last request; 0 without a readable file."""
        with suppress(OSError, ValueError):
            count, moment, checksum = self._end_path.read_text().split()
            if _end_line(int(count), float(moment)).split()[2].decode() == checksum:
                return int(count), float(moment)
        return 0, 0.0

    def _describe(self, contents: Contents, lost: list[int]) -> str:
        before = contents.entries.get(lost[0] - 1)
        after = next((contents.entries[n] for n in sorted(contents.entries) if n > lost[0]), None)
        end = after.moment if after else contents.last_moment
        times = [f"after {_time(before.moment)}"] if before else []
        times += [f"until {_time(end)}"] if end else []
        return (
            f"{self._path} is damaged: {len(lost)} of its {contents.last} requests are lost, the "
            f"first is number {lost[0]}" + "".join(f", {text}" for text in times)
        )


def _open(path: Path, flags: int = 0) -> IO[bytes]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
    return os.fdopen(descriptor, "wb" if not flags else "ab", buffering=0)


def _line(number: int, entry: Entry) -> bytes:
    text = json.dumps(asdict(entry), separators=(",", ":")).encode()
    checksum = hashlib.sha256(b"%d %s" % (number, text)).hexdigest()
    return b"%d %d %s %s\n" % (number, len(text), checksum.encode(), text)


def _parse(line: bytes) -> tuple[int, Entry] | None:
    """Return number and entry of a line, None if it is damaged; the number is 0 in old journals."""
    try:
        if line.startswith(b"{"):  # a journal before checksums
            return 0, Entry(**json.loads(line))
        number, length, checksum, text = line.removesuffix(b"\n").split(b" ", 3)
        if int(length) != len(text):
            return None
        if hashlib.sha256(b"%d %s" % (int(number), text)).hexdigest().encode() != checksum:
            return None
        return int(number), Entry(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _end_line(count: int, moment: float) -> bytes:
    text = f"{count:012d} {moment:020.6f}"
    return f"{text} {hashlib.sha256(text.encode()).hexdigest()[:16]}\n".encode()


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _unreadable(path: Path, error: OSError) -> JournalError:
    text = f"{path} cannot be read: {error.strerror or error}"
    return JournalError(text, damaged=True, readable=False)
