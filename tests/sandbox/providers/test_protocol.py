"""The provider framework: secrets, failures, configuration per connection, processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.providers.property_values import UNKNOWN, decode, encode
from sandbox.providers.protocol import (
    Change,
    Checked,
    Connection,
    Created,
    Difference,
    Failure,
    Found,
    Invoked,
    PartialFailure,
    Properties,
    Provider,
    Resource,
    Updated,
)
from tests.sandbox.providers.engine_client import EMPTY, Client, Failed, Made, Served

KIND = "echo:index/thing:Thing"


class Echo(Connection):
    """A provider that returns its inputs, and fails on request."""

    def __init__(self, config: Properties) -> None:
        self.config = config

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        return Checked(new, [("colour", "must be a colour")] if new.get("colour") == "loud" else [])

    def diff(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
    ) -> Difference:
        changes = {k: Change.UPDATE_REPLACE if k == "size" else Change.UPDATE for k in new_inputs}
        return Difference({k: c for k, c in changes.items() if old_inputs.get(k) != new_inputs[k]})

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        if inputs.get("fail") == "whole":
            raise Failure("creating Thing: there is no room; make some")
        if inputs.get("fail") == "half":
            raise PartialFailure(
                "creating Thing: it stands, but leans", "thing-1", {**inputs, "leaning": True}
            )
        if inputs.get("fail") == "defect":
            raise ZeroDivisionError("by nought")
        return Created(
            "thing-1", {**inputs, "config": self.config, "token": "t"}, secrets=[("token",)]
        )

    def read(
        self, resource: Resource, id: str, inputs: Properties, state: Properties
    ) -> Found | None:
        return Found(id, state, inputs)

    def update(
        self,
        resource: Resource,
        id: str,
        old_inputs: Properties,
        old_state: Properties,
        new_inputs: Properties,
        preview: bool,
    ) -> Updated:
        return Updated({**old_state, **new_inputs})

    def invoke(self, token: str, args: Properties, preview: bool) -> Invoked:
        return Invoked({"token": token, **args})


class EchoProvider(Provider):
    name, version = "echo", "1.2.3"

    def connect(self, config: Properties) -> Connection:
        return Echo(config)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served({"echo": EchoProvider()}) as served:
        yield served


@pytest.fixture
def echo(served: Served) -> Client:
    return served.attach("echo", {})


def test_values_round_trip_over_the_wire() -> None:
    values: dict[str, Any] = {
        "text": "x",
        "whole": 3,
        "part": 0.5,
        "yes": True,
        "list": [1, {"a": UNKNOWN}],
        "map": {"a": {"b": "c"}},
    }
    assert decode(encode(values)).values == values


def test_secrets_keep_their_paths_on_the_wire() -> None:
    values = {"top": "a", "map": {"in": "b", "out": "c"}, "list": [{"deep": "d"}]}
    secrets = {("top",), ("map", "in"), ("list",)}
    assert decode(encode(values, secrets)) == decode(encode(values, secrets))
    assert decode(encode(values, secrets)).secrets == secrets
    assert decode(encode(values, secrets)).values == values


def test_secret_in_a_list_makes_the_list_secret() -> None:
    inner = encode({"x": {"password": "p"}}, [("x", "password")])
    outer = pb.CreateRequest().properties
    outer.fields["users"].list_value.values.append(inner.fields["x"])
    assert decode(outer).secrets == {("users",)}


def test_output_without_a_value_is_unknown() -> None:
    from pulumi.runtime import rpc

    struct = pb.CreateRequest().properties
    fields = struct.fields["later"].struct_value.fields
    fields[rpc._special_sig_key].string_value = rpc._special_output_value_sig
    fields["secret"].bool_value = True
    decoded = decode(struct)
    assert decoded.values == {"later": UNKNOWN}
    assert decoded.secrets == {("later",)}


def test_secret_inputs_are_secret_outputs(echo: Client) -> None:
    created = echo.create(KIND, "x", {"password": "p", "size": 1}, secrets=[("password",)])
    assert created.state["password"] == "p"
    assert created.secrets == {("password",), ("token",)}


def test_connections_have_separate_configurations(served: Served) -> None:
    one, two = (
        served.attach("echo", {"at": "here"}),
        served.attach("echo", {"at": "there", "on": "true", "list": '["a"]'}),
    )
    assert one.create(KIND, "x", {}).state["config"] == {"at": "here"}
    assert two.create(KIND, "x", {}).state["config"] == {"at": "there", "on": True, "list": ["a"]}


def test_unconfigured_connection_is_refused(served: Served) -> None:
    with pytest.raises(Failed, match="before it was configured"):
        served.attach("echo").create(KIND, "x", {})


def test_provider_with_unknown_configuration_echoes_inputs_in_previews_only(served: Served) -> None:
    later = served.attach("echo", {"at": UNKNOWN})
    assert later.preview(KIND, "x", {"size": 1}) == {"size": 1}
    with pytest.raises(Failed, match="has unknown values"):
        later.create(KIND, "x", {})


def test_failure_is_one_paragraph_without_pending_operation(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "whole"})
    assert str(caught.value) == "creating Thing: there is no room; make some"
    # The codes Unknown, Internal and DataLoss would leave a pending operation.
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_partial_failure_returns_id_state_and_secrets(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "half", "password": "p"}, secrets=[("password",)])
    partial = caught.value.partial
    assert partial is not None
    assert partial.id == "thing-1"
    assert list(partial.reasons) == ["creating Thing: it stands, but leans"]
    state = decode(partial.properties)
    assert state.values["leaning"] is True
    assert state.secrets == {("password",)}


def test_bug_in_a_provider_is_reported_without_traceback(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "defect"})
    assert "ZeroDivisionError: by nought" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "File" not in str(caught.value)


def test_diff_lists_changes_and_replacements(echo: Client) -> None:
    created = Made(KIND, "x", "thing-1", {"size": 1, "colour": "red"}, {})
    response, _ = echo.diff(created, {"size": 2, "colour": "blue"})
    assert response.changes == pb.DiffResponse.DIFF_SOME
    assert list(response.diffs) == ["colour", "size"]
    assert list(response.replaces) == ["size"]
    assert response.detailedDiff["size"].kind == pb.PropertyDiff.UPDATE_REPLACE
    response, _ = echo.diff(created, {"size": 2, "colour": "blue"}, ignore=["size", "colour"])
    assert response.changes == pb.DiffResponse.DIFF_NONE


def test_handshake_accepts_engine_features(served: Served) -> None:
    client = served.attach("echo")
    response = client.call("Handshake", pb.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    assert (response.accept_secrets, response.accept_resources, response.accept_outputs) == (
        True,
        True,
        True,
    )
    assert client.call("GetPluginInfo", EMPTY).version == "1.2.3"
    assert json.loads(client.call("GetSchema", pb.GetSchemaRequest()).schema) == {
        "name": "echo",
        "version": "1.2.3",
    }


def test_changed_configuration_updates_the_provider_in_place(served: Served) -> None:
    client = served.attach("echo")
    request = pb.DiffRequest(urn=client.urn("pulumi:providers:echo", "x"), news=encode({"a": "2"}))
    request.old_inputs.CopyFrom(encode({"a": "1"}))
    response = client.call("DiffConfig", request)
    assert list(response.diffs) == ["a"]
    assert not response.replaces


def test_provider_process_prints_ports_and_ends_with_stdin() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.providers", "aws"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    ports = json.loads(process.stdout.readline())
    assert list(ports) == ["aws"]
    with grpc.insecure_channel(f"127.0.0.1:{ports['aws']}") as channel:
        grpc.channel_ready_future(channel).result(timeout=120)
    process.stdin.close()
    assert process.wait(timeout=120) == 0
    process.stdout.close()
