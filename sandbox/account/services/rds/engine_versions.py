"""RDS engine versions: docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Major version to minor versions, newest first.
POSTGRES: dict[str, tuple[str, ...]] = {
    "18": ("18.4", "18.3", "18.1"),
    "17": ("17.10", "17.9", "17.7", "17.6", "17.5", "17.4", "17.2"),
    "16": ("16.14", "16.13", "16.11", "16.10", "16.9", "16.8", "16.6"),
    "15": ("15.18", "15.17", "15.15", "15.14", "15.13", "15.12"),
    "14": ("14.23", "14.22", "14.20", "14.19", "14.18", "14.17"),
}


def full_version(requested: str | None) -> str:
    """Return the full version; a major version means its newest minor. Raises
    InvalidParameterCombination.
    """
    major = (requested or "17").partition(".")[0]
    if major in POSTGRES and (requested in {None, major} or requested in POSTGRES[major]):
        return POSTGRES[major][0] if requested in {None, major} else str(requested)
    raise AwsError("InvalidParameterCombination", f"Cannot find version {requested} for postgres")


@implements("rds", "DescribeDBEngineVersions")
def describe_engine_versions(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return the available PostgreSQL versions."""
    if call.get("Engine") not in {None, "postgres"}:
        return {"DBEngineVersions": []}
    requested, family = call.get("EngineVersion"), call.get("DBParameterGroupFamily")
    versions = []
    for major, minors in POSTGRES.items():
        for index, minor in enumerate(minors):
            if requested in {None, major, minor} and family in {None, f"postgres{major}"}:
                newer = minors[:index]
                upgrades = [
                    {
                        "Engine": "postgres",
                        "EngineVersion": v,
                        "IsMajorVersionUpgrade": False,
                        "AutoUpgrade": v == minors[0],
                    }
                    for v in newer
                ]
                following = POSTGRES.get(str(int(major) + 1), ())
                upgrades += [
                    {
                        "Engine": "postgres",
                        "EngineVersion": v,
                        "IsMajorVersionUpgrade": True,
                        "AutoUpgrade": False,
                    }
                    for v in following[:1]
                ]
                versions.append(
                    {
                        "Engine": "postgres",
                        "EngineVersion": minor,
                        "MajorEngineVersion": major,
                        "DBParameterGroupFamily": f"postgres{major}",
                        "DBEngineDescription": "PostgreSQL",
                        "DBEngineVersionDescription": f"PostgreSQL {minor}-R1",
                        "ValidUpgradeTarget": upgrades,
                        "ExportableLogTypes": ["postgresql", "upgrade", "iam-db-auth-error"],
                        "SupportsLogExportsToCloudwatchLogs": True,
                        "SupportsReadReplica": True,
                        "Status": "available",
                    }
                )
    if call.get("DefaultOnly"):
        default = full_version(requested)
        versions = [version for version in versions if version["EngineVersion"] == default]
    return {
        "DBEngineVersions": sorted(
            versions, key=lambda v: [int(p) for p in str(v["EngineVersion"]).split(".")]
        )
    }
