"""EKS managed node groups (and Fargate profiles by refusal): scaling, versions, updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.account.core.determinism import random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.eks import access, catalog, nodes
from sandbox.account.services.eks.clusters import (
    check_role,
    find,
    find_active,
    find_subnets,
    start_update,
)

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

_CUSTOM = "CUSTOM"


def _find(context: RequestContext, call: Call) -> Record:
    find(context, call, call["clusterName"])
    key = (call.region, call["clusterName"], call["nodegroupName"])
    group = context.table("eks.nodegroup").get(key)
    if group is None:
        text = f"No node group found for name: {call['nodegroupName']}."
        raise AwsError("ResourceNotFoundException", text, nodegroupName=call["nodegroupName"])
    return group


def _find_active(context: RequestContext, call: Call) -> Record:
    record = _find(context, call)
    if record["status"] != "ACTIVE":
        text = (
            f"Nodegroup {record['nodegroupName']} can't be changed while its status is "
            f"{record['status']}"
        )
        raise AwsError("ResourceInUseException", text)
    return record


def _scaling(requested: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    scaling = {**present, **{key: value for key, value in requested.items() if value is not None}}
    low, high, desired = scaling["minSize"], scaling["maxSize"], scaling["desiredSize"]
    if low > high:
        raise AwsError(
            "InvalidParameterException",
            f"Minimum capacity {low} can't be greater than maximum size {high}",
        )
    if desired < low:
        raise AwsError(
            "InvalidParameterException",
            f"Minimum capacity {low} can't be greater than desired size {desired}",
        )
    if desired > high:
        raise AwsError(
            "InvalidParameterException",
            f"desired capacity {desired} can't be greater than max size {high}",
        )
    return scaling


def _launch_template(
    context: RequestContext, call: Call, requested: dict[str, Any]
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the reference with id, name and version filled in, and the template's data."""
    templates = context.backend("ec2", call.region)
    named = bool(requested.get("name"))
    if named == bool(requested.get("id")):
        raise AwsError(
            "InvalidParameterException", "Either provide launch template ID or launch template name"
        )
    launch_id = (
        templates.launch_template_name_to_ids.get(requested["name"]) if named else requested["id"]
    )
    template = templates.launch_templates.get(launch_id)
    if template is None:
        raise AwsError(
            "InvalidParameterException",
            f"Launch template {requested.get('id') or requested['name']} does not exist",
        )
    version = str(requested.get("version") or template.default_version_number)
    number = {
        "$Latest": template.latest_version_number,
        "$Default": template.default_version_number,
    }.get(version, version)
    if not any(str(v.number) == str(number) for v in template.versions):
        raise AwsError(
            "InvalidParameterException", f"Launch template {template.id} has no version {version}"
        )
    data = next(v.data for v in template.versions if str(v.number) == str(number))
    return {"id": template.id, "name": template.name, "version": version}, dict(data)


def _ami_type(call: Call, instance_types: list[str], data: dict[str, Any]) -> str:
    if data.get("ImageId"):
        if call.get("amiType") not in {None, _CUSTOM}:
            raise AwsError(
                "InvalidParameterException",
                (
                    "You cannot specify an AMI Type when specifying an image id within the launch "
                    "template."
                ),
            )
        return _CUSTOM
    arm = [catalog.is_arm(kind) for kind in instance_types]
    if any(arm) and not all(arm):
        raise AwsError(
            "InvalidParameterException", f"{instance_types} mix arm64 and x86_64 instance types"
        )
    ami_type = str(
        call.get("amiType") or ("AL2023_ARM_64_STANDARD" if all(arm) else "AL2023_x86_64_STANDARD")
    )
    if ami_type != _CUSTOM and ("ARM_64" in ami_type or "ARM64" in ami_type) != all(arm):
        text = (
            f"[{', '.join(instance_types)}] is not a valid instance type for requested amiType "
            f"{ami_type}"
        )
        raise AwsError("InvalidParameterException", text)
    return ami_type


