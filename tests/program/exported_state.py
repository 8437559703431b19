"""The AWS resources of an exported state, with the inputs that the program set, for cfn-lint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.program.cloudformation import template
from tests.program.recording import Recorded, Recording

_SECRET = "4dabf18193072939515e22adb298388d"
# pulumi-eks's children; the mapping of eks:index:Cluster and ManagedNodeGroup covers their inputs.
_CHILDREN = {"aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup"}


def template_of(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the CloudFormation template of a state's resources."""
    return template(
        Recording(
            resources=[
                Recorded(
                    item["type"], item["urn"].rpartition("::")[2], _plain(item["inputs"]), None
                )
                for item in resources
                if item["type"].startswith("aws:") and item["type"] not in _CHILDREN
            ]
        )
    )


def _plain(value: Any) -> Any:
    """Return inputs without the provider's defaults, and with secrets as text."""
    if isinstance(value, Mapping):
        if _SECRET in value:
            return "secret"
        # `preserve` has no counterpart in CloudFormation: it is a choice at the deletion.
        unset = {"__defaults", "tagsAll", "preserve", *value.get("__defaults", ())}
        return {key: _plain(item) for key, item in value.items() if key not in unset}
    return [_plain(item) for item in value] if isinstance(value, list) else value
