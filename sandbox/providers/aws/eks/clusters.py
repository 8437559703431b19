"""EKS: clusters.

Replacements and defaults: pulumi_aws's documentation of aws.eks.Cluster. Updates run in the AWS
provider's order: version first, then one setting at a time, as EKS requires.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.providers.aws.marshalling import filled, moment, without_none
from sandbox.providers.aws.properties import block, boolean, length, set_of, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.property_values import UNKNOWN
from sandbox.providers.protocol import Properties
from sandbox.runtime.cluster_backends import StackBackends
from sandbox.runtime.home import Home

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
MISSING = ("ResourceNotFoundException",)
MINUTE = 60.0


def wait_for_update(
    call: Call, cluster: str, response: Mapping[str, Any], seconds: float, **of: str
) -> None:
    """Wait for an update of a cluster, node group (`nodegroupName`) or add-on (`addonName`)."""
    eks, update = call.client("eks"), response["update"]["id"]

    def state() -> str:
        return str(eks.describe_update(name=cluster, updateId=update, **of)["update"]["status"])

    call.wait(
        state,
        ("Successful",),
        failed=("Failed", "Cancelled"),
        seconds=seconds,
        what=f"update {update}",
    )


def retag(call: Call, arn: str, put: Mapping[str, str], drop: Sequence[str]) -> None:
    """Update the tags of an EKS object."""
    if drop:
        call.client("eks").untag_resource(resourceArn=arn, tagKeys=list(drop))
    if put:
        call.client("eks").tag_resource(resourceArn=arn, tags=dict(put))


def described(cluster: Mapping[str, Any]) -> Properties:
    """Return a cluster of DescribeCluster as properties."""
    network, vpc = dict(cluster.get("kubernetesNetworkConfig") or {}), cluster["resourcesVpcConfig"]
    logging = (cluster.get("logging") or {}).get("clusterLogging") or []
    access = cluster.get("accessConfig") or {}
    return {
        "name": cluster["name"],
        "arn": cluster["arn"],
        "roleArn": cluster["roleArn"],
        "version": cluster["version"],
        "endpoint": cluster.get("endpoint"),
        "status": cluster["status"],
        "platformVersion": cluster.get("platformVersion"),
        "createdAt": moment(cluster.get("createdAt")),
        "certificateAuthority": {"data": (cluster.get("certificateAuthority") or {}).get("data")},
        "identities": [{"oidcs": [{"issuer": cluster["identity"]["oidc"]["issuer"]}]}]
        if cluster.get("identity")
        else [],
        "vpcConfig": filled(
            subnetIds=vpc.get("subnetIds"),
            securityGroupIds=vpc.get("securityGroupIds"),
            endpointPublicAccess=vpc.get("endpointPublicAccess"),
            endpointPrivateAccess=vpc.get("endpointPrivateAccess"),
            publicAccessCidrs=vpc.get("publicAccessCidrs"),
            clusterSecurityGroupId=vpc.get("clusterSecurityGroupId"),
            vpcId=vpc.get("vpcId"),
        ),
        "kubernetesNetworkConfig": network or None,
        "enabledClusterLogTypes": sorted(
            t for entry in logging if entry.get("enabled") for t in entry["types"]
        ),
        "encryptionConfig": (cluster.get("encryptionConfig") or [None])[0],
        "accessConfig": {"authenticationMode": access.get("authenticationMode")}
        if access
        else None,
        "upgradePolicy": cluster.get("upgradePolicy"),
        "zonalShiftConfig": cluster.get("zonalShiftConfig"),
        "computeConfig": cluster.get("computeConfig"),
        "storageConfig": cluster.get("storageConfig"),
        "deletionProtection": bool(cluster.get("deletionProtection")),
        "tagsAll": cluster.get("tags") or {},
    }


class Cluster(Handler):
    """A control plane."""

    token = "aws:eks/cluster:Cluster"
    noun = "EKS Cluster"
    inputs = {
        "name": text(replaces=True, rule=length(1, 100)),
        "roleArn": text(required=True, replaces=True),
        "version": text(computed=True),
        "forceUpdateVersion": boolean(write_only=True),
        "bootstrapSelfManagedAddons": boolean(default=True, replaces=True, write_only=True),
        "deletionProtection": boolean(computed=True),
        "enabledClusterLogTypes": set_of(text(one_of=LOG_TYPES)),
        "accessConfig": block(
            {
                "authenticationMode": text(
                    computed=True, one_of=("API", "CONFIG_MAP", "API_AND_CONFIG_MAP")
                ),
                "bootstrapClusterCreatorAdminPermissions": boolean(computed=True, replaces=True),
            },
            computed=True,
        ),
        "computeConfig": block(
            {
                "enabled": boolean(),
                "nodePools": set_of(text(one_of=("general-purpose", "system"))),
                "nodeRoleArn": text(),
            },
            computed=True,
        ),
        "storageConfig": block({"blockStorage": block({"enabled": boolean()})}, computed=True),
        "kubernetesNetworkConfig": block(
            {
                "elasticLoadBalancing": block({"enabled": boolean()}, computed=True),
                "ipFamily": text(computed=True, replaces=True, one_of=("ipv4", "ipv6")),
                "serviceIpv4Cidr": text(computed=True, replaces=True),
                "serviceIpv6Cidr": text(computed=True),
            },
            computed=True,
        ),
        "vpcConfig": block(
            {
                "subnetIds": set_of(text(), required=True),
                "securityGroupIds": set_of(text()),
                "endpointPrivateAccess": boolean(default=False),
                "endpointPublicAccess": boolean(default=True),
                "publicAccessCidrs": set_of(text(), computed=True),
                "clusterSecurityGroupId": text(computed=True),
                "vpcId": text(computed=True),
            },
            required=True,
        ),
        "encryptionConfig": block(
            {
                "provider": block({"keyArn": text(required=True)}, required=True),
                "resources": set_of(text()),
            },
            replaces=True,
        ),
        "upgradePolicy": block(
            {"supportType": text(computed=True, one_of=("STANDARD", "EXTENDED"))}, computed=True
        ),
        "zonalShiftConfig": block({"enabled": boolean()}, computed=True),
    }
    outputs = (
        "arn",
        "certificateAuthority",
        "createdAt",
        "endpoint",
        "identities",
        "platformVersion",
        "status",
    )
    volatile = ("platformVersion", "status")
    autoname = AutoName("name", 100)
    tagged = True
    missing = MISSING

    def validate(self, call: Call, inputs: Properties) -> Iterable[tuple[str, str]]:
        """Require that Auto Mode's three switches agree, as the AWS provider does."""
        switches = (
            _enabled(inputs, "computeConfig"),
            _enabled(inputs, "kubernetesNetworkConfig", "elasticLoadBalancing"),
            _enabled(inputs, "storageConfig", "blockStorage"),
        )
        if all(isinstance(switch, bool) for switch in switches) and len(set(switches)) > 1:
            yield (
                "computeConfig.enabled",
                (
                    "compute_config.enabled, "
                    "kubernetes_networking_config.elastic_load_balancing.enabled, and "
                    "storage_config.block_storage.enabled must all be set to either true or false"
                ),
            )

    def validate_update(self, old: Properties, new: Properties) -> Iterable[tuple[str, str]]:
        """Require the same or the next minor version."""
        before, after = old.get("version"), new.get("version")
        if isinstance(before, str) and isinstance(after, str):
            steps = _minor(after) - _minor(before)
            if steps not in (0, 1):
                yield (
                    "version",
                    f"Unsupported Kubernetes minor version update from {before} to {after}: EKS "
                    "upgrades by one minor version at a time, and does not downgrade",
                )

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the control plane and wait until it is active."""
        eks, name, types = call.client("eks"), inputs["name"], inputs.get("enabledClusterLogTypes")
        request = filled(
            name=name,
            roleArn=inputs["roleArn"],
            version=inputs.get("version"),
            resourcesVpcConfig=_vpc_request(inputs["vpcConfig"]),
            kubernetesNetworkConfig=inputs.get("kubernetesNetworkConfig"),
            accessConfig=inputs.get("accessConfig"),
            computeConfig=inputs.get("computeConfig"),
            storageConfig=inputs.get("storageConfig"),
            upgradePolicy=inputs.get("upgradePolicy"),
            zonalShiftConfig=inputs.get("zonalShiftConfig"),
            encryptionConfig=[inputs["encryptionConfig"]]
            if inputs.get("encryptionConfig")
            else None,
            logging=_logging(types) if types else None,
            tags=inputs["tagsAll"],
        )
        flags = without_none(
            deletionProtection=inputs.get("deletionProtection"),
            bootstrapSelfManagedAddons=inputs.get("bootstrapSelfManagedAddons"),
        )
        if home := os.environ.get("SANDBOX_HOME"):
            arn = call.arn("eks", f"cluster/{name}")
            StackBackends(Home(Path(home)).kubernetes).assign(call.resource.urn, arn)
        # Retry while IAM propagates a new role.
        call.retrying(
            lambda: eks.create_cluster(**request, **flags),
            ("InvalidParameterException",),
            seconds=2,
        )
        call.record_created(name)
        self._settle(call, name, 30 * MINUTE)
        return str(name)

    def _settle(self, call: Call, name: str, seconds: float) -> None:
        eks = call.client("eks")
        call.wait(
            lambda: str(eks.describe_cluster(name=name)["cluster"]["status"]),
            ("ACTIVE",),
            failed=("FAILED", "DELETING"),
            seconds=seconds,
            what=f"cluster {name}",
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the cluster."""
        live = described(call.client("eks").describe_cluster(name=id)["cluster"])
        access, declared = live["accessConfig"], (state.get("accessConfig") or {})
        if access and "bootstrapClusterCreatorAdminPermissions" in declared:  # not returned by AWS
            access["bootstrapClusterCreatorAdminPermissions"] = declared[
                "bootstrapClusterCreatorAdminPermissions"
            ]
        return live

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update the version, then one setting at a time."""
        eks, hour = call.client("eks"), 60 * MINUTE
        if "version" in changed:
            force = without_none(force=new.get("forceUpdateVersion"))
            wait_for_update(
                call, id, eks.update_cluster_version(name=id, version=new["version"], **force), hour
            )
        for setting in _settings(old, new, changed):
            wait_for_update(call, id, eks.update_cluster_config(name=id, **setting), hour)
        # An update may end shortly before the cluster is ACTIVE again; the next one would be
        # refused.
        self._settle(call, id, 30 * MINUTE)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the cluster."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the cluster and wait."""
        eks = call.client("eks")
        call.retrying(lambda: eks.delete_cluster(name=id), ("ResourceInUseException",), seconds=5)

        def state_now() -> str:
            try:
                return str(eks.describe_cluster(name=id)["cluster"]["status"])
            except eks.exceptions.ResourceNotFoundException:
                return "gone"

        call.wait(
            state_now, ("gone",), failed=("FAILED",), seconds=15 * MINUTE, what=f"cluster {id}"
        )


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _enabled(inputs: Properties, *blocks: str) -> Any:
    """Return a nested block's `enabled`: False without the block, UNKNOWN if not known yet."""
    value: Any = inputs
    for name in (*blocks, "enabled"):
        if value is UNKNOWN:
            return UNKNOWN
        value = (value or {}).get(name)
    return False if value is None else value


