"""Requests that kubectl sends as protobuf."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.kubernetes.apimachinery.errors import ApiError
from sandbox.kubernetes.apiserver import protobuf


def field(number: int, value: bytes | str | int) -> bytes:
    """Encode a field whose number and length are below 128."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(data)]) + data


def request(api_version: str, kind: str, message: bytes) -> bytes:
    return protobuf.MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, message)


DELETE_OPTIONS = (
    field(1, 30) + field(2, field(1, "uid-1")) + field(4, "Background") + field(5, "All")
)
DECODED = {
    "gracePeriodSeconds": 30,
    "preconditions": {"uid": "uid-1"},
    "propagationPolicy": "Background",
    "dryRun": ["All"],
}


@pytest.mark.parametrize(
    ("kind", "message", "content"),
    [
        ("DeleteOptions", DELETE_OPTIONS, DECODED),
        (
            "Eviction",
            field(1, field(1, "web") + field(3, "default")) + field(2, DELETE_OPTIONS),
            {"metadata": {"name": "web", "namespace": "default"}, "deleteOptions": DECODED},
        ),
    ],
)
def test_eviction_and_delete_options_are_decoded(
    kind: str, message: bytes, content: dict[str, Any]
) -> None:
    decoded = protobuf.decode(request("policy/v1", kind, message))
    assert decoded == {"apiVersion": "policy/v1", "kind": kind, **content}


def test_unknown_field_is_refused_by_number() -> None:
    with pytest.raises(ApiError, match="field 9 of Eviction"):
        protobuf.decode(request("policy/v1", "Eviction", field(9, "x")))
