"""EKS add-ons."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.eks import access, catalog, pod_identity
from sandbox.account.services.eks.clusters import find, find_active, start_update

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call


def _find(context: RequestContext, call: Call) -> Record:
    find(context, call, call["clusterName"])
    addon = context.table("eks.addon").get((call.region, call["clusterName"], call["addonName"]))
    if addon is None:
        text = f"No addon: {call['addonName']} found in cluster: {call['clusterName']}"
        raise AwsError("ResourceNotFoundException", text, addonName=call["addonName"])
    return addon


def _version(call: Call, kubernetes: str, default: str | None = None) -> str:
    versions = catalog.addon_versions(call["addonName"], kubernetes)
    if not versions:
        text = (
            f"Addon {call['addonName']} specified is not supported in {kubernetes} kubernetes "
            "version"
        )
        raise AwsError("InvalidParameterException", text, addonName=call["addonName"])
    version = call.get("addonVersion") or default or versions[0]
    if version not in versions:
        text = (
            f"Addon version specified is not supported: {version}; for {kubernetes} there are "
            f"{', '.join(versions)}"
        )
        raise AwsError("InvalidParameterException", text, addonName=call["addonName"])
    return version


def _check_values(values: str | None) -> None:
    try:
        parsed = json.loads(values) if values else {}
    except ValueError as error:
        raise AwsError(
            "InvalidParameterException", "ConfigurationValue is not in valid JSON format"
        ) from error
    if not isinstance(parsed, dict):
        raise AwsError("InvalidParameterException", "ConfigurationValue must be a JSON object")


@implements("eks", "CreateAddon")
def create_addon(context: RequestContext, call: Call) -> dict[str, Any]:
    """Create an add-on."""
    cluster = find_active(context, call, call["clusterName"])
    name, key = call["addonName"], (call.region, call["clusterName"], call["addonName"])
    if key in context.table("eks.addon"):
        raise AwsError(
            "ResourceInUseException",
            "Addon already exists.",
            clusterName=cluster["name"],
            addonName=name,
        )
    version = _version(call, cluster["version"])
    _check_values(call.get("configurationValues"))
    if call.get("serviceAccountRoleArn"):
        access.check_principal(context, call["serviceAccountRoleArn"])
    record: Record = {
        "addonName": name,
        "clusterName": cluster["name"],
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": f"arn:aws:eks:{call.region}:{ACCOUNT_ID}:addon/"
        f"{cluster['name']}/{name}/{random_uuid()}",
        "createdAt": context.clock.now(),
        "modifiedAt": context.clock.now(),
        "tags": call.get("tags") or {},
        "namespaceConfig": call.get("namespaceConfig")
        or {"namespace": catalog.ADDON_NAMESPACES.get(name, "kube-system")},
        "_region": call.region,
        "_cluster": cluster["name"],
    }
    for optional in ("serviceAccountRoleArn", "configurationValues"):
        if call.get(optional):
            record[optional] = call[optional]
    record["podIdentityAssociations"] = _associate(context, call, cluster, record)
    context.table("eks.addon")[key] = record
    context.later(("eks", "addon.create"), lambda: record.update(status="ACTIVE"))
    return {"addon": record}


def _associate(context: RequestContext, call: Call, cluster: Record, addon: Record) -> list[str]:
    associations = call.get("podIdentityAssociations") or []
    for association in associations:
        pod_identity.check_role(context, association["roleArn"])
    return [
        pod_identity.add(
            context,
            cluster,
            addon["namespaceConfig"]["namespace"],
            association["serviceAccount"],
            association["roleArn"],
            owner=addon["addonArn"],
        )["associationArn"]
        for association in associations
    ]


@implements("eks", "DescribeAddon")
def describe_addon(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return an add-on."""
    return {"addon": _find(context, call)}


