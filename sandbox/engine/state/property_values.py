"""Property values: in memory, on the wire (protobuf) and in a checkpoint (JSON).

A property is None, bool, int, float, str, list, dict, or a wrapper: `UNKNOWN` (not known before the
operation), `Secret` (never shown, encrypted at rest), `Output` (a value with its dependencies;
encoded only for remote components and methods). Assets, archives and resource references are dicts
with Pulumi's signature key. Signatures and sentinels come from the SDK (`pulumi.runtime.rpc`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a published type signature
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_ID = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        UNKNOWN_ID,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
_EXACT_INTEGERS = 2**53  # beyond this a double does not represent every integer


class Unknown:
    """The value that is not known yet; printed as Pulumi prints it."""

    def __repr__(self) -> str:
        return "output<computed>"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never printed and is encrypted in the state."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


@dataclass(frozen=True, slots=True)
class Output:
    """A value and the URNs it depends on, as programs send it to remote components."""

    value: Any
    dependencies: tuple[str, ...]


Properties = dict[str, Any]


class Encrypter(Protocol):
    """Encrypts secrets for a checkpoint."""

    def encrypt(self, plaintext: str) -> str:
        """Return the ciphertext of a secret."""


class Decrypter(Protocol):
    """Decrypts secrets of a checkpoint."""

    def decrypt(self, ciphertext: str) -> str:
        """Return the plaintext of a secret."""


def from_struct(struct: struct_pb2.Struct, *, outputs: bool = False) -> Properties:
    """Decode a wire struct; `outputs` keeps dependencies instead of plain or secret values."""
    return {key: _from_wire(value, outputs) for key, value in struct.fields.items()}


def from_value(value: struct_pb2.Value) -> Any:
    """Decode a wire value."""
    return _from_wire(value, False)


def _from_wire(value: struct_pb2.Value, outputs: bool) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value in _UNKNOWNS else value.string_value
    if kind == "number_value":
        return _number(value.number_value)
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [_from_wire(item, outputs) for item in value.list_value.values]
    if kind == "struct_value":
        return _from_wire_struct(value.struct_value, outputs)
    return None


def _from_wire_struct(struct: struct_pb2.Struct, outputs: bool) -> Any:
    fields = struct.fields
    signature = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
    if signature == SECRET:
        return secret(_from_wire(fields["value"], outputs))
    if signature == OUTPUT:
        content = _from_wire(fields["value"], outputs) if "value" in fields else UNKNOWN
        if "secret" in fields and fields["secret"].bool_value:
            content = secret(content)
        if outputs:
            urns = fields["dependencies"].list_value.values if "dependencies" in fields else ()
            return Output(content, tuple(urn.string_value for urn in urns))
        return content
    return _complete({key: _from_wire(item, outputs) for key, item in fields.items()})


def _complete(properties: Properties) -> Properties:
    """Return a resource reference as the CLI stores it: with its version."""
    if properties.get(SIGNATURE) == RESOURCE:
        encoded = {key: properties[key] for key in (SIGNATURE, "urn", "id") if key in properties}
        return {**encoded, "packageVersion": properties.get("packageVersion", "")}
    return properties


def _number(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < _EXACT_INTEGERS else number


def secret(value: Any) -> Secret:
    """Wrap a value once."""
    return value if isinstance(value, Secret) else Secret(value)


def copied(value: Any) -> Any:
    """Copy the lists and maps of a value."""
    if isinstance(value, Secret):
        return Secret(copied(value.value))
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    return value


def to_struct(
    properties: Mapping[str, Any], *, secrets: bool, resources: bool = True, outputs: bool = False
) -> struct_pb2.Struct:
    """Encode a wire struct; `secrets`, `resources`, `outputs` say what the receiver accepts."""
    struct = struct_pb2.Struct()
    for key, value in properties.items():
        _to_wire(value, struct.fields[key], secrets, resources, outputs)
    return struct


def _to_wire(  # noqa: PLR0912 - one branch per kind of value
    value: Any, wire: struct_pb2.Value, secrets: bool, resources: bool, outputs: bool
) -> None:
    if isinstance(value, Output):
        if outputs:
            _output_to_wire(value, wire, secrets, resources)
        else:
            _to_wire(value.value, wire, secrets, resources, outputs)
    elif isinstance(value, Secret):
        if secrets:
            wire.struct_value.fields[SIGNATURE].string_value = SECRET
            _to_wire(value.value, wire.struct_value.fields["value"], secrets, resources, outputs)
        else:
            _to_wire(value.value, wire, secrets, resources, outputs)
    elif value is UNKNOWN:
        wire.string_value = UNKNOWN_ID
    elif value is None:
        wire.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, str):
        wire.string_value = value
    elif isinstance(value, int | float):
        wire.number_value = value
    elif isinstance(value, list | tuple):
        wire.list_value.SetInParent()
        for item in value:
            _to_wire(item, wire.list_value.values.add(), secrets, resources, outputs)
    elif value.get(SIGNATURE) == RESOURCE and not resources:
        _to_wire(value["id"] if "id" in value else value["urn"], wire, secrets, resources, outputs)
    else:
        wire.struct_value.SetInParent()
        if value.get(SIGNATURE) == RESOURCE:
            value = _wire_reference(value)
        for key, item in value.items():
            _to_wire(item, wire.struct_value.fields[key], secrets, resources, outputs)


def _wire_reference(reference: Mapping[str, Any]) -> Properties:
    """Return a resource reference as the CLI sends it: with name and type, an unknown ID empty."""
    urn = str(reference["urn"])
    *_, kind, name = urn.split("::", 3)
    fields = {**reference, "name": name, "type": kind.rpartition("$")[2]}
    if fields.get("id") in (UNKNOWN, UNKNOWN_ID):
        fields["id"] = ""
    return {key: item for key, item in fields.items() if item or key != "packageVersion"}


def _output_to_wire(value: Output, wire: struct_pb2.Value, secrets: bool, resources: bool) -> None:
    content = value.value.value if isinstance(value.value, Secret) else value.value
    fields = wire.struct_value.fields
    fields[SIGNATURE].string_value = OUTPUT
    # Always write both: the SDK's experimental provider requires them.
    fields["secret"].bool_value = isinstance(value.value, Secret)
    dependencies = fields["dependencies"].list_value
    dependencies.values.extend([struct_pb2.Value(string_value=urn) for urn in value.dependencies])
    if not value.dependencies:
        dependencies.SetInParent()
    if content is not UNKNOWN:
        _to_wire(content, fields["value"], secrets, resources, True)


def to_state(value: Any, encrypter: Encrypter | None) -> Any:
    """Return the checkpoint's JSON; without an encrypter secrets are plaintext, as in an export."""
    if isinstance(value, Secret):
        plaintext = dumps(to_state(value.value, encrypter))
        encoded = (
            {"plaintext": plaintext}
            if encrypter is None
            else {"ciphertext": encrypter.encrypt(plaintext)}
        )
        return {SIGNATURE: SECRET, **encoded}
    if isinstance(value, Output):
        return to_state(value.value, encrypter)
    if value is UNKNOWN:
        return UNKNOWN_ID
    if isinstance(value, list):
        return [to_state(item, encrypter) for item in value]
    if isinstance(value, dict):
        return {key: to_state(item, encrypter) for key, item in value.items()}
    return value


