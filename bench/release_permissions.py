"""`make permissions`: records what the pipelines' roles use in a release, in both stacks.

It releases a commit to dev and its tag to prod, in the clone and sandbox of `make demo`, and writes
the policies and the permissions that were evaluated to docs/release-permissions.json. Identifiers
that differ between runs are replaced. `bench.permissions_table` then writes docs/permissions.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import boto3

from bench import permissions_table
from bench.demo import Demo
from sandbox.engine.state.backend import Backend
from sandbox.runtime.background import read_info
from sandbox.runtime.home import Home

STACKS = ("dev", "prod")
_ROLE = "aws:iam/role:Role"
# Role, statement, and the action that fails without it.
_DENIALS = (
    ("dev/pipeline-source", "UseConnection", "Source"),
    ("dev/pipeline", "RunBuildProjects", "Test"),
    ("dev/pipeline-test", "WriteBuildLog", "Test"),
    ("dev/pipeline-test", "ArtifactKey", "Test"),
)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# Parts of ARNs that AWS generates: IDs of keys, connections, interfaces; suffixes of names.
_VARIABLE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "uuid"),
    (re.compile(r"\b(?:eni|subnet|sg|vpc)-[0-9a-f]{8,17}"), "id"),
    (re.compile(r"(?<=-)[0-9a-f]{7,26}\b"), "suffix"),
)


def main() -> None:
    """Release to both stacks, and write the recording and its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="use the stacks of an earlier run")
    demo = Demo()
    if not parser.parse_args().again:
        demo.clone(all_tests=False)
        demo.step("dev is created", lambda: demo.up("dev"))
        demo.step("prod is created", lambda: demo.up("prod", "-c", "pipeline.bake_minutes=1"))
    commit = demo.commit("Change nothing but the commit")
    demo.step("a commit is released to dev", lambda: demo.release("dev"))
    demo.git("tag", f"v1-{commit[:8]}")
    demo.step("its tag is approved for prod", lambda: demo.release("prod", "--approve"))
    if demo.failed:
        sys.exit(f"nothing is recorded; failed: {'; '.join(demo.failed)}")
    recording = _Placeholders().replace(_record(demo.home))
    permissions_table.RECORDING.write_text(json.dumps(recording, indent=1) + "\n")
    permissions_table.main()
    for role, sid, action in _DENIALS:
        demo.step(
            f"without {sid}, {action} is denied",
            lambda role=role, sid=sid, action=action: _denied(demo, role, sid, action),  # type: ignore[misc]
        )
    demo.run("stop", check=False)
    if demo.failed:
        sys.exit(f"failed: {'; '.join(demo.failed)}")


def _denied(demo: Demo, role: str, sid: str, action: str) -> str:
    """Release to dev without a statement of a role, which must fail at an action."""
    home = Home(demo.home)
    iam, name = _iam(home), dict(_pipeline_roles(home))[role]["name"]
    [policy] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = _document(iam, name, policy)
    statements = [item for item in document["Statement"] if item["Sid"] != sid]

    def put(content: dict[str, Any]) -> None:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(content))

    put({**document, "Statement": statements})
    try:
        return demo.refused("dev", action)
    finally:
        put(document)


def _record(home: Path) -> dict[str, Any]:
    """Return statements and used permissions of each pipeline role."""
    iam = _iam(Home(home))
    with _DIRECT.open(f"{_account(Home(home))}/_sandbox/permissions", timeout=30) as response:
        calls = json.load(response)["calls"]
    roles = {}
    for key, role in _pipeline_roles(Home(home)):
        names = iam.list_role_policies(RoleName=role["name"])["PolicyNames"]
        statements = [
            statement
            for name in names
            for statement in _document(iam, role["name"], name)["Statement"]
        ]
        used = [
            {key: call[key] for key in ("region", "action", "resource", "conditions", "allowed")}
            for call in calls
            if call["principal"] == role["arn"]
        ]
        roles[key] = {
            "arn": role["arn"],
            "statements": statements,
            "used": sorted(used, key=lambda item: json.dumps(item, sort_keys=True)),
        }
    return dict(sorted(roles.items()))


def _account(home: Home) -> str:
    info = read_info(home)
    if info is None:
        sys.exit("the sandbox of the releases has stopped; nothing is recorded")
    return info.account


def _iam(home: Home) -> Any:
    return boto3.client(
        "iam",
        endpoint_url=_account(home),
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106 - the emulated account's own key
    )


def _pipeline_roles(home: Home) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the outputs of each role of a pipeline, by "STACK/LOGICAL NAME"."""
    for stack in STACKS:
        for resource in Backend(home.state).read("platform", stack).get("resources") or []:
            name = resource["urn"].rpartition("::")[2]
            if resource["type"] == _ROLE and name.startswith("pipeline"):
                yield f"{stack}/{name}", resource["outputs"]


def _document(iam: Any, role: str, name: str) -> dict[str, Any]:
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    content: dict[str, Any] = (
        json.loads(unquote(document)) if isinstance(document, str) else document
    )
    return content


class _Placeholders:
    """Replaces identifiers by a name and a number, in order of appearance."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def replace(self, content: Any) -> Any:
        """Return the content with all identifiers replaced."""
        text = json.dumps(content)
        for pattern, kind in _VARIABLE:
            text = pattern.sub(lambda match, kind=kind: self._name(match[0], kind), text)  # type: ignore[misc]
        return json.loads(text)

    def _name(self, identifier: str, kind: str) -> str:
        if identifier not in self._names:
            self._names[identifier] = f"{kind}-{len(self._names) + 1}"
        return self._names[identifier]


if __name__ == "__main__":
    main()
