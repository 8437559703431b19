"""The function getPolicyDocument, which builds a policy document without the account."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from sandbox.providers.aws.function import Function
from sandbox.providers.aws.operation import Call
from sandbox.providers.aws.properties import block, json_text, list_of, set_of, text
from sandbox.providers.protocol import Failure, Properties

_PRINCIPALS = set_of(
    block({"identifiers": set_of(text(), required=True), "type": text(required=True)})
)
_STATEMENT = block(
    {
        "actions": set_of(text()),
        "conditions": set_of(
            block(
                {
                    "test": text(required=True),
                    "values": list_of(text(), required=True),
                    "variable": text(required=True),
                }
            )
        ),
        "effect": text(default="Allow", one_of=("Allow", "Deny")),
        "notActions": set_of(text()),
        "notPrincipals": _PRINCIPALS,
        "notResources": set_of(text()),
        "principals": _PRINCIPALS,
        "resources": set_of(text()),
        "sid": text(),
    }
)


def _one_or_many(values: list[str]) -> str | list[str]:
    # The AWS provider writes sets in reverse order, and a single value without a list.
    return values[0] if len(values) == 1 else sorted(values, reverse=True)


def _principals(entries: list[Mapping[str, Any]]) -> Any:
    if any(entry["type"] == "*" and entry["identifiers"] == ["*"] for entry in entries):
        return "*"
    principals: dict[str, list[str]] = {}
    for entry in entries:
        principals.setdefault(entry["type"], []).extend(entry["identifiers"])
    return {kind: _one_or_many(sorted(set(values))) for kind, values in sorted(principals.items())}


def _conditions(entries: list[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    conditions: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        conditions.setdefault(entry["test"], {}).setdefault(entry["variable"], []).extend(
            entry["values"]
        )
    return {
        test: {
            name: values[0] if len(values) == 1 else values
            for name, values in sorted(tests.items())
        }
        for test, tests in sorted(conditions.items())
    }


def _statement(arguments: Mapping[str, Any]) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": arguments["sid"]} if arguments.get("sid") else {}
    statement["Effect"] = arguments["effect"]
    names = {
        "actions": "Action",
        "notActions": "NotAction",
        "resources": "Resource",
        "notResources": "NotResource",
    }
    for name, key in names.items():
        if arguments.get(name):
            statement[key] = _one_or_many([value.replace("&{", "${") for value in arguments[name]])
    if arguments.get("principals"):
        statement["Principal"] = _principals(arguments["principals"])
    if arguments.get("notPrincipals"):
        statement["NotPrincipal"] = _principals(arguments["notPrincipals"])
    if arguments.get("conditions"):
        statement["Condition"] = _conditions(arguments["conditions"])
    return statement


def _merged(
    statements: list[dict[str, Any]], more: list[dict[str, Any]], *, override: bool
) -> list[dict[str, Any]]:
    result = list(statements)
    for statement in more:
        sid = statement.get("Sid")
        place = next((i for i, other in enumerate(result) if sid and other.get("Sid") == sid), None)
        if place is None:
            result.append(statement)
        elif override:
            result[place] = statement
        else:
            raise Failure(f"duplicate Sid ({sid}) in the source policy documents; make each unique")
    return result


def _policy_document(call: Call, args: Properties) -> Properties:
    statements: list[dict[str, Any]] = []
    for source in args.get("sourcePolicyDocuments") or []:
        statements = _merged(statements, _listed(json.loads(source)), override=False)
    statements = _merged(
        statements, [_statement(blocks) for blocks in args.get("statements") or []], override=True
    )
    for source in args.get("overridePolicyDocuments") or []:
        statements = _merged(statements, _listed(json.loads(source)), override=True)
    document: dict[str, Any] = {"Version": args["version"]}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    document["Statement"] = statements
    pretty = json.dumps(document, indent=2)
    return {
        **args,
        "id": str(zlib.crc32(pretty.encode())),
        "json": pretty,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def _listed(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    statements = document.get("Statement", [])
    return statements if isinstance(statements, list) else [statements]


FUNCTIONS = (
    Function(
        "aws:iam/getPolicyDocument:getPolicyDocument",
        {
            "overridePolicyDocuments": list_of(json_text()),
            "policyId": text(),
            "sourcePolicyDocuments": list_of(json_text()),
            "statements": list_of(_STATEMENT),
            "version": text(default="2012-10-17", one_of=("2008-10-17", "2012-10-17")),
        },
        _policy_document,
    ),
)
