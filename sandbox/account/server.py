"""The account's HTTP server on loopback: AWS requests, and `/_sandbox/` for administration."""

from __future__ import annotations

import json
import logging
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from sandbox.account import services
from sandbox.account.core import authorization, moto_setup, operations
from sandbox.account.core.context import RequestContext
from sandbox.account.core.dispatch import Dispatcher
from sandbox.account.core.errors import AwsError
from sandbox.account.core.journal import Journal
from sandbox.account.core.message_log import MessageLog
from sandbox.account.core.wire import Reply, read_body
from sandbox.account.services import events, logs
from sandbox.account.services.codebuild import builds as codebuild_builds
from sandbox.account.services.codepipeline import executions
from sandbox.account.services.eks import nodes
from sandbox.account.services.rds import hosting
from sandbox.account.services.sts.tokens import Principals
from sandbox.contracts.build_runner import BuildRunner
from sandbox.contracts.cluster_host import CallerIdentity, ClusterHost, Grant
from sandbox.contracts.database_host import DatabaseHost
from sandbox.contracts.pipeline_runner import PipelineRunner
from sandbox.contracts.service_event import ServiceEvent

_StartResponse = Callable[[str, list[tuple[str, str]]], object]
_running = threading.Lock()
# An event is a request, so that the journal has it in the order of all requests.
_EVENT_REQUEST = {"REQUEST_METHOD": "POST", "PATH_INFO": "/_sandbox/event"}


