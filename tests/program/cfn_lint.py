"""cfn-lint over the resources of each variant, and its accepted findings.

https://github.com/aws-cloudformation/cfn-lint: CloudFormation's schemas (patterns, lengths, enums,
required properties) and rules between properties.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cfnlint.api import lint as cfn_lint
from cfnlint.config import ManualArgs

from tests.program.cloudformation import template
from tests.program.recording import REGION
from tests.program.variants import recordings


@dataclass(frozen=True)
class Finding:
    """A finding of cfn-lint."""

    rule: str
    resource: str
    """Type in CloudFormation."""
    path: str
    message: str


@dataclass(frozen=True)
class Accepted:
    """Findings of a rule about a type, and the reason why they are accepted."""

    rule: str
    resource: str
    reason: str


ACCEPTED = (
    Accepted(
        "W3010",
        "AWS::EC2::Subnet",
        "The program asks the account for its zones and their support of EKS.",
    ),
)


@cache
def templates() -> dict[str, dict[str, Any]]:
    """Return the template of each variant."""
    return {variant: template(recording) for variant, recording in recordings().items()}


@cache
def findings() -> tuple[Finding, ...]:
    """Return the findings about all variants."""
    return tuple(finding for content in templates().values() for finding in lint(content))


def lint(content: Mapping[str, Any]) -> list[Finding]:
    """Return the findings about one template."""
    matches = cfn_lint(json.dumps(content), config=ManualArgs(regions=[REGION]))
    return [
        Finding(
            rule=match.rule.id,
            resource=content["Resources"].get((match.path or ["", ""])[1], {}).get("Type", ""),
            path="/".join(map(str, match.path or [])),
            message=match.message,
        )
        for match in matches
    ]


def accepts(entry: Accepted, finding: Finding) -> bool:
    """Return whether an entry accepts a finding."""
    return (finding.rule, finding.resource) == (entry.rule, entry.resource)
