"""Clients of Pulumi's provider protocol: one gRPC connection per provider instance.

Over 400 lines: one class with a method for each request of the protocol.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from sandbox.engine.errors import PartialState, ProviderError
from sandbox.engine.state import assets, property_values
from sandbox.engine.state.property_values import Properties
from sandbox.engine.state.resource import provider_package, urn_name, urn_type

GRPC_OPTIONS = (
    ("grpc.max_receive_message_length", 400 * 1024 * 1024),
    ("grpc.max_send_message_length", 400 * 1024 * 1024),
    # Failures return created resources as metadata, for which gRPC's 8 KiB are too small; the CLI's
    # limit is 16 MiB.
    ("grpc.max_metadata_size", 16 * 1024 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024 * 1024),
    # Configuration belongs to a connection, so instances do not share one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


@dataclass(slots=True)
class Difference:
    """The result of Diff. `changes` is None if unknown; `detailed` maps property paths to kinds."""

    changes: bool | None
    replaces: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    detailed: dict[str, tuple[str, bool]] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replace(self) -> bool:
        """Whether the change requires a replacement."""
        return bool(self.replaces) or any(
            kind.endswith("replace") for kind, _ in self.detailed.values()
        )


_ANSWER_SECONDS = 120  # for a running provider on a busy machine
_SERVED = re.compile(r"^(Unexpected <class '[^']*'>: |Exception calling application: )")
_FRAMES = re.compile(r"^  File .*\n(?:    .*\n)*", re.MULTILINE)
_KINDS = ("add", "add-replace", "delete", "delete-replace", "update", "update-replace")


class ProviderClient:
    """A provider instance: attached immediately, configured once its configuration is known."""

    def __init__(
        self, package: str, port: int, engine_address: str, directories: tuple[str, str]
    ) -> None:
        self.package = package
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=GRPC_OPTIONS)
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self._accepts_secrets = self._accepts_resources = self._accepts_outputs = False
        self._previews = True
        self._handshaken = False
        self.known = True
        self._lock = threading.Lock()
        try:
            # A closed port fails immediately; a channel would retry, once for every resource of a
            # dead provider.
            socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS).close()
            grpc.channel_ready_future(self._channel).result(timeout=_ANSWER_SECONDS)
        except (OSError, grpc.FutureTimeoutError) as error:
            self._channel.close()
            raise ProviderError(
                f"The provider {package!r} does not answer on port {port}. Is it running?"
            ) from error
        self._attach(engine_address, directories)

    def _attach(self, address: str, directories: tuple[str, str]) -> None:
        self._optional("Attach", plugin_pb2.PluginAttach(address=address))
        root, program = directories
        shaken = self._optional(
            "Handshake",
            provider_pb2.ProviderHandshakeRequest(
                engine_address=address,
                root_directory=root,
                program_directory=program,
                configure_with_urn=True,
                invoke_with_preview=True,
                sends_old_outputs_to_check=True,
            ),
        )
        if shaken is not None:
            self._handshaken = True
            self._accepts_secrets, self._accepts_resources = (
                shaken.accept_secrets,
                shaken.accept_resources,
            )
            self._accepts_outputs = shaken.accept_outputs

    def _optional(self, method: str, request: Any) -> Any:
        try:
            return self._call(method, request)
        except ProviderError as error:
            if error.unimplemented:
                return None
            raise

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            raise self._failure(method, error) from None

    def _failure(self, method: str, error: Any) -> ProviderError:
        code, message = error.code(), _reason(error.details() or "no reason given")
        # The SDK's own servers return the exception's text for unimplemented methods.
        if code is grpc.StatusCode.UNIMPLEMENTED or "<class 'NotImplementedError'>" in (
            error.details() or ""
        ):
            return ProviderError(
                f"The provider {self.package!r} has no {method}.", unimplemented=True
            )
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return ProviderError(
                (
                    f"The provider {self.package!r} exited or disconnected during {method}: "
                    f"{message}"
                ),
                lost="failed to connect" not in message,
            )
        return ProviderError(message, partial=_partial(error))

    def _struct(self, properties: Mapping[str, Any], *, outputs: bool = False) -> Any:
        return property_values.to_struct(
            properties,
            secrets=self._accepts_secrets,
            resources=self._accepts_resources,
            outputs=outputs,
        )

    def _bare_struct(self, properties: Mapping[str, Any]) -> Any:
        """Return options that send assets without contents for comparisons, as the CLI does."""
        return self._struct(
            {key: assets.without_contents(value) for key, value in properties.items()}
        )

    def _results(self, struct: Any, *sources: Mapping[str, Any]) -> Properties:
        results = property_values.from_struct(struct)
        if not self._accepts_secrets:
            for source in sources:
                property_values.annotate_secrets(results, source)
        return results

    # Configuration

    def check_config(self, urn: str, old: Properties, new: Properties) -> Properties:
        """Check and complete the configuration; ProviderError with every failure."""
        # Sent without secrets, as the CLI does: CheckConfig predates them.
        request = provider_pb2.CheckRequest(
            urn=urn, name=urn_name(urn), type=urn_type(urn), olds=_bare(old), news=_bare(new)
        )
        response = self._optional("CheckConfig", request)
        if response is None:
            return dict(new)
        _refuse_failures(response.failures)
        checked = property_values.from_struct(response.inputs)
        property_values.annotate_secrets(checked, new)
        return checked

    def diff_config(
        self, urn: str, old_inputs: Properties, old_outputs: Properties, new: Properties
    ) -> Difference:
        """Compare configurations; without an answer, update in place."""
        request = provider_pb2.DiffRequest(
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            old_inputs=_bare(old_inputs),
            olds=_bare(old_outputs),
            news=_bare(new),
        )
        response = self._optional("DiffConfig", request)
        return Difference(None) if response is None else _difference(response)

    def configure(self, urn: str, identifier: str, inputs: Properties) -> None:
        """Configure the provider; with unknown values it stays unconfigured."""
        settings = {key: value for key, value in inputs.items() if key != "__internal"}
        if property_values.contains_unknown(settings):
            self.known = False
            return
        kind = urn_type(urn)
        prefix = f"{provider_package(kind)}:config:"
        variables = {
            prefix + key: value if isinstance(value, str) else json.dumps(value)
            for key, value in property_values.plain(settings).items()
            if key != "version"
        }
        response = self._call(
            "Configure",
            provider_pb2.ConfigureRequest(
                urn=urn,
                name=urn_name(urn),
                type=kind,
                id=identifier,
                variables=variables,
                acceptSecrets=True,
                acceptResources=True,
                sends_old_inputs=True,
                sends_old_inputs_to_delete=True,
                args=property_values.to_struct(settings, secrets=True, resources=True),
            ),
        )
        self.known = True
        if not self._handshaken:
            self._accepts_secrets, self._accepts_resources = (
                response.acceptSecrets,
                response.acceptResources,
            )
            self._accepts_outputs, self._previews = response.acceptOutputs, response.supportsPreview

    # Resources

    def check(
        self,
        urn: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        seed: bytes,
    ) -> Properties:
        """Check and complete inputs; ProviderError with every failure."""
        if not self.known:
            return dict(new)
        request = provider_pb2.CheckRequest(
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            olds=self._struct(old_inputs),
            old_outputs=self._struct(old_outputs),
            news=self._struct(new),
            randomSeed=seed,
        )
        response = self._call("Check", request)
        _refuse_failures(response.failures)
        return self._results(response.inputs, new)

    def diff(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
    ) -> Difference:
        """Compare inputs; without a known configuration there is no answer."""
        if not self.known:
            return Difference(None)
        request = provider_pb2.DiffRequest(
            id=identifier,
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            olds=self._bare_struct(old_outputs),
            news=self._bare_struct(new),
            old_inputs=self._bare_struct(old_inputs),
            ignoreChanges=ignored,
        )
        return _difference(self._call("Diff", request))

    def create(
        self, urn: str, inputs: Properties, *, timeout: float, preview: bool
    ) -> tuple[str, Properties]:
        """Create the resource; a preview returns its known properties. Returns ID and outputs."""
        if preview and not (self.known and self._previews):
            return "", dict(inputs)
        request = provider_pb2.CreateRequest(
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            properties=self._struct(inputs),
            timeout=timeout,
            preview=preview,
        )
        response = self._call("Create", request)
        if not response.id and not preview:
            raise ProviderError(
                f"The provider {self.package!r} returned no ID for the new resource."
            )
        return response.id, self._results(response.properties, inputs)

    def update(
        self,
        urn: str,
        identifier: str,
        old_inputs: Properties,
        old_outputs: Properties,
        new: Properties,
        ignored: list[str],
        *,
        timeout: float,
        preview: bool,
    ) -> Properties:
        """Update the resource in place; returns outputs."""
        if preview and not (self.known and self._previews):
            return dict(new)
        request = provider_pb2.UpdateRequest(
            id=identifier,
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            olds=self._bare_struct(old_outputs),
            news=self._struct(new),
            old_inputs=self._bare_struct(old_inputs),
            ignoreChanges=ignored,
            timeout=timeout,
            preview=preview,
        )
        return self._results(self._call("Update", request).properties, new)

    def read(
        self,
        urn: str,
        identifier: str,
        inputs: Properties | None,
        outputs: Properties,
        *,
        timeout: float = 0,
    ) -> tuple[str, Properties, Properties] | None:
        """Read the resource: ID, inputs, outputs; None if it does not exist.

        `inputs` is None for a resource that is not in the state.
        """
        request = provider_pb2.ReadRequest(
            id=identifier,
            urn=urn,
            name=urn_name(urn),
            type=urn_type(urn),
            properties=self._bare_struct(outputs),
            inputs=None if inputs is None else self._bare_struct(inputs),
            timeout=timeout,
        )
        inputs = inputs or {}
        response = self._call("Read", request)
        if not response.id:
            return None
        live_inputs = assets.restore_contents(property_values.from_struct(response.inputs), inputs)
        live_outputs = assets.restore_contents(
            property_values.from_struct(response.properties), inputs
        )
        if not self._accepts_secrets:
            property_values.annotate_secrets(live_inputs, inputs)
            property_values.annotate_secrets(live_outputs, outputs)
        return response.id, live_inputs, live_outputs

    def delete(
        self, urn: str, identifier: str, inputs: Properties, outputs: Properties, *, timeout: float
    ) -> None:
        """Delete the resource."""
        self._call(
            "Delete",
            provider_pb2.DeleteRequest(
                id=identifier,
                urn=urn,
                name=urn_name(urn),
                type=urn_type(urn),
                properties=self._bare_struct(outputs),
                old_inputs=self._bare_struct(inputs),
                timeout=timeout,
            ),
        )

    # Functions and components

    def invoke(
        self, token: str, arguments: Properties, *, preview: bool
    ) -> tuple[Properties | None, list[Any]]:
        """Call a function; (None, []) if the provider is not configured yet."""
        if not self.known:
            return None, []
        request = provider_pb2.InvokeRequest(
            tok=token, args=self._struct(arguments), preview=preview
        )
        response = self._call("Invoke", request)
        return property_values.from_struct(getattr(response, "return")), list(response.failures)

    def construct(self, fill: Callable[[Any], None], inputs: Properties) -> Any:
        """Construct a remote component; `fill` completes the request."""
        request = provider_pb2.ConstructRequest(
            inputs=self._rich(inputs), accepts_output_values=True
        )
        fill(request)
        return self._call("Construct", request)

    def call(self, fill: Callable[[Any], None], arguments: Properties) -> Any:
        """Call a component's method; `fill` completes the request."""
        request = provider_pb2.CallRequest(args=self._rich(arguments), accepts_output_values=True)
        fill(request)
        return self._call("Call", request)

    def _rich(self, properties: Properties) -> Any:
        return property_values.to_struct(
            properties, secrets=True, resources=True, outputs=self._accepts_outputs
        )

    def cancel(self) -> None:
        """Cancel the provider's pending calls."""
        self._optional("Cancel", empty_pb2.Empty())

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _bare(properties: Mapping[str, Any]) -> Any:
    return property_values.to_struct(properties, secrets=False, resources=False)