def from_state(value: Any, decrypter: Decrypter) -> Any:
    """Decode the checkpoint's JSON."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            plaintext = (
                value["plaintext"]
                if "plaintext" in value
                else decrypter.decrypt(value["ciphertext"])
            )
            return secret(from_state(loads(plaintext), decrypter))
        return _complete({key: from_state(item, decrypter) for key, item in value.items()})
    if isinstance(value, list):
        return [from_state(item, decrypter) for item in value]
    if isinstance(value, str):
        return UNKNOWN if value in _UNKNOWNS else value
    return _number(value) if isinstance(value, float) else value


def dumps(value: Any) -> str:
    """Encode JSON as in a checkpoint: compact, sorted keys as in Go, no ASCII escapes."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def loads(text: str) -> Any:
    """Decode JSON of a checkpoint."""
    return json.loads(text)


def plain(value: Any) -> Any:
    """Remove all secret and output wrappers."""
    if isinstance(value, Secret | Output):
        return plain(value.value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def masked(value: Any) -> Any:
    """Return a copy for display: secrets as `[secret]`, unknowns as `output<computed>`."""
    if isinstance(value, Secret):
        return "[secret]"
    if isinstance(value, Output):
        return masked(value.value)
    if value is UNKNOWN:
        return repr(UNKNOWN)
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, dict):
        return {key: masked(item) for key, item in value.items()}
    return value


