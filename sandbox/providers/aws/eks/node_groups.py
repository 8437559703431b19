"""EKS: managed node groups. Replacements: pulumi_aws's documentation of aws.eks.NodeGroup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.eks.clusters import MINUTE, MISSING, retag, wait_for_update
from sandbox.providers.aws.marshalling import filled, without_none
from sandbox.providers.aws.properties import (
    between,
    block,
    boolean,
    integer,
    length,
    list_of,
    map_of,
    set_of,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


class NodeGroup(Handler):
    """A managed node group."""

    token = "aws:eks/nodeGroup:NodeGroup"
    noun = "EKS Node Group"
    inputs = {
        "clusterName": text(required=True, replaces=True, rule=length(1, 100)),
        "nodeGroupName": text(replaces=True, rule=length(1, 63)),
        "nodeGroupNamePrefix": text(replaces=True, write_only=True),
        "nodeRoleArn": text(required=True, replaces=True),
        "subnetIds": set_of(text(), required=True, replaces=True),
        "amiType": text(computed=True, replaces=True),
        "capacityType": text(
            computed=True, replaces=True, one_of=("ON_DEMAND", "SPOT", "CAPACITY_BLOCK")
        ),
        "diskSize": integer(computed=True, replaces=True),
        "instanceTypes": list_of(text(), computed=True, replaces=True),
        "labels": map_of(),
        "taints": set_of(
            block(
                {
                    "key": text(required=True),
                    "value": text(),
                    "effect": text(
                        required=True, one_of=("NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE")
                    ),
                }
            )
        ),
        "launchTemplate": block(
            {
                "id": text(computed=True, replaces=True),
                "name": text(computed=True, replaces=True),
                "version": text(required=True),
            }
        ),
        "scalingConfig": block(
            {
                "desiredSize": integer(required=True, rule=between(0, 450)),
                "minSize": integer(required=True, rule=between(0, 450)),
                "maxSize": integer(required=True, rule=between(1, 450)),
            },
            required=True,
        ),
        "updateConfig": block(
            {
                "maxUnavailable": integer(rule=between(1, 100)),
                "maxUnavailablePercentage": integer(rule=between(1, 100)),
                "updateStrategy": text(computed=True, one_of=("DEFAULT", "MINIMAL")),
            },
            computed=True,
        ),
        "nodeRepairConfig": block({"enabled": boolean()}, computed=True),
        "remoteAccess": block(
            {"ec2SshKey": text(), "sourceSecurityGroupIds": set_of(text())}, replaces=True
        ),
        "version": text(computed=True),
        "releaseVersion": text(computed=True),
        "forceUpdateVersion": boolean(write_only=True),
    }
    outputs = ("arn", "resources", "status")
    volatile = ("resources", "status")
    autoname = AutoName("nodeGroupName", 63, unless=("nodeGroupNamePrefix",))
    conflicts = (("nodeGroupName", "nodeGroupNamePrefix"),)
    tagged = True
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the node group and wait for its nodes."""
        eks, cluster = call.client("eks"), inputs["clusterName"]
        name = (
            inputs.get("nodeGroupName")
            or f"{inputs['nodeGroupNamePrefix']}{call.resource.name}"[:63]
        )
        template = inputs.get("launchTemplate")
        request = filled(
            clusterName=cluster,
            nodegroupName=name,
            nodeRole=inputs["nodeRoleArn"],
            subnets=inputs["subnetIds"],
            scalingConfig=inputs["scalingConfig"],
            amiType=inputs.get("amiType"),
            capacityType=inputs.get("capacityType"),
            diskSize=inputs.get("diskSize"),
            instanceTypes=inputs.get("instanceTypes"),
            labels=inputs.get("labels"),
            taints=inputs.get("taints"),
            launchTemplate=_template(template) if template else None,
            updateConfig=inputs.get("updateConfig"),
            nodeRepairConfig=inputs.get("nodeRepairConfig"),
            remoteAccess=_remote(inputs.get("remoteAccess")),
            version=inputs.get("version"),
            releaseVersion=inputs.get("releaseVersion"),
            tags=inputs["tagsAll"],
        )
        eks.create_nodegroup(**request)
        id = call.record_created(f"{cluster}:{name}")
        self._settle(call, cluster, name)
        return id

    def _settle(self, call: Call, cluster: str, name: str) -> None:
        eks = call.client("eks")
        call.wait(
            lambda: str(
                eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"][
                    "status"
                ]
            ),
            ("ACTIVE",),
            failed=("CREATE_FAILED", "DEGRADED", "DELETING"),
            seconds=60 * MINUTE,
            what=f"node group {name}",
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the node group."""
        cluster, name = id.split(":", 1)
        group = call.client("eks").describe_nodegroup(clusterName=cluster, nodegroupName=name)[
            "nodegroup"
        ]
        resources = group.get("resources") or {}
        live = {
            "clusterName": cluster,
            "nodeGroupName": name,
            "arn": group["nodegroupArn"],
            "nodeRoleArn": group["nodeRole"],
            "subnetIds": group["subnets"],
            "status": group["status"],
            "labels": group.get("labels") or {},
            "taints": group.get("taints") or [],
            "launchTemplate": group.get("launchTemplate"),
            "scalingConfig": group["scalingConfig"],
            "version": group.get("version"),
            "releaseVersion": group.get("releaseVersion"),
            "resources": [
                filled(
                    autoscalingGroups=[
                        {"name": g["name"]} for g in resources.get("autoScalingGroups") or []
                    ],
                    remoteAccessSecurityGroupId=resources.get("remoteAccessSecurityGroup"),
                )
            ]
            if resources
            else [],
            "tagsAll": group.get("tags") or {},
        }
        for key in (
            "amiType",
            "capacityType",
            "diskSize",
            "instanceTypes",
            "updateConfig",
            "nodeRepairConfig",
        ):
            live[key] = group.get(key)
        remote = group.get("remoteAccess")
        live["remoteAccess"] = (
            filled(
                ec2SshKey=remote.get("ec2SshKey"),
                sourceSecurityGroupIds=remote.get("sourceSecurityGroups"),
            )
            if remote and remote.get("ec2SshKey")
            else None
        )
        return live

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update version or launch template; then sizes, labels, taints and policies."""
        eks, (cluster, name) = call.client("eks"), id.split(":", 1)
        of = {"clusterName": cluster, "nodegroupName": name}

        def done(response: Mapping[str, Any]) -> None:
            wait_for_update(call, cluster, response, 60 * MINUTE, nodegroupName=name)

        if changed & {"version", "releaseVersion", "launchTemplate"}:
            template = new.get("launchTemplate")
            done(
                eks.update_nodegroup_version(
                    **of,
                    **without_none(
                        version=new.get("version") if "version" in changed else None,
                        releaseVersion=new.get("releaseVersion")
                        if "releaseVersion" in changed
                        else None,
                        launchTemplate=_template(template)
                        if "launchTemplate" in changed and template
                        else None,
                        force=new.get("forceUpdateVersion"),
                    ),
                )
            )
        if changed & {"labels", "taints", "scalingConfig", "updateConfig", "nodeRepairConfig"}:
            done(eks.update_nodegroup_config(**of, **_config(old, new, changed)))

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the node group."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the node group and wait."""
        eks, (cluster, name) = call.client("eks"), id.split(":", 1)
        eks.delete_nodegroup(clusterName=cluster, nodegroupName=name)

        def state_now() -> str:
            try:
                group = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)
            except eks.exceptions.ResourceNotFoundException:
                return "gone"
            return str(group["nodegroup"]["status"])

        call.wait(
            state_now,
            ("gone",),
            failed=("DELETE_FAILED",),
            seconds=60 * MINUTE,
            what=f"node group {name}",
        )


