"""EKS's versions on offer, the tags of all its objects, and its part of the inventory."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import Item, implements, lists
from sandbox.account.services.eks import catalog

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call


@implements("eks", "DescribeClusterVersions")
def describe_cluster_versions(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the Kubernetes versions on offer."""
    today = context.clock.now().date()
    requested = call.get("clusterVersions") or list(catalog.RELEASES)
    versions = []
    for version in reversed([v for v in catalog.RELEASES if v in requested]):
        release = catalog.RELEASES[version]
        status = catalog.support(version, today)
        versions.append(
            {
                "clusterVersion": version,
                "clusterType": "eks",
                "defaultVersion": version == catalog.DEFAULT_VERSION,
                "defaultPlatformVersion": release.platform,
                "kubernetesPatchVersion": release.patch,
                "releaseDate": _midnight(release.released),
                "endOfStandardSupportDate": _midnight(release.standard_until),
                "endOfExtendedSupportDate": _midnight(release.extended_until),
                "status": status.lower().replace("_", "-"),
                "versionStatus": status,
            }
        )
    if call.get("defaultOnly"):
        versions = [version for version in versions if version["defaultVersion"]]
    return {"clusterVersions": versions}


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time())


def _tagged(context: RequestContext, call: Call) -> Record:
    """Return the record that has the ARN of a tagging call."""
    arn = call["resourceArn"]
    for name, table in context.tables.items():
        if name.startswith("eks."):
            for record in table.values():
                if arn in (
                    record.get(k)
                    for k in ("arn", "nodegroupArn", "addonArn", "accessEntryArn", "associationArn")
                ):
                    return record
    raise AwsError("NotFoundException", f"No resource with ARN {arn}")


@implements("eks", "TagResource")
def tag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Add tags."""
    _tagged(context, call).setdefault("tags", {}).update(call["tags"])
    return {}


@implements("eks", "UntagResource")
def untag_resource(context: RequestContext, call: Call) -> dict[str, Any]:
    """Remove tags."""
    tags = _tagged(context, call).setdefault("tags", {})
    for key in call["tagKeys"]:
        tags.pop(key, None)
    return {}


@implements("eks", "ListTagsForResource")
def list_tags(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return tags."""
    return {"tags": _tagged(context, call).get("tags", {})}


_KINDS = {
    "eks.cluster": ("cluster", "arn", "name"),
    "eks.nodegroup": ("nodegroup", "nodegroupArn", "nodegroupName"),
    "eks.addon": ("addon", "addonArn", "addonName"),
    "eks.access": ("access-entry", "accessEntryArn", "principalArn"),
    "eks.podidentity": ("pod-identity-association", "associationArn", "associationId"),
}


@lists
def inventory(context: RequestContext) -> Iterable[Item]:
    """Yield every EKS object."""
    for table, (kind, arn, name) in _KINDS.items():
        for key, record in context.table(table).items():
            yield Item(
                "eks",
                kind,
                record[name],
                record[arn],
                record[name],
                key[0],
                record.get("tags") or {},
            )