def is_asset(value: Any) -> bool:
    """Whether a value is an asset or archive, which are compared by content."""
    return isinstance(value, dict) and value.get(SIGNATURE) in (ASSET, ARCHIVE)


def equal(left: Any, right: Any) -> bool:
    """Compare plain values as on the wire: True is not 1, an unknown equals only itself."""
    left, right = _unwrap(left), _unwrap(right)
    if isinstance(left, dict) and isinstance(right, dict):
        if is_asset(left) and is_asset(right) and left.get("hash") and right.get("hash"):
            return bool(left[SIGNATURE] == right[SIGNATURE] and left["hash"] == right["hash"])
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            equal(one, other) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def _unwrap(value: Any) -> Any:
    while isinstance(value, Secret | Output):
        value = value.value
    return value


def same_secrecy(left: Any, right: Any) -> bool:
    """Whether two equal values have the same secrets; the state must record a new secret."""
    if isinstance(left, Secret) or isinstance(right, Secret):
        return isinstance(left, Secret) and isinstance(right, Secret)
    if isinstance(left, dict) and isinstance(right, dict):
        return all(same_secrecy(left[key], right.get(key)) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return all(same_secrecy(one, other) for one, other in zip(left, right, strict=False))
    return True


def outputs_within(value: Any) -> Iterator[Output]:
    """Yield every nested value with dependencies."""
    if isinstance(value, Output):
        yield value
    if isinstance(value, Secret | Output):
        yield from outputs_within(value.value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from outputs_within(item)
    elif isinstance(value, list):
        for item in value:
            yield from outputs_within(item)


def contains_unknown(value: Any) -> bool:
    """Whether anything nested is unknown."""
    return any(leaf is UNKNOWN for leaf in _leaves(value))


def contains_secret(value: Any) -> bool:
    """Whether anything nested is secret."""
    if isinstance(value, Secret):
        return True
    if isinstance(value, Output):
        return contains_secret(value.value)
    if isinstance(value, dict):
        return any(contains_secret(item) for item in value.values())
    return isinstance(value, list) and any(contains_secret(item) for item in value)


def _leaves(value: Any) -> Iterator[Any]:
    value = _unwrap(value)
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def without_unknowns(properties: Mapping[str, Any]) -> Properties:
    """Remove unknown properties; a checkpoint never contains one."""
    return {key: value for key, value in properties.items() if not contains_unknown(value)}


def annotate_secrets(results: Properties, sources: Mapping[str, Any]) -> None:
    """Mark outputs of secret inputs as secret, in place, for providers without secret support."""
    for key, source in sources.items():
        if key not in results:
            continue
        result = results[key]
        if isinstance(result, dict) and isinstance(source, dict):
            annotate_secrets(result, source)
        elif not isinstance(result, Secret) and contains_secret(source):
            results[key] = Secret(result)
