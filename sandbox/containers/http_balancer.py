"""Forwards the requests of a connection as an Application Load Balancer does.

Each request goes to the first route with its host and path, over a connection of its own to a
target, so that a removed target gets no further request. Requests for `localhost` or an IP address
match the routes of all hosts, because host names of routes do not resolve to this machine.
Standard library only; HTTP/1.1 only.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from ipaddress import ip_address

LIMIT = 64 * 1024
"""Bytes of a request's or response's head."""
_CONNECT_SECONDS = 3.0
_IDLE_SECONDS = 60.0
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection"}
_NO_BODY = {204, 304}
_SWITCHING_PROTOCOLS = 101

Target = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Targets:
    """Targets that are used in turn."""

    targets: Sequence[Target] = ()
    turns: Iterator[int] = field(default_factory=itertools.count)

    def in_turn(self) -> list[Target]:
        """Return all targets, beginning with the next."""
        if not self.targets:
            return []
        first = next(self.turns) % len(self.targets)
        return [*self.targets[first:], *self.targets[:first]]


@dataclass
class Route:
    """Targets of the requests with a host and path; see `sandbox.contracts.service_proxy`."""

    host: str
    path: str
    exact: bool
    targets: Targets

    def matches(self, host: str, path: str) -> bool:
        """Return whether the route serves a request."""
        if self.host and not _is_local(host):
            wildcard = self.host.startswith("*.")
            if not (host.endswith(self.host[1:]) if wildcard else host == self.host):
                return False
        if self.exact or path == self.path:
            return path == self.path
        return path.startswith(self.path.rstrip("/") + "/")


@dataclass
class Site:
    """Routes of a listener. With `redirect` (port of the load balancer, port of this machine),
    requests are redirected to HTTPS.
    """

    port: int
    local_port: int
    secure: bool
    routes: list[Route]
    redirect: tuple[int, int] | None = None


@dataclass
class _Head:
    line: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def tokens(self, name: str) -> set[str]:
        values = [value for key, value in self.headers if key.lower() == name]
        return {token.strip().lower() for value in values for token in value.split(",")} - {""}

    def encode(self, extra: Sequence[tuple[str, str]]) -> bytes:
        end_to_end = [(k, v) for k, v in self.headers if k.lower() not in _HOP_BY_HOP]
        lines = [self.line, *(f"{key}: {value}" for key, value in [*end_to_end, *extra])]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _BadMessageError(Exception):
    """A head that is malformed."""


async def serve(
    current: Callable[[], Site | None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the requests of a connection, each by the current site, until it ends."""
    with contextlib.suppress(OSError, TimeoutError, EOFError, ValueError):
        while True:
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    head = await _read_head(reader)
            except _BadMessageError:
                await _respond(writer, HTTPStatus.BAD_REQUEST, close=True)
                return
            site = current()
            if head is None or site is None or not await _answer(site, head, reader, writer):
                return