def _vpc_request(vpc: Mapping[str, Any]) -> dict[str, Any]:
    computed = ("clusterSecurityGroupId", "vpcId")
    return {
        key: value for key, value in vpc.items() if key not in computed and value not in (None, [])
    }


def _logging(enabled: Sequence[str]) -> dict[str, Any]:
    off = [kind for kind in LOG_TYPES if kind not in enabled]
    entries = [{"types": list(enabled), "enabled": True}, {"types": off, "enabled": False}]
    return {"clusterLogging": [entry for entry in entries if entry["types"]]}


def _settings(
    old: Properties, new: Properties, changed: frozenset[str]
) -> Iterable[dict[str, Any]]:
    """Return the UpdateClusterConfig requests of the changes, one for each kind of update."""
    if "accessConfig" in changed and new.get("accessConfig"):
        yield {"accessConfig": {"authenticationMode": new["accessConfig"]["authenticationMode"]}}
    network = new.get("kubernetesNetworkConfig") or {}
    if changed & {"computeConfig", "storageConfig"} or (
        "kubernetesNetworkConfig" in changed and network.get("elasticLoadBalancing")
    ):
        off = {"enabled": False}
        yield {
            "computeConfig": new.get("computeConfig") or off,
            "kubernetesNetworkConfig": {
                "elasticLoadBalancing": network.get("elasticLoadBalancing") or off
            },
            "storageConfig": new.get("storageConfig") or {"blockStorage": off},
        }
    if "deletionProtection" in changed:
        yield {"deletionProtection": bool(new.get("deletionProtection"))}
    if "enabledClusterLogTypes" in changed:
        yield {"logging": _logging(new.get("enabledClusterLogTypes") or [])}
    if "upgradePolicy" in changed and new.get("upgradePolicy"):
        yield {"upgradePolicy": new["upgradePolicy"]}
    if "zonalShiftConfig" in changed:
        yield {"zonalShiftConfig": new.get("zonalShiftConfig") or {"enabled": False}}
    if "vpcConfig" in changed:
        before, after = _vpc_request(old["vpcConfig"]), _vpc_request(new["vpcConfig"])
        for keys in (
            ("endpointPrivateAccess", "endpointPublicAccess", "publicAccessCidrs"),
            ("subnetIds", "securityGroupIds"),
        ):
            if any(before.get(key) != after.get(key) for key in keys):
                yield {"resourcesVpcConfig": {key: after[key] for key in keys if key in after}}


TYPES = (Cluster(),)
