"""Dispatches requests: parse, validate, inject faults, execute, amend, journal.

One lock orders all requests, so names are unique under concurrency and the journal has a total
order. A request never waits for provisioning; it schedules what AWS does later.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import secrets
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sandbox.account.core import (
    authorization,
    determinism,
    operations,
    referential_integrity,
    validation,
    wire,
)
from sandbox.account.core.context import RequestContext
from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.faults import Faults
from sandbox.account.core.journal import Entry, Journal, JournalError
from sandbox.account.core.moto_execution import parse_reply
from sandbox.account.core.operations import Item
from sandbox.account.core.wire import Call, Reply

_LOG = logging.getLogger(__name__)
_READ_PREFIXES = (
    "BatchCheck",
    "BatchDescribe",
    "BatchGet",
    "Check",
    "Decode",
    "Describe",
    "Estimate",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Preview",
    "Search",
    "Select",
    "Simulate",
    "Test",
    "Validate",
    "Verify",
)
_READ_OPERATIONS = {
    *(("kms", name) for name in ("Encrypt", "Decrypt", "ReEncrypt", "Sign")),
    *(("kms", name) for name in ("GenerateDataKey", "GenerateDataKeyWithoutPlaintext")),
    ("kms", "GenerateRandom"),
    ("secretsmanager", "GetRandomPassword"),
}
_IDENTIFIER = re.compile(r"(^|[a-z])(id|arn|name|url|uri)$|(Id|Arn|ARN|ID|Name|Url|Uri|URL)$")


def is_write(call: Call) -> bool:
    """Whether an operation can change the account."""
    is_read = call.operation.startswith(_READ_PREFIXES)
    key = (call.service, call.operation)
    return not is_read and key not in _READ_OPERATIONS and key not in operations.UNJOURNALED


class Dispatcher:
    """Executes and journals requests on a context."""

    def __init__(self, journal: Journal, context: RequestContext) -> None:
        self.context = context
        self.faults = Faults()
        self.lock = threading.RLock()
        self.journal_failure = ""
        self._journal = journal

    def inventory(self) -> list[Item]:
        """Return all objects of the account in a fixed order."""
        with self.lock:
            self.run_scheduled()
            items = [item for lister in operations.LISTERS for item in lister(self.context)]
            return sorted(items, key=lambda item: (item.service, item.type, item.region, item.id))

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def run_scheduled(self, moment: float | None = None) -> None:
        """Run the due actions of the schedule, each at its own time."""
        clock = self.context.clock
        with self.lock:
            now = clock.time() if moment is None else moment
            while (due := self.context.schedule.pop_due(now)) is not None:
                time, number, action = due
                clock.freeze(time)
                determinism.seed(f"agenda-{time}-{number}")
                try:
                    action()
                finally:
                    clock.freeze(None)

    def handle(self, environ: dict[str, Any], body: bytes) -> Reply:
        """Execute a request; journal it if it changed the account.

        After a failed write to the journal, every request is refused.
        """
        context = self.context
        with self.lock:
            if self.journal_failure:
                return self._unavailable(environ)
            moment, seed = context.clock.time(), secrets.token_hex(8)
            self.run_scheduled(moment)
            context.external_results = {}
            reply, call = self._execute(environ, body, moment, seed)
            if reply.status < 400 and (call is None or is_write(call)):
                try:
                    entry = self._journal.entry(moment, seed, context.time_scale, environ, body)
                    entry.outside = context.external_results
                    entry.operation = _operation_name(environ, call)
                    entry.identifiers = _identifiers(call, reply)
                    self._journal.append(entry)
                except OSError as error:
                    self.journal_failure = (
                        "the account's journal cannot be written "
                        f"({error.filename or 'its file'}: {error.strerror or error})"
                    )
                    _LOG.error("%s; refusing all requests", self.journal_failure)
                    return self._unavailable(environ)
            self.run_scheduled(moment)
            return reply

    def _unavailable(self, environ: dict[str, Any]) -> Reply:
        """Return the error of an account whose last change is not in its journal."""
        text = (
            f"{self.journal_failure}. Fix that; the next command restarts the sandbox with the "
            "contents before this request."
        )
        error = AwsError("SandboxUnavailable", text, status=400)
        return wire.write_unparsed(environ, error, str(uuid.uuid4()))

    def replay(self) -> int:
        """Execute the journal and return the number of its requests.

        Raises JournalError if a request fails or returns other identifiers than originally: users
        hold these identifiers, so a different account must not be served.
        """
        count = 0
        with self._replaying():
            for count, entry in enumerate(self._journal, 1):
                self._replay_entry(count, entry)
        return count

    def replayable(self, entries: Iterable[Entry]) -> list[Entry]:
        """Execute these entries; return those that succeed as they did originally."""
        successful = []
        with self._replaying():
            for number, entry in enumerate(entries, 1):
                with suppress(JournalError):
                    self._replay_entry(number, entry)
                    successful.append(entry)
        return successful

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        scale = self.context.time_scale
        self.context.replaying = True
        try:
            yield
        finally:
            self.context.replaying = False
            self.context.time_scale = scale

    def _replay_entry(self, number: int, entry: Entry) -> None:
        self.context.time_scale = entry.time_scale
        self.run_scheduled(entry.moment)
        self.context.external_results = entry.outside
        body = self._journal.body(entry)
        reply, call = self._execute(entry.environ, body, entry.moment, entry.seed)
        name = entry.operation or _operation_name(entry.environ, call)
        request = f"request {number} of the account's journal, {name},"
        if reply.status >= 400:
            text = " ".join(reply.body.decode(errors="replace").split())[:300]
            raise JournalError(f"{request} succeeded originally and fails now: {text}")
        identifiers = set(_identifiers(call, reply))
        missing = [identifier for identifier in entry.identifiers if identifier not in identifiers]
        if missing:
            raise JournalError(f"{request} originally returned {missing[0]}, and does not now")
        self.run_scheduled(entry.moment)

    def _execute(
        self, environ: dict[str, Any], body: bytes, moment: float, seed: str
    ) -> tuple[Reply, Call | None]:
        request_id, path = str(uuid.uuid4()), environ["PATH_INFO"]
        call: Call | None = None
        self.context.clock.freeze(moment)
        determinism.seed(seed)
        try:
            if path.startswith("/_sandbox/"):
                return self._administer(path, body), None
            call = wire.parse(environ, body)
            reply = self._call(call, request_id)
        except AwsError as error:
            reply = _error_reply(environ, call, error, request_id)
        except Exception as error:  # noqa: BLE001 - clients need an AWS error for a fault in moto
            _LOG.exception("%s", path)
            name = f"{call.service}:{call.operation}" if call else path
            failure = AwsError(
                "InternalFailure", f"{name} failed inside the sandbox: {error!r}", status=500
            )
            reply = _error_reply(environ, call, failure, request_id)
        finally:
            self.context.clock.freeze(None)
        return reply, call

    def _administer(self, path: str, body: bytes) -> Reply:
        headers = {"Content-Type": "application/json"}
        try:
            content = operations.ADMIN[path](self.context, json.loads(body or b"{}"))
        except AwsError as error:
            return Reply(400, headers, json.dumps({"error": error.message}).encode())
        return Reply(200, headers, json.dumps(content).encode())

    def _call(self, call: Call, request_id: str) -> Reply:
        context, key = self.context, (call.service, call.operation)
        validation.validate(call)
        if not context.replaying:
            self.faults.raise_for(call)
            authorization.check(context, call)
        for check in operations.CHECKS.get(key, ()):
            check(context, call)
        referential_integrity.check(context, call)
        implementation = operations.IMPLEMENTATIONS.get(key)
        if implementation is not None:
            return wire.write(call, copy.deepcopy(implementation(context, call) or {}), request_id)
        if call.service in operations.OWN_SERVICES:
            raise not_emulated(call.service, call.operation)
        reply = context.moto.execute(call)
        if reply.status >= 400 or not operations.AMENDMENTS.get(key):
            return reply
        result = parse_reply(call, reply)
        for amend in operations.AMENDMENTS[key]:
            amend(context, call, result)
        return wire.write(call, result, request_id)


def _error_reply(
    environ: dict[str, Any], call: Call | None, error: AwsError, request_id: str
) -> Reply:
    if call is None:
        return wire.write_unparsed(environ, error, request_id)
    return wire.write(call, error, request_id)


def _identifiers(call: Call | None, reply: Reply) -> list[str]:
    """Return the IDs, ARNs and names in a response."""
    content = json.loads(reply.body or b"{}") if call is None else parse_reply(call, reply)
    return sorted(set(_identifying_values(content)))


def _identifying_values(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _identifying_values(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _identifying_values(item, key)
    elif isinstance(value, str) and _IDENTIFIER.search(key):
        yield value


def _operation_name(environ: dict[str, Any], call: Call | None) -> str:
    return f"{call.service}:{call.operation}" if call else str(environ.get("PATH_INFO", ""))