async def _answer(
    site: Site, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer a request; return whether the connection stays open."""
    try:
        method, target, version = head.line.split(" ")
        body = _body(head)
    except (ValueError, _BadMessageError):
        await _respond(writer, HTTPStatus.BAD_REQUEST, close=True)
        return False
    keep = version == "HTTP/1.1" and "close" not in head.tokens("connection")
    host = head.get("host").lower()
    name = _without_port(host)
    refusal, extra = None, []
    candidates: list[Target] = []
    route = next((r for r in site.routes if r.matches(name, target.partition("?")[0])), None)
    if site.redirect is not None:
        refusal = HTTPStatus.MOVED_PERMANENTLY
        extra = [("Location", _location(site, host, site.redirect) + target)]
    elif route is None:
        refusal = HTTPStatus.NOT_FOUND
    elif not (candidates := route.targets.in_turn()):
        refusal = HTTPStatus.SERVICE_UNAVAILABLE
    if refusal is not None:
        keep = keep and body == 0  # the body is not read
        await _respond(writer, refusal, extra, close=not keep, body=method != "HEAD")
        return keep
    connected = await connect(candidates)
    if connected is None:
        await _respond(writer, HTTPStatus.BAD_GATEWAY, close=True)
        return False
    target_reader, target_writer = connected
    try:
        target_writer.write(head.encode(_forwarded(site, head, writer)))
        sending = asyncio.ensure_future(_copy_body(reader, target_writer, body))
        sending.add_done_callback(lambda done: _abort_if_failed(done, target_writer))
        try:
            return await _relay(
                (reader, writer), (target_reader, target_writer), sending, method=method, keep=keep
            )
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, EOFError, _BadMessageError):
                await sending
    finally:
        target_writer.transport.abort()


def _abort_if_failed(sending: asyncio.Future[None], target: asyncio.StreamWriter) -> None:
    """End a target's connection whose request will not be complete."""
    if not sending.cancelled() and sending.exception() is not None:
        target.transport.abort()


async def _relay(
    client: Streams, target: Streams, sending: asyncio.Future[None], *, method: str, keep: bool
) -> bool:
    """Send the target's response to the client; return whether the connection stays open."""
    reader, writer = client
    target_reader, target_writer = target
    while True:
        try:
            head = await _read_head(target_reader)
            status = int(head.line.split(" ")[1]) if head is not None else 0
            body = _body(head, response=True) if head is not None else 0
        except (_BadMessageError, ValueError, IndexError, OSError):
            head, status, body = None, 0, 0
        if head is None:
            await _respond(writer, HTTPStatus.BAD_GATEWAY, close=True, body=method != "HEAD")
            return False
        if status == _SWITCHING_PROTOCOLS:
            writer.write(head.encode([("Connection", "Upgrade")]))
            await asyncio.gather(copy(reader, target_writer), copy(target_reader, writer))
            return False
        if status < HTTPStatus.OK:
            writer.write(head.encode([]))
            await writer.drain()
            continue
        if method == "HEAD" or status in _NO_BODY:
            body = 0
        # Whatever the client still sends would be taken for its next request.
        keep = keep and body is not None and sending.done() and sending.exception() is None
        writer.write(head.encode([("Connection", "keep-alive" if keep else "close")]))
        if body is None:
            await copy(target_reader, writer)
        else:
            await _copy_body(target_reader, writer, body)
        await writer.drain()
        return keep


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the stream, and end the other direction then."""
    try:
        while data := await reader.read(LIMIT):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        else:  # TLS has no half-closed connections here
            writer.close()
    except OSError:
        writer.transport.abort()


async def connect(targets: Sequence[Target]) -> Streams | None:
    """Connect to the first target that accepts."""
    for address, port in targets:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(address, port, limit=LIMIT)
        except (OSError, TimeoutError):
            continue
    return None


async def _read_head(reader: asyncio.StreamReader) -> _Head | None:
    """Read a head; None at the end of the stream."""
    try:
        content = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise _BadMessageError from None
    line, *fields = content.lstrip("\r\n").rstrip("\r\n").split("\r\n")
    headers = []
    for field_line in fields:
        key, colon, value = field_line.partition(":")
        if not colon or not key or key != key.strip():
            raise _BadMessageError
        headers.append((key, value.strip()))
    return _Head(line, headers)


def _body(head: _Head, *, response: bool = False) -> int | None:
    """Return a body's length: -1 if it is chunked, None if it ends with the connection."""
    codings, lengths = head.tokens("transfer-encoding"), head.tokens("content-length")
    if codings:
        if codings != {"chunked"} or lengths:
            raise _BadMessageError
        return -1
    if not lengths:
        return None if response else 0
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        raise _BadMessageError
    return int(text)


async def _copy_body(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None
) -> None:
    if length == -1:
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            writer.write(line)
            if size == 0:
                break
            await _copy_body(reader, writer, size + 2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            writer.write(line)
        writer.write(line)
    left = max(0, length or 0)
    while left:
        data = await reader.read(min(left, LIMIT))
        if not data:
            raise EOFError
        left -= len(data)
        writer.write(data)
        await writer.drain()
    await writer.drain()


async def _respond(
    writer: asyncio.StreamWriter,
    status: HTTPStatus,
    extra: Sequence[tuple[str, str]] = (),
    *,
    close: bool,
    body: bool = True,
) -> None:
    title = f"{status.value} {status.phrase}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    headers = [
        ("Server", "awselb/2.0"),
        ("Date", formatdate(usegmt=True)),
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(page))),
        ("Connection", "close" if close else "keep-alive"),
        *extra,
    ]
    writer.write(_Head(f"HTTP/1.1 {title}", []).encode(headers))
    writer.write(page.encode() if body else b"")
    await writer.drain()
    if close and writer.can_write_eof():
        writer.write_eof()


def _forwarded(site: Site, head: _Head, writer: asyncio.StreamWriter) -> list[tuple[str, str]]:
    """Return the headers that the load balancer adds, and remove those that it replaces."""
    client = str(writer.get_extra_info("peername")[0])
    before = ", ".join(v for k, v in head.headers if k.lower() == "x-forwarded-for")
    replaced = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"}
    upgrade = "upgrade" in head.tokens("connection")
    head.headers = [(k, v) for k, v in head.headers if k.lower() not in replaced]
    trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    return [
        ("X-Forwarded-For", f"{before}, {client}" if before else client),
        ("X-Forwarded-Proto", "https" if site.secure else "http"),
        ("X-Forwarded-Port", str(site.port)),
        *([] if head.get("x-amzn-trace-id") else [("X-Amzn-Trace-Id", trace)]),
        ("Connection", "Upgrade" if upgrade else "close"),
    ]


def _location(site: Site, host: str, redirect: tuple[int, int]) -> str:
    """Return the start of a redirect's URL; clients of the local port get the local port."""
    port, local_port = redirect
    target = local_port if host.endswith(f":{site.local_port}") else port
    return f"https://{_without_port(host)}:{target}"


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _is_local(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True
