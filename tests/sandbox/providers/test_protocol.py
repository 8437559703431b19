"""The framework under every provider: secrets, failures, configuration per connection, and the process itself."""

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
    """A provider that answers with what it was asked, and fails when told."""

    def __init__(self, config: Properties) -> None:
        self.config = config

    def check(self, resource: Resource, old: Properties, new: Properties, seed: bytes) -> Checked:
        return Checked(new, [("colour", "must be a colour")] if new.get("colour") == "loud" else [])

    def diff(
        self, resource: Resource, id: str, old_inputs: Properties, old_state: Properties, new_inputs: Properties
    ) -> Difference:
        changes = {k: Change.UPDATE_REPLACE if k == "size" else Change.UPDATE for k in new_inputs}
        return Difference({k: c for k, c in changes.items() if old_inputs.get(k) != new_inputs[k]})

    def create(self, resource: Resource, inputs: Properties, preview: bool) -> Created:
        if inputs.get("fail") == "whole":
            raise Failure("creating Thing: there is no room; make some")
        if inputs.get("fail") == "half":
            raise PartialFailure("creating Thing: it stands, but leans", "thing-1", {**inputs, "leaning": True})
        if inputs.get("fail") == "defect":
            raise ZeroDivisionError("by nought")
        return Created("thing-1", {**inputs, "config": self.config, "token": "t"}, secrets=[("token",)])

    def read(self, resource: Resource, id: str, inputs: Properties, state: Properties) -> Found | None:
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


def test_values_survive_the_wire() -> None:
    values: dict[str, Any] = {
        "text": "x", "whole": 3, "part": 0.5, "yes": True, "list": [1, {"a": UNKNOWN}], "map": {"a": {"b": "c"}},
    }  # fmt: skip
    assert decode(encode(values)).values == values


def test_secrets_keep_their_places_on_the_wire() -> None:
    values = {"top": "a", "map": {"in": "b", "out": "c"}, "list": [{"deep": "d"}]}
    secrets = {("top",), ("map", "in"), ("list",)}
    assert decode(encode(values, secrets)) == decode(encode(values, secrets))
    assert decode(encode(values, secrets)).secrets == secrets
    assert decode(encode(values, secrets)).values == values


def test_a_secret_inside_a_list_makes_the_list_secret() -> None:
    inner = encode({"x": {"password": "p"}}, [("x", "password")])
    outer = pb.CreateRequest().properties
    outer.fields["users"].list_value.values.append(inner.fields["x"])
    assert decode(outer).secrets == {("users",)}


def test_an_output_without_a_value_is_unknown_and_may_be_secret() -> None:
    from pulumi.runtime import rpc

    struct = pb.CreateRequest().properties
    fields = struct.fields["later"].struct_value.fields
    fields[rpc._special_sig_key].string_value = rpc._special_output_value_sig
    fields["secret"].bool_value = True
    decoded = decode(struct)
    assert decoded.values == {"later": UNKNOWN}
    assert decoded.secrets == {("later",)}


def test_what_went_in_secret_comes_out_secret(echo: Client) -> None:
    made = echo.create(KIND, "x", {"password": "p", "size": 1}, secrets=[("password",)])
    assert made.state["password"] == "p"
    assert made.secrets == {("password",), ("token",)}


def test_each_connection_has_a_configuration_of_its_own(served: Served) -> None:
    one, two = (
        served.attach("echo", {"at": "here"}),
        served.attach("echo", {"at": "there", "on": "true", "list": '["a"]'}),
    )
    assert one.create(KIND, "x", {}).state["config"] == {"at": "here"}
    assert two.create(KIND, "x", {}).state["config"] == {"at": "there", "on": True, "list": ["a"]}


def test_a_connection_that_was_never_configured_is_told_so(served: Served) -> None:
    with pytest.raises(Failed, match="before it was configured"):
        served.attach("echo").create(KIND, "x", {})


def test_a_provider_whose_configuration_is_not_known_yet_echoes_in_a_preview_only(served: Served) -> None:
    later = served.attach("echo", {"at": UNKNOWN})
    assert later.preview(KIND, "x", {"size": 1}) == {"size": 1}
    with pytest.raises(Failed, match="aren't known"):
        later.create(KIND, "x", {})


def test_a_failure_is_one_paragraph_and_leaves_nothing_pending(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "whole"})
    assert str(caught.value) == "creating Thing: there is no room; make some"
    # Codes Unknown, Internal and DataLoss would make an engine keep a pending operation.
    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION


def test_a_half_made_resource_is_reported_with_its_id_state_and_secrets(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "half", "password": "p"}, secrets=[("password",)])
    partial = caught.value.partial
    assert partial is not None
    assert partial.id == "thing-1"
    assert list(partial.reasons) == ["creating Thing: it stands, but leans"]
    state = decode(partial.properties)
    assert state.values["leaning"] is True
    assert state.secrets == {("password",)}


def test_a_defect_is_named_without_a_traceback(echo: Client) -> None:
    with pytest.raises(Failed) as caught:
        echo.create(KIND, "x", {"fail": "defect"})
    assert "ZeroDivisionError: by nought" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "File" not in str(caught.value)


def test_a_change_says_what_differs_and_what_replaces(echo: Client) -> None:
    made = Made(KIND, "x", "thing-1", {"size": 1, "colour": "red"}, {})
    answer, _ = echo.diff(made, {"size": 2, "colour": "blue"})
    assert answer.changes == pb.DiffResponse.DIFF_SOME
    assert list(answer.diffs) == ["colour", "size"]
    assert list(answer.replaces) == ["size"]
    assert answer.detailedDiff["size"].kind == pb.PropertyDiff.UPDATE_REPLACE
    answer, _ = echo.diff(made, {"size": 2, "colour": "blue"}, ignore=["size", "colour"])
    assert answer.changes == pb.DiffResponse.DIFF_NONE


def test_the_handshake_accepts_what_engines_send(served: Served) -> None:
    client = served.attach("echo")
    answer = client.call("Handshake", pb.ProviderHandshakeRequest(engine_address="127.0.0.1:1"))
    assert (answer.accept_secrets, answer.accept_resources, answer.accept_outputs) == (True, True, True)
    assert client.call("GetPluginInfo", EMPTY).version == "1.2.3"
    assert json.loads(client.call("GetSchema", pb.GetSchemaRequest()).schema) == {"name": "echo", "version": "1.2.3"}


def test_a_changed_configuration_updates_the_provider_in_place(served: Served) -> None:
    client = served.attach("echo")
    request = pb.DiffRequest(urn=client.urn("pulumi:providers:echo", "x"), news=encode({"a": "2"}))
    request.old_inputs.CopyFrom(encode({"a": "1"}))
    answer = client.call("DiffConfig", request)
    assert list(answer.diffs) == ["a"]
    assert not answer.replaces


def test_the_process_prints_its_ports_and_ends_with_its_input() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.providers", "aws"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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