@implements("eks", "CreateNodegroup")
def create_nodegroup(context: RequestContext, call: Call) -> dict[str, Any]:
    """Check everything, then make the group; its nodes appear when it becomes active."""
    cluster = find_active(context, call, call["clusterName"])
    name, key = call["nodegroupName"], (call.region, call["clusterName"], call["nodegroupName"])
    if (existing := context.table("eks.nodegroup").get(key)) is not None:
        if existing["_token"] == call.get("clientRequestToken"):
            return {"nodegroup": existing}
        text = f"NodeGroup already exists with name {name} and cluster name {cluster['name']}"
        raise AwsError(
            "ResourceInUseException", text, nodegroupName=name, clusterName=cluster["name"]
        )
    check_role(context, call["nodeRole"], "ec2.amazonaws.com")
    subnets = find_subnets(context, call, call["subnets"])
    if any(subnet.vpc_id != cluster["resourcesVpcConfig"]["vpcId"] for subnet in subnets):
        raise AwsError("InvalidParameterException", "Subnets are not in the cluster's VPC")
    data: dict[str, Any] = {}
    template: dict[str, str] | None = None
    if call.get("launchTemplate"):
        template, data = _launch_template(context, call, call["launchTemplate"])
        if call.get("diskSize"):
            raise AwsError(
                "InvalidParameterException",
                "Disk size must be specified within the launch template.",
            )
        if call.get("remoteAccess"):
            raise AwsError(
                "InvalidParameterException",
                "Remote access configuration cannot be specified with a launch template.",
            )
        if call.get("instanceTypes") and data.get("InstanceType"):
            raise AwsError(
                "InvalidParameterException",
                "Cannot specify instance types in launch template and API request",
            )
    instance_types = call.get("instanceTypes") or (
        [] if data.get("InstanceType") else ["t3.medium"]
    )
    ami_type = _ami_type(call, instance_types or [data["InstanceType"]], data)
    scaling = _scaling(
        call.get("scalingConfig") or {}, {"minSize": 1, "maxSize": 2, "desiredSize": 2}
    )
    version, release = _versions(context, cluster, call, ami_type, cluster["version"])
    update_config = call.get("updateConfig") or {"maxUnavailable": 1}
    if "maxUnavailable" in update_config and "maxUnavailablePercentage" in update_config:
        raise AwsError(
            "InvalidParameterException",
            "Please provide either maxUnavailable or maxUnavailablePercentage, not both",
        )

    unique = random_uuid()
    record: Record = {
        "nodegroupName": name,
        "nodegroupArn": f"arn:aws:eks:{call.region}:{ACCOUNT_ID}:nodegroup/"
        f"{cluster['name']}/{name}/{unique}",
        "clusterName": cluster["name"],
        "version": version,
        "releaseVersion": release,
        "createdAt": context.clock.now(),
        "modifiedAt": context.clock.now(),
        "status": "CREATING",
        "capacityType": call.get("capacityType") or "ON_DEMAND",
        "scalingConfig": scaling,
        "subnets": call["subnets"],
        "amiType": ami_type,
        "nodeRole": call["nodeRole"],
        "labels": call.get("labels") or {},
        "taints": call.get("taints") or [],
        "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{unique}"}]},
        "health": {"issues": []},
        "updateConfig": {key: value for key, value in update_config.items() if value is not None},
        "nodeRepairConfig": call.get("nodeRepairConfig") or {"enabled": False},
        "tags": call.get("tags") or {},
        "_token": call.get("clientRequestToken"),
        "_region": call.region,
        "_cluster": cluster["name"],
        "_arn": cluster["arn"],
        "_instance_type": (instance_types or [data["InstanceType"]])[0],
        "_instances": [],
    }
    if instance_types:
        record["instanceTypes"] = instance_types
    if template is None:
        record["diskSize"] = call.get("diskSize") or 20
    else:
        record["launchTemplate"] = template
    if call.get("remoteAccess"):
        record["remoteAccess"] = call["remoteAccess"]
    context.table("eks.nodegroup")[key] = record
    access.add_node_role(context, cluster, record["nodeRole"])

    def activate() -> None:
        record["status"] = "ACTIVE"
        nodes.place(context, record)

    context.later(("eks", "nodegroup.create"), activate)
    return {"nodegroup": record}


def _versions(
    context: RequestContext, cluster: Record, call: Call, ami_type: str, default: str
) -> tuple[str, str]:
    version = call.get("version") or default
    minors = [int(v.split(".")[1]) for v in (version, cluster["version"])]
    if version not in catalog.RELEASES or minors[0] > minors[1]:
        text = (
            f"Requested nodegroup version {version} is not supported by cluster version "
            f"{cluster['version']}"
        )
        raise AwsError("InvalidParameterException", text)
    if ami_type == _CUSTOM:
        return version, call.get("releaseVersion") or ""
    release = call.get("releaseVersion") or catalog.RELEASES[version].ami_release
    # A replay keeps releases that a former catalog had.
    if not context.replaying and release != catalog.RELEASES[version].ami_release:
        text = f"Requested release version {release} is not valid for kubernetes version {version}."
        raise AwsError("InvalidParameterException", text)
    return version, release