@implements("eks", "ListAddons")
def list_addons(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the names of a cluster's add-ons."""
    find(context, call, call["clusterName"])
    prefix = (call.region, call["clusterName"])
    return {"addons": [key[2] for key in context.table("eks.addon") if key[:2] == prefix]}


@implements("eks", "UpdateAddon")
def update_addon(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update an add-on's version, configuration or role."""
    record = _find(context, call)
    if record["status"] not in {"ACTIVE", "DEGRADED", "UPDATE_FAILED"}:
        raise AwsError(
            "ResourceInUseException", f"Addon {record['addonName']} is {record['status']}"
        )
    cluster = find(context, call, record["_cluster"])
    version = _version(call, cluster["version"], record["addonVersion"])
    _check_values(call.get("configurationValues"))
    changed: dict[str, Any] = {"addonVersion": version}
    for optional in ("serviceAccountRoleArn", "configurationValues"):
        if optional in call.params:
            changed[optional] = call[optional]
    if call.get("serviceAccountRoleArn"):
        access.check_principal(context, call["serviceAccountRoleArn"])
    if "podIdentityAssociations" in call.params:
        pod_identity.delete_owned(context, record["addonArn"])
        changed["podIdentityAssociations"] = _associate(context, call, cluster, record)
    params = {"AddonVersion": version, "ResolveConflicts": call.get("resolveConflicts")}
    update = start_update(
        context, record, "AddonUpdate", params, scope=f"addon/{record['addonName']}"
    )
    record["status"] = "UPDATING"

    def finish() -> None:
        record.update(changed)
        record.update(status="ACTIVE", modifiedAt=context.clock.now())
        update["status"] = "Successful"

    context.later(("eks", "addon.update"), finish)
    return {"update": update}


@implements("eks", "DeleteAddon")
def delete_addon(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete an add-on and its Pod Identity associations."""
    record = _find(context, call)
    if record["status"] == "DELETING":
        raise AwsError("ResourceInUseException", f"Addon {record['addonName']} is being deleted")
    record["status"] = "DELETING"

    def remove() -> None:
        pod_identity.delete_owned(context, record["addonArn"])
        context.table("eks.addon").pop(
            (record["_region"], record["_cluster"], record["addonName"]), None
        )

    context.later(("eks", "addon.delete"), remove)
    return {"addon": record}


@implements("eks", "DescribeAddonVersions")
def describe_addon_versions(context: RequestContext, call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Return the available add-ons, newest version first; the first is the default."""
    kubernetes = call.get("kubernetesVersion")
    types = call.get("types")
    addons = []
    for name, versions in catalog.ADDONS.items():
        kind = catalog.ADDON_TYPES.get(name, "observability")
        if call.get("addonName") not in {None, name} or (types and kind not in types):
            continue
        infos = []
        for version, supported in versions.items():
            shown = [k for k in supported if kubernetes in {None, k}]
            if shown:
                infos.append(
                    {
                        "addonVersion": version,
                        "architecture": ["amd64", "arm64"],
                        "computeTypes": ["ec2", "auto"],
                        "compatibilities": [
                            {
                                "clusterVersion": k,
                                "platformVersions": ["*"],
                                "defaultVersion": catalog.addon_versions(name, k)[0] == version,
                            }
                            for k in shown
                        ],
                        "requiresConfiguration": False,
                        "requiresIamPermissions": name in catalog.NEEDS_IAM,
                    }
                )
        if infos:
            namespace = catalog.ADDON_NAMESPACES.get(name, "kube-system")
            addons.append(
                {
                    "addonName": name,
                    "type": kind,
                    "addonVersions": infos,
                    "publisher": "eks",
                    "owner": "aws",
                    "defaultNamespace": namespace,
                }
            )
    if call.get("addonName") and not addons:
        text = f"Addon {call['addonName']} specified is not supported" + (
            f" in {kubernetes} kubernetes version" if kubernetes else ""
        )
        raise AwsError("InvalidParameterException", text)
    return {"addons": addons}
