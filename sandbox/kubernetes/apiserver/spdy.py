"""SPDY/3.1 as kubectl uses it: streams over one connection, opened by the client.

Kubernetes's clients use neither flow control nor pushed streams. Source: the SPDY protocol, draft
3.1, and github.com/moby/spdystream.
"""

from __future__ import annotations

import contextlib
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Protocol

_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1
_CANCEL = 5
_CONTROL = 0x80030000  # the control bit and version 3
_MAX_DATA = 32 * 1024

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate "
    "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_WORDS = "version HTTP/1.1 url public set-cookie keep-alive origin"
_TAIL = (
    b"100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    b"203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 "
    b"Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 "
    b"Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, "
    b"Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    b"application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    b"charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(
        struct.pack(">I", len(word)) + word.encode()
        for word in [*_WORDS.split(), "200 OK", *_MORE_WORDS.split()]
    )
    + _TAIL
)


class Transport(Protocol):
    """A connection; `receive` returns no bytes at its end."""

    def receive(self) -> bytes:
        """Return the next bytes."""
        ...

    def send(self, data: bytes) -> None:
        """Send bytes."""
        ...


class Stream:
    """A stream that the client opened; `headers` have lower-case names."""

    def __init__(self, connection: SpdyConnection, number: int, headers: Mapping[str, str]) -> None:
        self._connection, self.number, self.headers = connection, number, headers
        self._received: SimpleQueue[bytes] = SimpleQueue()
        self._ended = self._closed = False

    def read(self) -> bytes:
        """Return the next data; no bytes after the client has closed its side."""
        if self._ended:
            return b""
        data = self._received.get()
        self._ended = not data
        return data

    def write(self, data: bytes) -> None:
        """Send data. Raises OSError after `close` or the end of the connection."""
        for start in range(0, len(data), _MAX_DATA):
            self._connection.send_data(self.number, data[start : start + _MAX_DATA])

    def close(self) -> None:
        """Close this side."""
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                self._connection.send_data(self.number, b"", _FIN)

    def reset(self) -> None:
        """Abort the stream in both directions."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._connection.send_control(_RST_STREAM, struct.pack(">II", self.number, _CANCEL))

    def receive(self, data: bytes) -> None:
        """Take data from the connection; no bytes at the end."""
        self._received.put(data)


class SpdyConnection:
    """The server's side of a connection."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._buffer = b""
        self._streams: dict[int, Stream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._lock = threading.Lock()

    def run(self, opened: Callable[[Stream], None]) -> None:
        """Read frames until the client closes; `opened` is called for each new stream."""
        try:
            while (header := self._take(8)) is not None:
                first, flags_length = struct.unpack(">II", header)
                flags, payload = flags_length >> 24, self._take(flags_length & 0xFFFFFF)
                if payload is None:
                    return
                if not first >> 31:
                    self._data(first, flags, payload)
                elif not self._control(first & 0xFFFF, flags, payload, opened):
                    return
        finally:
            for stream in self._streams.values():
                stream.receive(b"")

    def send_data(self, number: int, data: bytes, flags: int = 0) -> None:
        """Send a data frame."""
        with self._lock:
            self._transport.send(struct.pack(">II", number, flags << 24 | len(data)) + data)

    def send_control(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """Send a control frame."""
        with self._lock:
            head = struct.pack(">II", _CONTROL | kind, flags << 24 | len(payload))
            self._transport.send(head + payload)

    def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            data = self._transport.receive()
            if not data:
                return None
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            if payload:
                stream.receive(payload)
            if flags & _FIN:
                stream.receive(b"")

    def _control(
        self, kind: int, flags: int, payload: bytes, opened: Callable[[Stream], None]
    ) -> bool:
        if kind == _SYN_STREAM:
            number = struct.unpack(">I", payload[:4])[0] & 0x7FFFFFFF
            stream = Stream(self, number, self._headers(payload[10:]))
            self._streams[number] = stream
            self._reply(number)
            if flags & _FIN:
                stream.receive(b"")
            opened(stream)
        elif kind == _PING:
            self.send_control(_PING, payload)
        elif kind == _RST_STREAM:
            stream_or_none = self._streams.get(struct.unpack(">I", payload[:4])[0] & 0x7FFFFFFF)
            if stream_or_none is not None:
                stream_or_none.receive(b"")
        return kind != _GOAWAY

    def _reply(self, number: int) -> None:
        with self._lock:
            block = self._deflate.compress(struct.pack(">I", 0))
            block += self._deflate.flush(zlib.Z_SYNC_FLUSH)
            payload = struct.pack(">I", number) + block
            head = struct.pack(">II", _CONTROL | _SYN_REPLY, len(payload))
            self._transport.send(head + payload)

    def _headers(self, block: bytes) -> dict[str, str]:
        data = self._inflate.decompress(block)
        (count,), position = struct.unpack(">I", data[:4]), 4
        texts = []
        for _ in range(2 * count):
            (length,) = struct.unpack(">I", data[position : position + 4])
            texts.append(data[position + 4 : position + 4 + length].decode())
            position += 4 + length
        return dict(zip(texts[::2], texts[1::2], strict=True))
