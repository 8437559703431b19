"""Answers of an API server without what differs from run to run."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

# Status code, content and warnings of a response.
Answer = dict[str, Any]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_REVISION = re.compile(
    r"(resource ?version:? ?|, current: |the ResourceVersion in record \()\d+", re.IGNORECASE
)
_DUMP = re.compile(r"(?:Invalid|Unsupported|Duplicate) value: [{[]")
_QUOTED_DUMP = re.compile(r'value: "(?:\{|map\[).*[}\]]":')
_DROPPED = frozenset({"uid", "resourceVersion", "time", "selfLink", "storageVersionHash"})
_LONG_TEXT = 400


def normalize(code: int, content: bytes, warnings: list[str], namespace: str) -> Answer:
    """Return a response with placeholders for IDs, times, addresses and the namespace."""
    text = content.decode(errors="replace").replace(namespace, "{ns}")
    text = _TIME.sub("TIME", _UUID.sub("UID", text))
    documents: list[Any]
    try:
        documents = [_clean(json.loads(text))]
    except ValueError:
        try:  # a watch has one event a line
            documents = [_clean(json.loads(line)) for line in text.splitlines()]
        except ValueError:
            documents = [text.strip()]
    response: Answer = {"code": code, "content": documents[0] if len(documents) == 1 else documents}
    # The emulation also warns of what it does not do.
    compared = [item for item in warnings if "the sandbox does not" not in item]
    if compared:
        response["warnings"] = [_message(item.replace(namespace, "{ns}")) for item in compared]
    return response


def _clean(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        result = {
            name: _clean(item, name)
            for name, item in value.items()
            if name not in _DROPPED and not (name == "metadata" and not item)
        }
        _clean_object(result)
        return result
    if isinstance(value, list):
        return [_clean(item, key) for item in value]
    if isinstance(value, str):
        return _clean_text(value, key)
    return "PORT" if key == "nodePort" and value else value


def _clean_text(text: str, key: str) -> str:
    if key in {"clusterIP", "clusterIPs", "cells"} and _is_service_address(text):
        return "ADDRESS"
    return text.partition(":")[0] if key == "serverAddress" else _message(text)


def _clean_object(document: dict[str, Any]) -> None:
    if document.get("kind") == "Table":
        _clean_table(document)
    if document.get("kind") == "APIResourceList":
        document["resources"].sort(key=lambda item: str(item["name"]))
        document.pop("apiVersion", None)
    if document.get("reason") == "Conflict" and "causes" in document.get("details", {}):
        document["details"]["causes"].sort(key=lambda item: str(item["field"]))
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return
    prefix = metadata.get("generateName")
    if prefix and str(metadata.get("name", "")).startswith(prefix):
        metadata["name"] = f"{prefix}*"
    if metadata.get("continue"):
        metadata["continue"] = "TOKEN"
    if isinstance(metadata.get("managedFields"), list):
        metadata["managedFields"].sort(key=lambda item: json.dumps(item, sort_keys=True))


def _clean_table(table: Any) -> None:
    for column in table["columnDefinitions"]:
        column.pop("description", None)  # the API's documentation
    for row in table.get("rows") or ():
        row["cells"] = [
            "AGE" if isinstance(cell, str) and re.fullmatch(r"\d+s", cell) else cell
            for cell in row["cells"]
        ]


def _message(text: str) -> str:
    text = _without_dumps(text)
    text = _REVISION.sub(r"\1N", _TIME.sub("TIME", _UUID.sub("UID", text)))
    return text if len(text) <= _LONG_TEXT or " " in text[:200] else f"{text[:20]}…{len(text)}"


def _without_dumps(text: str) -> str:
    """Replace Go's dumps of whole objects, and the differences that follow a message."""
    text = text.partition("\n@@")[0]
    match = _DUMP.search(text)
    while match is not None:
        end = _end_of_dump(text, match.end() - 1)
        text = f"{text[: match.end() - 1]}OBJECT{text[end:]}"
        match = _DUMP.search(text, match.end())
    return _QUOTED_DUMP.sub("value: OBJECT:", text)


def _end_of_dump(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] in "{[") - (text[index] in "}]")
        if not depth:
            return index + 1
    return len(text)


def _is_service_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network("10.100.0.0/16")
    except ValueError:
        return False
