"""The account itself: takes one request at a time through parsing, checks, faults, execution, amendment and journal.

One lock orders everything that happens, which makes names unique under races and the journal a true order. A request
never waits for provisioning while it holds the lock: what takes time is planned on the agenda.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from botocore.parsers import create_parser
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from sandbox.account.core import determinism as clocks
from sandbox.account.core import operations, referential_integrity, validation, wire
from sandbox.account.core.errors import AwsError, not_emulated
from sandbox.account.core.faults import Faults
from sandbox.account.core.inventory import Item
from sandbox.account.core.journal import Entry, Journal, JournalError
from sandbox.account.core.schedule import SECONDS, Agenda
from sandbox.account.core.wire import ACCOUNT_ID, Call, Reply
from sandbox.contracts.cluster_host import ClusterHost

_LOG = logging.getLogger(__name__)
_READS = (
    "BatchCheck", "BatchDescribe", "BatchGet", "Check", "Decode", "Describe", "Estimate", "Filter", "Get", "Head", "List",
    "Lookup", "Preview", "Search", "Select", "Simulate", "Test", "Validate", "Verify",
)  # fmt: skip
_READ_OPERATIONS = {
    ("kms", name) for name in ("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateRandom", "Sign")
} | {("kms", "GenerateDataKeyWithoutPlaintext"), ("secretsmanager", "GetRandomPassword")}

_IDENTIFIER = re.compile(r"(^|[a-z])(id|arn|name|url|uri)$|(Id|Arn|ARN|ID|Name|Url|Uri|URL)$")

Record = dict[str, Any]
Admin = Callable[["Emulator", dict[str, Any]], dict[str, Any]]
ADMIN: dict[str, Admin] = {}


def admin(path: str) -> Callable[[Admin], Admin]:
    """Register a changing `POST /_sandbox/<path>`: it is journalled like any AWS request."""

    def add(function: Admin) -> Admin:
        ADMIN[f"/_sandbox/{path}"] = function
        return function

    return add


def changes(call: Call) -> bool:
    """Say whether an operation can change the account."""
    return not (call.operation.startswith(_READS) or (call.service, call.operation) in _READ_OPERATIONS)


class Emulator:
    """State and execution. `clusters` runs Kubernetes; `registry_host` is "localhost:PORT" of the image registry."""

    def __init__(
        self, journal: Journal, clusters: ClusterHost, *, registry_host: str | None = None, time_scale: float = 1.0
    ) -> None:
        self.clusters = clusters
        self.registry_host = registry_host
        self.time_scale = time_scale
        self.clock = clocks.clock
        self.faults = Faults()
        self.lock = threading.RLock()
        self.replaying = False
        self.broken = ""
        self.tables: dict[str, dict[tuple[str, ...], Record]] = {}
        self.agenda = Agenda()
        self._journal = journal
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._outside: dict[str, Any] = {}

    # --- state -------------------------------------------------------------------------------------------------

    def table(self, name: str) -> dict[tuple[str, ...], Record]:
        """Return the records of one type of this package's own objects, e.g. "eks.cluster", keyed (region, name…)."""
        return self.tables.setdefault(name, {})

    def backend(self, service: str, region: str = "aws") -> Any:
        """Return moto's backend of a service in a region ("aws" for services without regions)."""
        backends: Any = get_backend
        return backends(service)[ACCOUNT_ID][region]

    def later(self, what: tuple[str, str], action: Callable[[], None]) -> float:
        """Run `action` when AWS would have finished `what` (a key of provisioning.SECONDS); return that moment."""
        moment = self.clock.time() + SECONDS[what] * self.time_scale
        self.agenda.add(moment, action)
        return moment

    def outside(self, key: str, ask: Callable[[], Any]) -> Any:
        """Ask something outside of the account once; a replay gets the answer of the first time."""
        if self.replaying:
            return copy.deepcopy(self._outside.get(key))
        with clocks.unseeded():
            self._outside[key] = ask()
        return self._outside[key]

    def inventory(self) -> list[Item]:
        """Return every object of the account in a fixed order, those on their way out marked `pending`."""
        with self.lock:
            self.settle()
            found = [item for lister in operations.LISTERS for item in lister(self)]
            return sorted(found, key=lambda item: (item.service, item.type, item.region, item.id))

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    # --- time --------------------------------------------------------------------------------------------------

    def settle(self, moment: float | None = None) -> None:
        """Do what is due on the agenda, each thing at its own moment."""
        with self.lock:
            now = self.clock.time() if moment is None else moment
            while (due := self.agenda.pop_due(now)) is not None:
                self.clock.freeze(due[0])
                clocks.seed(f"agenda-{due[0]}-{due[1]}")
                try:
                    due[2]()
                finally:
                    self.clock.freeze(None)

    # --- requests ----------------------------------------------------------------------------------------------

    def handle(self, environ: dict[str, Any], body: bytes) -> Reply:
        """Answer one request and remember it when it changed something. What can't be remembered hasn't happened: see `broken`."""
        with self.lock:
            if self.broken:
                return self._unavailable(environ)
            moment, seed = self.clock.time(), secrets.token_hex(8)
            self.settle(moment)
            reply, call = self._execute(environ, body, moment, seed)
            if reply.status < 400 and (call is None or changes(call)):
                try:
                    entry = self._journal.entry(moment, seed, self.time_scale, environ, body)
                    entry.outside = self._outside
                    entry.operation = _name_of(environ, call)
                    entry.identifiers = self._identifiers(call, reply)
                    self._journal.append(entry)
                except OSError as error:
                    self.broken = f"the account's journal can't be written ({error.filename or 'its file'}: {error.strerror or error})"
                    _LOG.error("%s; answering nothing more", self.broken)
                    return self._unavailable(environ)
            self.settle(moment)
            return reply

    def _unavailable(self, environ: dict[str, Any]) -> Reply:
        """The answer of an account that did something it can't remember: the next start makes it what it was before."""
        text = f"{self.broken}. Mend that; the next command starts the sandbox anew, as it was before this request."
        return wire.write_unparsed(environ, AwsError("SandboxUnavailable", text, status=400), str(uuid.uuid4()))

    def replay(self) -> int:
        """Execute the journal; return the number of its requests. Afterwards the cluster host is reconciled once.

        Raises JournalError when a request is refused, or answered with other identifiers, than the first time: an
        account that differs from what its users remember must not be served.
        """
        count, scale = 0, self.time_scale
        self.replaying = True
        try:
            for count, entry in enumerate(self._journal, 1):
                self._replay_one(count, entry)
        finally:
            self.replaying = False
            self.time_scale = scale
        return count

    def _replay_one(self, number: int, entry: Entry) -> None:
        self.time_scale = entry.time_scale
        self.settle(entry.moment)
        self._outside = entry.outside
        reply, call = self._execute(entry.environ, self._journal.body(entry), entry.moment, entry.seed)
        which = f"request {number} of the account's journal, {entry.operation or _name_of(entry.environ, call)},"
        if reply.status >= 400:
            raise JournalError(f"{which} succeeded once and is refused now: {_brief(reply)}")
        missing = [name for name in entry.identifiers if name not in set(self._identifiers(call, reply))]
        if missing:
            raise JournalError(f"{which} was answered with {missing[0]} once, and isn't now")
        self.settle(entry.moment)

    def _identifiers(self, call: Call | None, reply: Reply) -> list[str]:
        """The ids, ARNs and names in an answer: what others remember of it."""
        content = json.loads(reply.body or b"{}") if call is None else self._understand(call, reply)
        return sorted(set(_named(content)))

    def _execute(self, environ: dict[str, Any], body: bytes, moment: float, seed: str) -> tuple[Reply, Call | None]:
        request_id = str(uuid.uuid4())
        call: Call | None = None
        if not self.replaying:
            self._outside = {}
        self.clock.freeze(moment)
        clocks.seed(seed)
        try:
            if environ["PATH_INFO"].startswith("/_sandbox/"):
                reply = self._administer(environ["PATH_INFO"], body)
                return reply, None
            call = wire.parse(environ, body)
            reply = self._answer(call, request_id)
        except AwsError as error:
            reply = wire.write(call, error, request_id) if call else wire.write_unparsed(environ, error, request_id)
        except Exception as error:  # noqa: BLE001  # whatever breaks in moto must reach the client as an AWS error
            _LOG.exception("%s", environ["PATH_INFO"])
            where = f"{call.service}:{call.operation}" if call else environ["PATH_INFO"]
            failure = AwsError("InternalFailure", f"{where} failed inside the sandbox: {error!r}", status=500)
            reply = wire.write(call, failure, request_id) if call else wire.write_unparsed(environ, failure, request_id)
        finally:
            self.clock.freeze(None)
        return reply, call

    def _administer(self, path: str, body: bytes) -> Reply:
        wanted = json.loads(body or b"{}")
        try:
            answer = ADMIN[path](self, wanted)
        except AwsError as error:
            return Reply(400, {"Content-Type": "application/json"}, json.dumps({"error": error.message}).encode())
        return Reply(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _answer(self, call: Call, request_id: str) -> Reply:
        key = (call.service, call.operation)
        validation.validate(call)
        if not self.replaying:
            self.faults.raise_for(call)
        for check in operations.CHECKS.get(key, ()):
            check(self, call)
        referential_integrity.check(self, call)
        own = operations.IMPLEMENTATIONS.get(key)
        if own is not None:
            return wire.write(call, copy.deepcopy(own(self, call) or {}), request_id)
        if call.service in operations.OWN_SERVICES:
            raise not_emulated(call.service, call.operation)
        reply = self.ask_moto(call)
        if reply.status >= 400 or not operations.AMENDMENTS.get(key):
            return reply
        result = self._understand(call, reply)
        for amend in operations.AMENDMENTS[key]:
            amend(self, call, result)
        return wire.write(call, result, request_id)

    def ask_moto(self, call: Call) -> Reply:
        """Let moto execute a call. Raises AwsError where moto has no answer that a client could read."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            started[:] = [int(status.split(maxsplit=1)[0]), dict(headers)]

        try:
            chunks = self._moto(_with_wsgi(call.fresh_environ()), start_response)
            body = b"".join(chunks)
        except NotImplementedError as error:
            raise not_emulated(call.service, call.operation) from error
        status, headers = started
        is_page = "html" in headers.get("Content-Type", "") and (not body or b"<html" in body)
        if status in {404, 405, 500} and is_page and call.environ.get("REQUEST_METHOD") != "HEAD":
            raise not_emulated(call.service, call.operation)
        return Reply(status, headers, body)

    def moto_result(self, call: Call) -> dict[str, Any]:
        """Execute a call in moto and return its result. Raises AwsError with moto's code when it is refused."""
        reply = self.ask_moto(call)
        result = self._understand(call, reply)
        if reply.status >= 400:
            error = result.get("Error", {})
            raise AwsError(error.get("Code", "InternalFailure"), error.get("Message", ""), status=reply.status)
        return result

    def _understand(self, call: Call, reply: Reply) -> dict[str, Any]:
        headers = {key.lower(): value for key, value in reply.headers.items()}
        response = {"status_code": reply.status, "headers": headers, "body": reply.body}
        shape: Any = call.model.output_shape
        parsed: dict[str, Any] = create_parser(call.protocol).parse(response, shape)
        parsed.pop("ResponseMetadata", None)
        return parsed


def _named(value: Any, key: str = "") -> Iterator[str]:
    """Every string whose key says that it identifies something."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _named(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, key)
    elif isinstance(value, str) and _IDENTIFIER.search(key):
        yield value


def _name_of(environ: dict[str, Any], call: Call | None) -> str:
    return f"{call.service}:{call.operation}" if call else str(environ.get("PATH_INFO", ""))


def _brief(reply: Reply) -> str:
    return " ".join(reply.body.decode(errors="replace").split())[:300]


def _with_wsgi(environ: dict[str, Any]) -> dict[str, Any]:
    """Complete the WSGI keys that a replayed request no longer has."""
    return {
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1",
        "SCRIPT_NAME": "",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **environ,
    }