@implements("eks", "DescribeNodegroup")
def describe_nodegroup(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a node group."""
    return {"nodegroup": _find(context, call)}


@implements("eks", "ListNodegroups")
def list_nodegroups(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the names of a cluster's node groups."""
    find(context, call, call["clusterName"])
    prefix = (call.region, call["clusterName"])
    return {"nodegroups": [key[2] for key in context.table("eks.nodegroup") if key[:2] == prefix]}


@implements("eks", "DeleteNodegroup")
def delete_nodegroup(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a group; its nodes leave at the end of the deletion."""
    record = _find(context, call)
    if record["status"] in {"DELETING", "UPDATING"}:
        text = (
            f"Nodegroup {record['nodegroupName']} cannot be deleted while its status is "
            f"{record['status']}"
        )
        raise AwsError("ResourceInUseException", text)
    record["status"] = "DELETING"

    def remove() -> None:
        record["_instances"] = []
        key = (record["_region"], record["_cluster"], record["nodegroupName"])
        del context.table("eks.nodegroup")[key]
        access.drop_node_role(context, record)
        if not context.replaying:
            context.clusters.set_nodes(record["_arn"], record["nodegroupName"], [])

    context.later(("eks", "nodegroup.delete"), remove)
    return {"nodegroup": record}


def _begin(
    context: RequestContext,
    record: Record,
    kind: str,
    params: dict[str, Any],
    changed: dict[str, Any],
) -> dict[str, Any]:
    scope = f"nodegroup/{record['nodegroupName']}"
    update = start_update(context, record, kind, params, scope=scope)
    record["status"] = "UPDATING"

    def finish() -> None:
        record.update(changed)
        record["status"], update["status"] = "ACTIVE", "Successful"
        record["modifiedAt"] = context.clock.now()
        if kind == "VersionUpdate":
            record["_instances"] = []
        nodes.place(context, record)

    context.later(("eks", "nodegroup.update"), finish)
    return {"update": update}


@implements("eks", "UpdateNodegroupConfig")
def update_nodegroup_config(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update scaling, labels, taints or the update configuration."""
    record = _find_active(context, call)
    changed: dict[str, Any] = {}
    if call.get("scalingConfig"):
        changed["scalingConfig"] = _scaling(call["scalingConfig"], record["scalingConfig"])
    if call.get("labels"):
        labels = {**record["labels"], **(call["labels"].get("addOrUpdateLabels") or {})}
        changed["labels"] = {
            k: v for k, v in labels.items() if k not in (call["labels"].get("removeLabels") or [])
        }
    if call.get("taints"):
        replaced = [
            *(call["taints"].get("addOrUpdateTaints") or []),
            *(call["taints"].get("removeTaints") or []),
        ]
        keep = [
            t
            for t in record["taints"]
            if (t["key"], t["effect"]) not in {(r["key"], r["effect"]) for r in replaced}
        ]
        changed["taints"] = [*keep, *(call["taints"].get("addOrUpdateTaints") or [])]
    if call.get("updateConfig"):
        changed["updateConfig"] = {k: v for k, v in call["updateConfig"].items() if v is not None}
    if call.get("nodeRepairConfig"):
        changed["nodeRepairConfig"] = call["nodeRepairConfig"]
    if not changed:
        raise AwsError("InvalidParameterException", "No update parameters are set")
    scaling = changed.get("scalingConfig", {})
    params = {
        name: scaling.get(key)
        for name, key in (
            ("MinSize", "minSize"),
            ("MaxSize", "maxSize"),
            ("DesiredSize", "desiredSize"),
        )
    }
    return _begin(context, record, "ConfigUpdate", params, changed)


@implements("eks", "UpdateNodegroupVersion")
def update_nodegroup_version(context: RequestContext, call: Call) -> dict[str, Any]:
    """Roll a group to another version, release or launch template version, replacing its nodes."""
    record = _find_active(context, call)
    cluster = find(context, call, record["_cluster"])
    changed: dict[str, Any] = {}
    if call.get("launchTemplate"):
        if "launchTemplate" not in record:
            raise AwsError(
                "InvalidParameterException",
                "A node group without a launch template cannot get one",
            )
        changed["launchTemplate"], data = _launch_template(context, call, call["launchTemplate"])
        if changed["launchTemplate"]["id"] != record["launchTemplate"]["id"]:
            raise AwsError(
                "InvalidParameterException", "Launch template ID cannot be changed on update"
            )
        if data.get("InstanceType"):
            changed["_instance_type"] = data["InstanceType"]
    version, release = _versions(
        context, cluster, call, record["amiType"], _default_version(call, record, cluster)
    )
    if int(version.split(".")[1]) < int(record["version"].split(".")[1]):
        raise AwsError(
            "InvalidParameterException",
            f"Nodegroup cannot go back from {record['version']} to {version}",
        )
    changed |= {"version": version, "releaseVersion": release}
    return _begin(
        context, record, "VersionUpdate", {"Version": version, "ReleaseVersion": release}, changed
    )


def _default_version(call: Call, record: Record, cluster: Record) -> str:
    """Return the version of a release or launch template; otherwise the cluster's (EKS API
    reference).
    """
    if call.get("releaseVersion"):
        return ".".join(call["releaseVersion"].split(".")[:2])
    return str(record["version"] if call.get("launchTemplate") else cluster["version"])