class _Handler(MotoRequestHandler):
    """HTTP/1.1, which keeps connections open; requests are logged at debug level."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: ARG002  # the base class names it so
        logging.getLogger("sandbox.account.http").debug(message, *args)


@dataclass(frozen=True)
class Repair:
    """Numbers of requests: kept; lost; readable, but dependent on lost ones. `former` is a path."""

    kept: int
    lost: int
    dependent: int
    former: str


class Account:
    """An AWS account whose contents in `directory` survive a stop or crash.

    moto's state is process-wide, so a second `start` in a process raises RuntimeError. `time_scale`
    multiplies AWS's provisioning times; 0 completes everything at once. `registry_host` is
    "localhost:PORT" of the image registry behind ECR. Implements PrincipalLookup for Kubernetes.
    """

    def __init__(
        self,
        directory: Path,
        clusters: ClusterHost | None = None,
        databases: DatabaseHost | None = None,
        builds: BuildRunner | None = None,
        pipelines: PipelineRunner | None = None,
        *,
        registry_host: str | None = None,
        time_scale: float = 1.0,
    ) -> None:
        from sandbox.account.null_build_runner import NullBuildRunner  # noqa: PLC0415
        from sandbox.account.null_cluster_host import NullClusterHost  # noqa: PLC0415
        from sandbox.account.null_database_host import NullDatabaseHost  # noqa: PLC0415
        from sandbox.account.null_pipeline_runner import NullPipelineRunner  # noqa: PLC0415

        self._directory = directory
        self.clusters: ClusterHost = clusters if clusters is not None else NullClusterHost()
        self.databases: DatabaseHost = databases if databases is not None else NullDatabaseHost()
        self.builds: BuildRunner = builds if builds is not None else NullBuildRunner()
        self.pipelines: PipelineRunner = pipelines if pipelines else NullPipelineRunner()
        self.registry_host = registry_host
        self.time_scale = time_scale
        self._dispatcher: Dispatcher | None = None
        self._principals: Principals | None = None
        self._server: BaseWSGIServer | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._events: queue.Queue[ServiceEvent] = queue.Queue()
        self.url = ""

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher, while the account runs."""
        if self._dispatcher is None:
            raise RuntimeError("the account is not started")
        return self._dispatcher

    def start(self, port: int = 0) -> str:
        """Replay the journal, listen on 127.0.0.1 and return the URL. Raises OSError for a taken
        port.
        """
        if not _running.acquire(blocking=False):
            raise RuntimeError("another account runs in this process; stop it first")
        listener: socket.socket | None = None
        try:
            # werkzeug would exit the process for a taken port.
            listener = socket.create_server(("127.0.0.1", port), backlog=128)
            moto_setup.install()
            services.load()
            self._directory.mkdir(parents=True, exist_ok=True)
            journal = Journal(self._directory)
            self._dispatcher = self._replay(journal)
            if all(item.pending for item in self._dispatcher.inventory()):
                journal.clear()  # an empty account needs no replay
                self._dispatcher = self._replay(journal)
            self._principals = Principals(self._dispatcher.context)
            nodes.reconcile(self._dispatcher.context)
            hosting.reconcile(self._dispatcher.context)
            codebuild_builds.delete_unknown(self._dispatcher.context)
            executions.reconcile(self._dispatcher.context)
            port = int(listener.getsockname()[1])
            self._server = make_server(
                "127.0.0.1",
                port,
                self._application,
                threaded=True,
                request_handler=_Handler,
                fd=listener.fileno(),
            )
            self.url = f"http://127.0.0.1:{port}"
        except BaseException:
            _running.release()
            raise
        finally:
            if listener is not None:
                listener.close()  # the server has a duplicate
        self.dispatcher.context.messages = MessageLog(self._directory / "messages.jsonl")
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="account-http", daemon=True),
            threading.Thread(target=self._tick, name="account-agenda", daemon=True),
            threading.Thread(target=self._deliver, name="account-events", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        return self.url

    def repair(self) -> Repair:
        """Replace a damaged journal by one of the requests that can be replayed; keep the old one.

        Call it instead of `start`, without hosts.
        """
        moto_setup.install()
        services.load()
        journal = Journal(self._directory)
        contents = journal.read()
        entries = [contents.entries[number] for number in sorted(contents.entries)]
        readable = len(entries)
        while len(replayable := self._empty(journal).replayable(entries)) < len(entries):
            entries = replayable  # a request that fails may have prepared a later one
        former = journal.replace(replayable)
        return Repair(
            kept=len(replayable),
            lost=len(contents.lost),
            dependent=readable - len(replayable),
            former=str(former or ""),
        )

    def _empty(self, journal: Journal) -> Dispatcher:
        """Return a dispatcher of an empty account."""
        BackendDict.reset()
        reset_model_data()  # moto's list of all objects
        context = RequestContext(
            self.clusters,
            self.databases,
            self.builds,
            self.pipelines,
            registry_host=self.registry_host,
            time_scale=self.time_scale,
        )
        return Dispatcher(journal, context)

    def _replay(self, journal: Journal) -> Dispatcher:
        """Return a dispatcher with the journal's contents."""
        dispatcher = self._empty(journal)
        if dispatcher.replay():
            dispatcher.run_scheduled()
        return dispatcher

    def stop(self) -> None:
        """Stop listening; the journal has all contents."""
        if self._server is None:
            return
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self._server = None
        self.dispatcher.close()
        _running.release()

    def identity(self, presigned_sts_url: str, *, cluster_name: str) -> CallerIdentity:
        """Return the caller of a Kubernetes token's URL; see PrincipalLookup."""
        if self._principals is None:
            raise RuntimeError("the account is not started")
        return self._principals.identity(presigned_sts_url, cluster_name=cluster_name)

    def grants(self, cluster_arn: str, principal_arn: str) -> list[Grant]:
        """Return what access entries grant a principal; see PrincipalLookup."""
        if self._principals is None:
            raise RuntimeError("the account is not started")
        return self._principals.grants(cluster_arn, principal_arn)

    def authorize(self, access_key: str, region: str, action: str, resource: str) -> None:
        """Raise PermissionError if a key's policies do not allow an action without an API."""
        with self.dispatcher.lock:
            try:
                authorization.require(self.dispatcher.context, access_key, region, action, resource)
            except AwsError as error:
                raise PermissionError(error.message) from None

    def put_log_events(
        self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]
    ) -> bool:
        """Store events (milliseconds, message) without an entry in the journal.

        Returns False if there is no such log group or stream.
        """
        with self.dispatcher.lock:
            return logs.put_events(self.dispatcher.context, region, group, stream, events)

    def emit(self, event: ServiceEvent) -> None:
        """Queue an event for EventBridge; the caller may hold locks that requests wait for."""
        self._events.put(event)

    def _deliver(self) -> None:
        """Deliver queued events in order."""
        while not self._stopping.is_set():
            try:
                event = self._events.get(timeout=0.25)
            except queue.Empty:
                continue
            with self.dispatcher.lock:
                if events.is_awaited(self.dispatcher.context, event):
                    body = json.dumps(asdict(event)).encode()
                    self.dispatcher.handle(_EVENT_REQUEST, body)

    def _tick(self) -> None:
        """Run scheduled actions without requests."""
        context = self.dispatcher.context
        while not self._stopping.wait(0.25):
            due = context.schedule.next_due()
            if due is not None and due <= context.clock.time():
                self.dispatcher.run_scheduled()

    def _application(
        self, environ: dict[str, Any], start_response: _StartResponse
    ) -> Iterable[bytes]:
        body = read_body(environ)
        path = environ["PATH_INFO"]
        if path.startswith("/_sandbox/") and path not in operations.ADMIN:
            reply = self._administer(
                environ["REQUEST_METHOD"], path.removeprefix("/_sandbox/"), body
            )
        elif path.startswith("/moto-api"):
            reply = _json(404, {"error": "moto's own API would bypass the journal; use /_sandbox/"})
        else:
            reply = self.dispatcher.handle(environ, body)
        headers = {
            k: v
            for k, v in reply.headers.items()
            if k.lower() not in {"connection", "transfer-encoding", "status"}
        }
        if environ["REQUEST_METHOD"] != "HEAD":
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
            headers["Content-Length"] = str(len(reply.body))
        start_response(f"{reply.status} .", [(k, str(v)) for k, v in headers.items()])
        return [reply.body]

    def _administer(self, method: str, path: str, body: bytes) -> Reply:  # noqa: PLR0911 - one per path
        match method, path:
            case "GET", "health" if self.dispatcher.journal_failure:
                return _json(503, {"status": self.dispatcher.journal_failure})
            case "GET", "health":
                return _json(200, {"status": "ok", "time_scale": self.time_scale, "url": self.url})
            case "GET", "inventory":
                items = self.dispatcher.inventory()
                alive = [asdict(item) for item in items if not item.pending]
                return _json(
                    200,
                    {"items": alive, "pending": [asdict(item) for item in items if item.pending]},
                )
            case "GET", "permissions":
                return _json(200, {"calls": _authorizations(self.dispatcher)})
            case "GET", "messages":
                return _json(200, {"messages": self.dispatcher.context.messages.messages()})
            case "GET", "faults":
                return _json(200, {"faults": self.dispatcher.faults.list()})
            case "POST", "faults":
                try:
                    return _json(201, asdict(self.dispatcher.faults.add(body)))
                except (ValueError, TypeError) as error:
                    return _json(400, {"error": str(error)})
            case "DELETE", "faults":
                self.dispatcher.faults.clear()
                return _json(200, {"faults": []})
        return _json(
            404,
            {
                "error": f"no {method} /_sandbox/{path}; there are health, inventory, messages, "
                "permissions and faults"
            },
        )


def _json(status: int, content: dict[str, Any]) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _authorizations(dispatcher: Dispatcher) -> list[dict[str, Any]]:
    """Return the permissions that callers used since the start."""
    with dispatcher.lock:
        counted = list(dispatcher.context.authorizations.items())
    names = ("principal", "region", "action", "resource", "conditions", "allowed")
    return [
        {**dict(zip(names, key, strict=True)), "conditions": dict(key[4]), "count": count}
        for key, count in counted
    ]