def _template(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return a launch template by ID or by name; AWS refuses both."""
    by = "id" if template.get("id") else "name"
    return {by: template[by], "version": template["version"]}


def _remote(remote: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not remote:
        return None
    return filled(
        ec2SshKey=remote.get("ec2SshKey"), sourceSecurityGroups=remote.get("sourceSecurityGroupIds")
    )


def _config(old: Properties, new: Properties, changed: frozenset[str]) -> dict[str, Any]:
    request: dict[str, Any] = {
        key: new[key]
        for key in ("scalingConfig", "updateConfig", "nodeRepairConfig")
        if key in changed & set(new)
    }
    if "labels" in changed:
        before, after = old.get("labels") or {}, new.get("labels") or {}
        request["labels"] = filled(
            addOrUpdateLabels={k: v for k, v in after.items() if before.get(k) != v},
            removeLabels=[k for k in before if k not in after],
        )
    if "taints" in changed:
        before_taints, after_taints = old.get("taints") or [], new.get("taints") or []
        remaining = {(taint["key"], taint["effect"]) for taint in after_taints}
        request["taints"] = filled(
            addOrUpdateTaints=[taint for taint in after_taints if taint not in before_taints],
            removeTaints=[
                taint for taint in before_taints if (taint["key"], taint["effect"]) not in remaining
            ],
        )
    return request


TYPES = (NodeGroup(),)
