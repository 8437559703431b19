"""Property values between the wire and Python: unknowns, secrets, outputs, assets, references.

Providers use plain Python values (str, int, float, bool, None, list, dict, pulumi.Asset,
pulumi.Archive) and `UNKNOWN`. Secrecy is a separate set of paths, which copying a value cannot
lose; the framework restores it on the way out.

`PropertyValue.unmarshal` of pulumi 3.272 reads neither unknown values nor outputs without value,
and `PropertyValue.marshal` refuses `Computed`; this module handles both and uses the SDK for the
rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pulumi
from google.protobuf import struct_pb2
from pulumi.provider.experimental.property_value import PropertyValue, ResourceReference
from pulumi.runtime import rpc

Path: TypeAlias = tuple[str, ...]
"""Keys from the top to a value. A secret in a list is recorded for the whole list."""

Properties: TypeAlias = dict[str, Any]


class Unknown:
    """The type of `UNKNOWN`: a value that is known after the update."""

    def __repr__(self) -> str:
        return "<unknown>"

    def __copy__(self) -> Unknown:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Unknown:
        return self


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Decoded:
    """A property map from the wire: plain values and the paths of secrets."""

    values: Properties
    secrets: frozenset[Path]


def is_known(value: Any) -> bool:
    """Whether nothing in the value is unknown."""
    if isinstance(value, Unknown):
        return False
    if isinstance(value, Mapping):
        return all(is_known(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(is_known(item) for item in value)
    return True


def decode(struct: struct_pb2.Struct) -> Decoded:
    """Decode a property map; null properties are absent in the protocol."""
    secrets: set[Path] = set()
    values = {
        key: _read(item, (key,), secrets, in_list=False) for key, item in struct.fields.items()
    }
    return Decoded({k: v for k, v in values.items() if v is not None}, frozenset(secrets))


def encode(values: Mapping[str, Any], secrets: Iterable[Path] = ()) -> struct_pb2.Struct:
    """Encode a property map; the values at `secrets` are marked as secret."""
    marked = frozenset(secrets)
    fields = {key: _write(item, (key,), marked) for key, item in values.items() if item is not None}
    return struct_pb2.Struct(fields=fields)


def _read(value: struct_pb2.Value, path: Path, secrets: set[Path], *, in_list: bool) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "list_value":
        return [_read(item, path, secrets, in_list=True) for item in value.list_value.values]
    if kind == "struct_value":
        return _read_struct(value, path, secrets, in_list=in_list)
    return value.bool_value if kind == "bool_value" else None


def _read_struct(value: struct_pb2.Value, path: Path, secrets: set[Path], *, in_list: bool) -> Any:
    fields = value.struct_value.fields
    signature = (
        fields[rpc._special_sig_key].string_value if rpc._special_sig_key in fields else None
    )
    if signature is None:
        return {
            key: _read(item, path if in_list else (*path, key), secrets, in_list=in_list)
            for key, item in fields.items()
        }
    if signature in (rpc._special_secret_sig, rpc._special_output_value_sig):
        is_output = signature == rpc._special_output_value_sig
        if not is_output or fields["secret"].bool_value:
            secrets.add(path)
        return (
            _read(fields["value"], path, secrets, in_list=in_list) if "value" in fields else UNKNOWN
        )
    plain = PropertyValue.unmarshal(value).value
    if isinstance(plain, ResourceReference):
        # Providers get IDs for resource references, as engines do for providers without references.
        return (
            plain.resource_id.value if plain.resource_id and plain.resource_id.value else plain.urn
        )
    return plain


def _write(
    value: Any, path: Path, secrets: frozenset[Path], *, in_list: bool = False
) -> struct_pb2.Value:
    result = _write_plain(value, path, secrets, in_list=in_list)
    if in_list or path not in secrets:
        return result
    signature = struct_pb2.Value(string_value=rpc._special_secret_sig)
    return struct_pb2.Value(
        struct_value=struct_pb2.Struct(fields={rpc._special_sig_key: signature, "value": result})
    )


def _write_plain(  # noqa: PLR0911 - one return per kind of value
    value: Any, path: Path, secrets: frozenset[Path], *, in_list: bool
) -> struct_pb2.Value:
    if isinstance(value, Unknown):
        return struct_pb2.Value(string_value=rpc.UNKNOWN)
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, (int, float)):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, Mapping):
        fields = {
            key: _write(item, path if in_list else (*path, key), secrets, in_list=in_list)
            for key, item in value.items()
        }
        return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
    if isinstance(value, (list, tuple)):
        items = [_write(item, path, secrets, in_list=True) for item in value]
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
    if isinstance(value, (pulumi.Asset, pulumi.Archive)):
        return PropertyValue(value).marshal()
    raise TypeError(
        f"a provider returned {type(value).__name__} in property {'.'.join(path)}, which has no "
        "wire form"
    )
