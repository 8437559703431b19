"""The tar stream whose SHA-256 is an archive's hash, byte for byte as the Pulumi engine writes it.

A header has the name, mode 0600 and the size; all else is zero. USTAR is used if the name fits, PAX
otherwise, as Go's `archive/tar` does. The stream is never unpacked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

Write = Callable[[bytes], object]
_BLOCK = 512
_NAME, _PREFIX = 100, 155
_LARGEST = 8**11 - 1  # the largest size of a header's eleven octal digits


class TarStream:
    """Writes members, each a header and its content, and two empty blocks at the end."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def add(self, name: str, size: int) -> TarMember:
        """Start a member of exactly `size` bytes."""
        if name.isascii() and size <= _LARGEST and (fitting := _split(name)) is not None:
            prefix, rest = fitting
            self._write(_header(rest, 0o600, size, b"0", owner=True, prefix=prefix))
        else:
            records = {"path": name} if not name.isascii() or len(name) > _NAME else {}
            if size > _LARGEST:
                records["size"] = str(size)
            extended = b"".join(_record(key, value) for key, value in sorted(records.items()))
            folder, file = posixpath.split(name)
            title = _ascii(posixpath.normpath(posixpath.join(folder, "PaxHeaders.0", file)))[
                :_NAME
            ].rstrip("/")
            self._write(_header(title, 0, len(extended), b"x", owner=False))
            self._write(_padded(extended))
            header_size = size if size <= _LARGEST else 0
            self._write(_header(_shortened(_ascii(name)), 0o600, header_size, b"0", owner=True))
        return TarMember(self._write, size)

    def close(self) -> None:
        """End the stream."""
        self._write(bytes(2 * _BLOCK))


class TarMember:
    """The content of one member."""

    def __init__(self, write: Write, size: int) -> None:
        self._write, self._size = write, size

    def write(self, data: bytes) -> None:
        """Append to the content."""
        self._write(data)

    def close(self) -> None:
        """Pad the last block."""
        self._write(bytes(-self._size % _BLOCK))


def _split(name: str) -> tuple[str, str] | None:
    """Return USTAR's prefix and name, or None if the name does not fit."""
    if len(name) <= _NAME:
        return "", name
    length = (
        min(len(name), _PREFIX + 1) if len(name) > _PREFIX + 1 else len(name) - name.endswith("/")
    )
    at = name.rfind("/", 0, length)
    rest = len(name) - at - 1
    if at <= 0 or rest > _NAME or rest == 0 or at > _PREFIX:
        return None
    return name[:at], name[at + 1 :]


def _header(
    name: str, mode: int, size: int, kind: bytes, *, owner: bool, prefix: str = ""
) -> bytes:
    def octal(number: int, width: int) -> bytes:
        return f"{number:0{width - 1}o}".encode() + b"\0"

    device = octal(0, 8) if owner else bytes(8)
    block = b"".join(
        [
            name.encode().ljust(_NAME, b"\0"),
            octal(mode, 8),
            octal(0, 8),
            octal(0, 8),
            octal(size, 12),
            octal(0, 12),
            b" " * 8,
            kind,
            bytes(100),
            b"ustar\x0000",
            bytes(64),
            device,
            device,
            prefix.encode().ljust(_PREFIX, b"\0"),
            bytes(12),
        ]
    )
    checksum = f"{sum(block):06o}".encode() + b"\0 "
    return block[:148] + checksum + block[156:]


def _record(key: str, value: str) -> bytes:
    """Return a PAX record, which starts with its own length."""
    rest = f" {key}={value}\n".encode(errors="surrogateescape")
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _ascii(name: str) -> str:
    return "".join(character for character in name if character.isascii())


def _shortened(name: str) -> str:
    """Return the part of a name that fits the header; behind a slash it would be a directory."""
    if len(name) <= _NAME:
        return name
    cut = name[:_NAME]
    return cut.rstrip("/") if cut.endswith("/") else cut


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
