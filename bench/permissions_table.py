"""Generates docs/permissions.md from a recording of releases (`make permissions`).

Each statement of the pipelines' roles is listed with the permissions that a release used, and each
permission that no release uses with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sandbox.account.core.authorization import global_conditions
from sandbox.account.core.policy_evaluation import Statement, allows

_DOCS = Path(__file__).parents[1] / "docs"
RECORDING = _DOCS / "release-permissions.json"
TABLE = _DOCS / "permissions.md"

PURPOSE = {
    "Artifacts": "Source and builds exchange archives through the artifact bucket.",
    "ArtifactBucket": "CodePipeline and CodeBuild read the bucket's configuration.",
    "ArtifactKey": "Artifacts are encrypted with the pipeline's key, through S3 only.",
    "AssumeSourceRole": "The Source action has a role of its own.",
    "RunBuildProjects": "Each action starts its project and waits for the build.",
    "PublishApprovalRequests": "Reviewers are notified.",
    "EncryptApprovalRequests": "The topic is encrypted.",
    "DescribeAlarms": "Alarms gate the release.",
    "UseConnection": "Source reads the repository through one connection.",
    "WriteBuildLog": "The build writes the log of its own project.",
    "CreateNetworkInterfaces": "The build runs in the VPC.",
    "GrantNetworkInterfacesToCodeBuild": "CodeBuild attaches the interface to the build.",
    "LogInToRegistry": "`docker login`; the action has no resource.",
    "PushImageAndCache": "The build pushes the image and its cache.",
    "ReadProvenImages": "Promotion finds and copies the proven digest.",
    "PushImage": "Promotion stores the image in the environment's repository.",
    "ReadImage": "Verify reads the image that it tags as proven.",
    "PushProvenImage": "Verify stores the proven image where no other role can write.",
    "StopExecution": "The build stops the execution that a pipeline's creation starts.",
    "PushSignature": "Sign stores signature and SBOM beside the image.",
    "ReadSignature": "Promote and Deploy read signature and SBOM of the digest.",
    "UseSigningKey": "Sign signs the digest; Promote and Deploy verify the signature.",
    "ReadScan": "The gates read the findings of the digest's scan.",
    "ReadExecution": "A rollback is not refused for newer findings.",
    "ReadReleases": "The approval shows what runs.",
    "ReportTests": "The results of the tests are a report.",
    "DescribeCluster": "`aws eks update-kubeconfig`; the access entry limits the rest.",
}
_CUSTOM_ROLE = "https://docs.aws.amazon.com/codepipeline/latest/userguide/how-to-custom-role.html"
_BUILD_ROLE = "https://docs.aws.amazon.com/codebuild/latest/userguide/setting-up-service-role.html"
_PUSH = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html"
_CONNECTIONS = "https://docs.aws.amazon.com/dtconsole/latest/userguide/rename.html"
_STAGES = "https://docs.aws.amazon.com/codepipeline/latest/userguide/concepts-how-it-works.html"
# Statement and action (or "*"), the reason that no recorded release uses it, and its reference.
UNRECORDED: dict[tuple[str, str], tuple[str, str]] = {
    ("Artifacts", "s3:GetObjectVersion"): ("AWS reads artifacts by version", _CUSTOM_ROLE),
    ("Artifacts", "s3:GetObject"): ("AWS's documented minimum of an action's role", _CUSTOM_ROLE),
    ("Artifacts", "s3:PutObject"): ("AWS's documented minimum of a pipeline's role", _CUSTOM_ROLE),
    ("Artifacts", "s3:PutObjectAcl"): ("AWS's Source action uploads with an ACL", _CUSTOM_ROLE),
    ("ArtifactBucket", "*"): ("used by AWS itself before it reads or writes", _BUILD_ROLE),
    ("ArtifactKey", "kms:DescribeKey"): ("used by AWS itself", _CUSTOM_ROLE),
    ("ArtifactKey", "kms:Encrypt"): ("used by AWS itself", _CUSTOM_ROLE),
    ("ArtifactKey", "kms:ReEncrypt*"): (
        "used by AWS itself when it copies artifacts",
        _CUSTOM_ROLE,
    ),
    ("ArtifactKey", "kms:GenerateDataKey*"): ("used by AWS itself for parts", _CUSTOM_ROLE),
    ("ArtifactKey", "kms:Decrypt"): ("used by AWS itself for parts", _CUSTOM_ROLE),
    ("UseConnection", "codestar-connections:UseConnection"): (
        "connections created before July 2024 have this prefix",
        _CONNECTIONS,
    ),
    ("ReadExecution", "*"): (
        "failure path: asked only when the scan has findings",
        "decisions/0036-refuse-findings-before-the-deployment.md",
    ),
    ("ReadReleases", "codepipeline:ListActionExecutions"): (
        "used from the second release on",
        "how-to/roll-back.md",
    ),
    ("StopExecution", "*"): ("failure path: the first execution of a new pipeline", _STAGES),
    ("PushImageAndCache", "*"): ("BuildKit reads its cache and what exists", _PUSH),
    ("ReadImage", "*"): ("Docker reads what exists before a copy", _PUSH),
    ("ReadProvenImages", "*"): ("Docker reads what exists before a copy", _PUSH),
    ("PushImage", "*"): ("Docker uploads the layers that the sandbox's registry mounts", _PUSH),
    ("PushProvenImage", "*"): (
        "Docker uploads the layers that the sandbox's registry mounts",
        _PUSH,
    ),
}


def main() -> None:
    """Write the table."""
    TABLE.write_text(document(load()), encoding="utf-8")


def load() -> dict[str, Any]:
    """Return the recording: statements and used permissions by role."""
    recording: dict[str, Any] = json.loads(RECORDING.read_text(encoding="utf-8"))
    return recording


def is_used_by_releases(key: str) -> bool:
    """Return whether a release uses the role; the pipeline of pull requests is another one."""
    return "/pipeline-pull-request" not in key


def is_allowed(arn: str, call: Mapping[str, Any], statements: Iterable[Statement]) -> bool:
    """Return whether statements of a role allow a recorded call."""
    conditions = {**global_conditions(arn, call["region"]), **call["conditions"]}
    return allows(statements, call["action"], call["resource"], conditions)


def used_actions(role: Mapping[str, Any], statement: Statement) -> list[str]:
    """Return the actions of recorded calls that a statement allows."""
    return sorted(
        {call["action"] for call in role["used"] if is_allowed(role["arn"], call, [statement])}
    )


def unused_actions(role: Mapping[str, Any], statement: Statement) -> list[str]:
    """Return the granted actions that no recorded call used."""
    used = [action.lower() for action in used_actions(role, statement)]
    return [
        action
        for action in statement["Action"]
        if not any(fnmatchcase(name, action.lower()) for name in used)
    ]


def reason(sid: str, action: str) -> tuple[str, str] | None:
    """Return why an unused action is granted, and the reference."""
    return UNRECORDED.get((sid, action)) or UNRECORDED.get((sid, "*"))


def document(recording: Mapping[str, Any]) -> str:
    """Return the page."""
    return "\n".join(_lines(recording)) + "\n"


def _lines(recording: Mapping[str, Any]) -> Iterator[str]:
    yield "# Permissions of the pipelines' roles"
    yield ""
    yield "`make permissions` writes this page. It releases a commit to dev and its tag to prod in"
    yield "the sandbox, whose account decides each request by the roles' policies, and records the"
    yield "permissions that were evaluated ([recording](release-permissions.json)). Without any"
    yield "single statement, a recorded request is denied, except where the last column says that"
    yield "AWS itself or a failure uses it (`tests/program/test_release_permissions.py`)."
    for key, role in recording.items():
        stack, name = key.split("/")
        yield ""
        yield f"## {stack}: {name}"
        yield ""
        if not is_used_by_releases(key):
            yield "For pull requests, which the recorded releases do not contain."
            yield ""
            yield "| statement | purpose | actions |"
            yield "|---|---|---|"
            for statement in role["statements"]:
                sid = statement["Sid"]
                actions = "<br>".join(f"`{action}`" for action in statement["Action"])
                yield f"| {sid} | {PURPOSE.get(sid, '')} | {actions} |"
            continue
        yield "| statement | purpose | used in a release | granted for another reason |"
        yield "|---|---|---|---|"
        for statement in role["statements"]:
            sid = statement["Sid"]
            used = "<br>".join(f"`{action}`" for action in used_actions(role, statement))
            yield f"| {sid} | {PURPOSE.get(sid, '')} | {used} | {_others(role, statement)} |"


def _others(role: Mapping[str, Any], statement: Statement) -> str:
    grouped: dict[tuple[str, str], list[str]] = {}
    for action in unused_actions(role, statement):
        why = reason(statement["Sid"], action) or ("**no reason is known**", "")
        grouped.setdefault(why, []).append(f"`{action}`")
    return "<br>".join(
        f"{', '.join(actions)}: [{text}]({link})" for (text, link), actions in grouped.items()
    )


if __name__ == "__main__":
    main()