def _refuse_failures(failures: Any) -> None:
    if failures:
        raise ProviderError(
            "\n".join(
                f"{item.property}: {item.reason}" if item.property else item.reason
                for item in failures
            )
        )


def _reason(details: str) -> str:
    """Return a provider's message without the text and frames of Python's servers."""
    text = _SERVED.sub("", details)
    if "\n  File " in text:
        before, _, _ = text.partition(":\n  File ")
        text = (
            _FRAMES.split(text)[-1] if before.startswith("Traceback") or before == text else before
        )
    return text.strip()


def _difference(response: Any) -> Difference:
    changes = {
        provider_pb2.DiffResponse.DIFF_NONE: False,
        provider_pb2.DiffResponse.DIFF_SOME: True,
    }
    return Difference(
        changes=changes.get(response.changes),
        replaces=list(response.replaces),
        changed=list(response.diffs),
        detailed={
            path: (_KINDS[item.kind], item.inputDiff)
            for path, item in response.detailedDiff.items()
        }
        if response.hasDetailedDiff
        else {},
        delete_before_replace=response.deleteBeforeReplace,
    )


def _partial(error: Any) -> PartialState | None:
    """Return what a failed operation created, from the status details (ErrorResourceInitFailed)."""
    for key, data in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status()
        status.ParseFromString(data)
        for detail in status.details:
            left = provider_pb2.ErrorResourceInitFailed()
            if detail.Is(left.DESCRIPTOR):
                detail.Unpack(left)
                inputs = (
                    property_values.from_struct(left.inputs) if left.HasField("inputs") else None
                )
                return PartialState(
                    left.id,
                    property_values.from_struct(left.properties),
                    inputs,
                    list(left.reasons),
                )
    return None
