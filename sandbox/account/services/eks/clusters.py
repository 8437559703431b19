"""EKS clusters, with the fields and refusals of AWS that moto lacks.

Over 400 lines: creation and update share the validation of one record. Error messages are those
that users quote in the issues of pulumi-eks, eksctl and terraform-aws-eks.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.determinism import random_hex, random_uuid
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import OWN_SERVICES, implements
from sandbox.account.core.wire import ACCOUNT_ID
from sandbox.account.services.eks import catalog
from sandbox.account.services.eks.zones import check_zones
from sandbox.contracts.cluster_host import ClusterFacts

if TYPE_CHECKING:
    from sandbox.account.core.context import Record, RequestContext
    from sandbox.account.core.wire import Call

OWN_SERVICES.add("eks")
_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_BUSY = {"CREATING", "UPDATING", "DELETING"}
# Parameters of UpdateClusterConfig by type of update (EKS API reference, UpdateType).
_UPDATE_TYPES = {
    "resourcesVpcConfig": "VpcConfigUpdate",
    "logging": "LoggingUpdate",
    "accessConfig": "AccessConfigUpdate",
    "upgradePolicy": "UpgradePolicyUpdate",
    "zonalShiftConfig": "ZonalShiftConfigUpdate",
    "computeConfig": "AutoModeUpdate",
    "storageConfig": "AutoModeUpdate",
    "kubernetesNetworkConfig": "AutoModeUpdate",
    "remoteNetworkConfig": "RemoteNetworkConfigUpdate",
    "deletionProtection": "DeletionProtectionUpdate",
}


def find(context: RequestContext, call: Call, name: str) -> Record:
    """Return a cluster of the call's region. Raises ResourceNotFoundException."""
    cluster = context.table("eks.cluster").get((call.region, name))
    if cluster is None:
        raise AwsError(
            "ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name
        )
    return cluster


def find_active(context: RequestContext, call: Call, name: str) -> Record:
    """Return an ACTIVE cluster."""
    cluster = find(context, call, name)
    if cluster["status"] != "ACTIVE":
        raise AwsError(
            "ResourceInUseException",
            f"Cluster '{name}' is not in ACTIVE status (it is {cluster['status']}).",
        )
    return cluster


def facts(record: Record) -> ClusterFacts:
    """Return the cluster's description for the cluster host."""
    vpc = record["resourcesVpcConfig"]
    return ClusterFacts(
        arn=record["arn"],
        name=record["name"],
        region=record["arn"].split(":")[3],
        version=record["version"],
        auto_mode=bool(record.get("computeConfig", {}).get("enabled")),
        public_access=vpc["endpointPublicAccess"],
        private_access=vpc["endpointPrivateAccess"],
        public_access_cidrs=tuple(vpc["publicAccessCidrs"]),
        service_cidr=record["kubernetesNetworkConfig"]["serviceIpv4Cidr"],
        oidc_issuer=record["identity"]["oidc"]["issuer"],
    )


def all_facts(context: RequestContext) -> list[ClusterFacts]:
    """Return all clusters, also those being created or deleted."""
    return [facts(record) for record in context.table("eks.cluster").values()]


def start_update(
    context: RequestContext, record: Record, kind: str, params: dict[str, Any], *, scope: str = ""
) -> Record:
    """Record an update of a cluster or of `scope` ("nodegroup/NAME", "addon/NAME")."""
    update: Record = {
        "id": random_uuid(),
        "status": "InProgress",
        "type": kind,
        "params": [
            {"type": name, "value": str(value)}
            for name, value in params.items()
            if value is not None
        ],
        "createdAt": context.clock.now(),
        "errors": [],
    }
    context.table("eks.update")[record["_region"], record["_cluster"], scope, update["id"]] = update
    return update


def find_subnets(context: RequestContext, call: Call, ids: list[str]) -> list[Any]:
    """Return the subnets. Raises InvalidParameterException for a missing one."""
    cluster = []
    for subnet_id in ids:
        subnet = moto_backends.subnet(context, call.region, subnet_id)
        if subnet is None:
            raise AwsError(
                "InvalidParameterException", f"The subnet ID '{subnet_id}' does not exist"
            )
        cluster.append(subnet)
    return cluster


def _zones(context: RequestContext, call: Call, subnet_ids: list[str]) -> list[str]:
    subnets = find_subnets(context, call, subnet_ids)
    return sorted({subnet.availability_zone for subnet in subnets})


def check_role(context: RequestContext, arn: str, trusted: str) -> None:
    """Raise InvalidParameterException unless the role exists and trusts the service."""
    role = moto_backends.role(context, arn)
    if role is None or not moto_backends.trusts(role, trusted):
        reason = "does not exist" if role is None else f"does not trust {trusted}"
        raise AwsError(
            "InvalidParameterException",
            (
                f"Role with arn: {arn}, could not be assumed because it does not exist or the "
                f"trusted entity is not correct ({reason})"
            ),
        )


def _network(context: RequestContext, call: Call, requested: dict[str, Any]) -> dict[str, Any]:
    cluster = find_subnets(context, call, requested.get("subnetIds") or [])
    if len({subnet.availability_zone for subnet in cluster}) < 2:
        raise AwsError(
            "InvalidParameterException", "Subnets specified must be in at least two different AZs"
        )
    if len({subnet.vpc_id for subnet in cluster}) > 1:
        raise AwsError("InvalidParameterException", "Subnets specified must belong to the same VPC")
    vpc_id = cluster[0].vpc_id
    for group_id in requested.get("securityGroupIds") or []:
        group = moto_backends.security_group(context, call.region, group_id)
        if group is None or group.vpc_id != vpc_id:
            text = (
                f"Security group(s) [{group_id}] are not in the same VPC as the subnets. Please "
                f"specify a security group that is associated with the VPC: {vpc_id}."
            )
            raise AwsError("InvalidParameterException", text)
    network = {
        "subnetIds": requested["subnetIds"],
        "securityGroupIds": requested.get("securityGroupIds") or [],
        "vpcId": vpc_id,
        "endpointPublicAccess": requested.get("endpointPublicAccess", True),
        "endpointPrivateAccess": requested.get("endpointPrivateAccess", False),
    }
    return {
        **network,
        "publicAccessCidrs": _public_cidrs(network, requested.get("publicAccessCidrs")),
    }


def _public_cidrs(network: dict[str, Any], requested: list[str] | None) -> list[str]:
    if not network["endpointPublicAccess"]:
        if not network["endpointPrivateAccess"]:
            raise AwsError(
                "InvalidParameterException", "Private and public endpoint access cannot be false"
            )
        # explicit or not: terraform-aws-eks sets them by default beside a private endpoint
        return []
    return requested or ["0.0.0.0/0"]


def _logging(requested: dict[str, Any] | None) -> dict[str, Any]:
    enabled: set[str] = set()
    for setup in (requested or {}).get("clusterLogging", []):
        enabled = (
            enabled | set(setup["types"]) if setup.get("enabled") else enabled - set(setup["types"])
        )
    groups = [{"types": [t for t in _TYPES if t in enabled], "enabled": True}] if enabled else []
    rest = [t for t in _TYPES if t not in enabled]
    return {"clusterLogging": [*groups, *([{"types": rest, "enabled": False}] if rest else [])]}


def _auto_mode(requested: dict[str, Any]) -> bool:
    """Whether Auto Mode is on. Raises if its three switches differ (EKS user guide, "Enable EKS
    Auto Mode").
    """
    switches = {
        bool((requested.get("computeConfig") or {}).get("enabled")),
        bool((requested.get("storageConfig") or {}).get("blockStorage", {}).get("enabled")),
        bool(
            (requested.get("kubernetesNetworkConfig") or {})
            .get("elasticLoadBalancing", {})
            .get("enabled")
        ),
    }
    if len(switches) > 1:
        text = (
            "For EKS Auto Mode, please ensure that all required configs, including computeConfig, "
            "kubernetesNetworkConfig, and blockStorage are all either fully enabled or fully "
            "disabled."
        )
        raise AwsError("InvalidParameterException", text)
    return switches.pop()


def _check_encryption(context: RequestContext, call: Call, configs: list[dict[str, Any]]) -> None:
    for config in configs:
        key_arn = config.get("provider", {}).get("keyArn", "")
        key = moto_backends.key(context, call.region, key_arn)
        if key is None or key.key_state != "Enabled":
            raise AwsError(
                "InvalidParameterException",
                f"The KMS key {key_arn} does not exist or is not enabled",
            )
        if config.get("resources") != ["secrets"]:
            raise AwsError(
                "InvalidParameterException", "encryptionConfig.resources must be ['secrets']"
            )


@implements("eks", "CreateCluster")
def create_cluster(context: RequestContext, call: Call) -> dict[str, Any]:
    """Validate, then create the cluster, its security group and its API server."""
    name, table = call["name"], context.table("eks.cluster")
    if (existing := table.get((call.region, name))) is not None:
        if call.get("clientRequestToken") == existing.get("clientRequestToken"):
            return {"cluster": existing}
        raise AwsError(
            "ResourceInUseException", f"Cluster already exists with name: {name}", clusterName=name
        )
    for unsupported in ("outpostConfig", "remoteNetworkConfig", "controlPlaneScalingConfig"):
        if call.get(unsupported):
            raise AwsError(
                "InvalidParameterException",
                f"eks:CreateCluster {unsupported} is not emulated by the sandbox",
            )
    version = call.get("version") or catalog.DEFAULT_VERSION
    if catalog.support(version, context.clock.now().date()) == "UNSUPPORTED":
        releases = ", ".join(catalog.RELEASES)
        raise AwsError(
            "InvalidParameterException",
            f"unsupported Kubernetes version {version} (the sandbox has {releases})",
        )
    check_role(context, call["roleArn"], "eks.amazonaws.com")
    subnets = find_subnets(context, call, call["resourcesVpcConfig"].get("subnetIds") or [])
    check_zones(name, call.region, [subnet.availability_zone for subnet in subnets])
    vpc = _network(context, call, call["resourcesVpcConfig"])
    auto_mode = _auto_mode(call.params)
    compute = call.get("computeConfig") or {}
    if auto_mode and bool(compute.get("nodePools")) != bool(compute.get("nodeRoleArn")):
        raise AwsError(
            "InvalidParameterException", "computeConfig requires nodePools and nodeRoleArn together"
        )
    if auto_mode and compute.get("nodeRoleArn"):
        check_role(context, compute["nodeRoleArn"], "ec2.amazonaws.com")
    if auto_mode and call.get("bootstrapSelfManagedAddons", True):
        raise AwsError(
            "InvalidParameterException",
            "EKS Auto Mode requires bootstrapSelfManagedAddons to be false",
        )
    _check_encryption(context, call, call.get("encryptionConfig") or [])
    access = {"bootstrapClusterCreatorAdminPermissions": True, "authenticationMode": "CONFIG_MAP"}
    access |= call.get("accessConfig") or {}
    if auto_mode and access["authenticationMode"] == "CONFIG_MAP":
        raise AwsError(
            "InvalidParameterException", "EKS Auto Mode requires an authenticationMode with API"
        )

    network_config = call.get("kubernetesNetworkConfig") or {}
    record: Record = {
        "name": name,
        "arn": f"arn:aws:eks:{call.region}:{ACCOUNT_ID}:cluster/{name}",
        "createdAt": context.clock.now(),
        "version": version,
        "roleArn": call["roleArn"],
        "resourcesVpcConfig": vpc,
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": network_config.get("serviceIpv4Cidr") or "10.100.0.0/16",
            "ipFamily": network_config.get("ipFamily") or "ipv4",
            "elasticLoadBalancing": {"enabled": auto_mode},
        },
        "logging": _logging(call.get("logging")),
        "identity": {
            "oidc": {
                "issuer": f"https://oidc.eks.{call.region}.amazonaws.com/id/{random_hex(32).upper()}"
            }
        },
        "status": "CREATING",
        "certificateAuthority": {},
        "clientRequestToken": call.get("clientRequestToken"),
        "platformVersion": catalog.RELEASES[version].platform,
        "tags": call.get("tags") or {},
        "encryptionConfig": call.get("encryptionConfig") or [],
        "health": {"issues": []},
        "accessConfig": access,
        "upgradePolicy": call.get("upgradePolicy") or {"supportType": "EXTENDED"},
        "zonalShiftConfig": call.get("zonalShiftConfig") or {"enabled": False},
        "computeConfig": {**compute, "enabled": auto_mode},
        "storageConfig": {"blockStorage": {"enabled": auto_mode}},
        "deletionProtection": bool(call.get("deletionProtection")),
        "_region": call.region,
        "_cluster": name,
    }
    endpoint = context.external("endpoint", lambda: _endpoint(context, record))
    record["_endpoint"], record["_ca"] = endpoint["url"], endpoint["ca_pem"]
    vpc["clusterSecurityGroupId"] = _make_security_group(context, call, record)
    table[call.region, name] = record
    if (
        access["authenticationMode"] != "CONFIG_MAP"
        and access["bootstrapClusterCreatorAdminPermissions"]
    ):
        from sandbox.account.services.eks import access as access_entries  # noqa: PLC0415  # it needs this module

        access_entries.add_creator(context, call, record)
    context.later(("eks", "cluster.create"), lambda: _activate(record))
    return {"cluster": record}


def _endpoint(context: RequestContext, record: Record) -> dict[str, str]:
    endpoint = context.clusters.create(facts(record))
    return {"url": endpoint.url, "ca_pem": endpoint.ca_pem}


def _activate(record: Record) -> None:
    record["endpoint"] = record["_endpoint"]
    record["certificateAuthority"] = {"data": base64.b64encode(record["_ca"].encode()).decode()}
    record["status"] = "ACTIVE"


def _make_security_group(context: RequestContext, call: Call, record: Record) -> str:
    ec2 = context.backend("ec2", call.region)
    name = f"eks-cluster-sg-{record['name']}-{int(random_hex(8), 16)}"
    tags = {
        "Name": name,
        "aws:eks:cluster-name": record["name"],
        f"kubernetes.io/cluster/{record['name']}": "owned",
    }
    group = ec2.create_security_group(
        name,
        (
            "EKS created security group applied to ENI that is attached to EKS Control Plane "
            "master nodes, as well as any managed workloads."
        ),
        vpc_id=record["resourcesVpcConfig"]["vpcId"],
        tags=tags,
    )
    ec2.authorize_security_group_ingress(
        group.id, "-1", None, None, ip_ranges=[], source_groups=[{"GroupId": group.id}]
    )
    return str(group.id)


@implements("eks", "DescribeCluster")
def describe_cluster(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return a cluster."""
    return {"cluster": find(context, call, call["name"])}


@implements("eks", "ListClusters")
def list_clusters(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the names of the region's clusters."""
    return {
        "clusters": [name for region, name in context.table("eks.cluster") if region == call.region]
    }


@implements("eks", "DeleteCluster")
def delete_cluster(context: RequestContext, call: Call) -> dict[str, Any]:
    """Delete a cluster without node groups."""
    record = find(context, call, call["name"])
    name = record["name"]
    if record["deletionProtection"]:
        text = (
            f"The cluster {name} has deletion protection enabled. Disable deletion protection "
            "before you delete it."
        )
        raise AwsError("InvalidRequestException", text, clusterName=name)
    for table, words in (
        ("eks.nodegroup", "nodegroups attached"),
        ("eks.fargate", "Fargate profiles attached"),
    ):
        if any(key[:2] == (call.region, name) for key in context.table(table)):
            raise AwsError("ResourceInUseException", f"Cluster has {words}", clusterName=name)
    if record["status"] in _BUSY:
        text = f"Cluster {name} cannot be deleted while its status is {record['status']}"
        raise AwsError("ResourceInUseException", text, clusterName=name)
    record["status"] = "DELETING"
    context.later(("eks", "cluster.delete"), lambda: _remove(context, record))
    return {"cluster": record}


def _remove(context: RequestContext, record: Record) -> None:
    key = (record["_region"], record["name"])
    if not context.replaying:
        context.clusters.delete(record["arn"])
    context.backend("ec2", key[0]).delete_security_group(
        group_id=record["resourcesVpcConfig"]["clusterSecurityGroupId"]
    )
    for name, table in context.tables.items():
        if name.startswith("eks."):
            for entry in [entry for entry in table if entry[:2] == key]:
                del table[entry]


@implements("eks", "UpdateClusterConfig")
def update_cluster_config(context: RequestContext, call: Call) -> dict[str, Any]:
    """Update one kind of configuration; absent values stay."""
    record = find_active(context, call, call["name"])
    changes = {
        name: call.params[name]
        for name in call.params
        if name not in {"name", "clientRequestToken"}
    }
    unknown = set(changes) - set(_UPDATE_TYPES)
    if unknown:
        text = (
            f"eks:UpdateClusterConfig {', '.join(sorted(unknown))} is not emulated by the sandbox"
        )
        raise AwsError("InvalidParameterException", text)
    kinds = {_UPDATE_TYPES[name] for name in changes}
    if len(kinds) != 1:
        raise AwsError("InvalidParameterException", "Only one type of update can be allowed.")
    kind = kinds.pop()
    changed = {name: _changed(context, call, record, name, changes) for name in changes}
    if kind in {"VpcConfigUpdate", "LoggingUpdate"} and all(
        record[name] == value for name, value in changed.items()
    ):
        text = "Cluster is already at the desired configuration"
        if kind == "LoggingUpdate":
            text = "No changes needed for the logging config provided"
        raise AwsError("InvalidParameterException", text, clusterName=record["name"])
    if kind == "VpcConfigUpdate":
        vpc = changed["resourcesVpcConfig"]
        kind = (
            "VpcConfigUpdate"
            if changes["resourcesVpcConfig"].get("subnetIds")
            else "EndpointAccessUpdate"
        )
        context.external(
            "endpoint", lambda: _endpoint(context, {**record, "resourcesVpcConfig": vpc})
        )
    update = start_update(
        context, record, kind, {"ClusterLogging": None} if kind != "LoggingUpdate" else {}
    )
    record["status"] = "UPDATING"
    context.later(("eks", "cluster.update"), lambda: _finish(context, record, changed, update))
    return {"update": update}


def _changed(
    context: RequestContext, call: Call, record: Record, name: str, changes: dict[str, Any]
) -> Any:
    requested: Any = changes[name]
    present: Any = record.get(name)
    match name:
        case "resourcesVpcConfig":
            network = _network(context, call, {**present, **requested})
            if network["vpcId"] != present["vpcId"]:
                raise AwsError(
                    "InvalidParameterException", "Subnets have to stay in the cluster's VPC"
                )
            created = _zones(context, call, present["subnetIds"])
            provided = _zones(context, call, network["subnetIds"])
            if provided != created:
                # github.com/aws/containers-roadmap/issues/2258
                text = (
                    f"Provided subnets belong to the AZs '{','.join(provided)}'. But they should "
                    f"belong to the exact set of AZs '{','.join(created)}' in which subnets were "
                    "provided during cluster creation."
                )
                raise AwsError("InvalidParameterException", text)
            return {**network, "clusterSecurityGroupId": present["clusterSecurityGroupId"]}
        case "logging":
            return _logging(
                {
                    "clusterLogging": [
                        *present["clusterLogging"],
                        *requested.get("clusterLogging", []),
                    ]
                }
            )
        case "accessConfig":
            order = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
            before, after = (
                order.index(present["authenticationMode"]),
                order.index(requested["authenticationMode"]),
            )
            if after not in {before, before + 1}:
                text = (
                    f"Unsupported authentication mode update from {order[before]} to {order[after]}"
                )
                raise AwsError("InvalidParameterException", text)
            return {**present, **requested}
        case "computeConfig" | "storageConfig" | "kubernetesNetworkConfig":
            _auto_mode(changes)
            return {**present, **requested}
    return requested


def _finish(
    context: RequestContext, record: Record, changed: dict[str, Any], update: Record
) -> None:
    record.update(changed)
    record["status"], update["status"] = "ACTIVE", "Successful"
    if not context.replaying:
        context.clusters.create(
            facts(record)
        )  # which facts count in the cluster is its host's affair


@implements("eks", "UpdateClusterVersion")
def update_cluster_version(context: RequestContext, call: Call) -> dict[str, Any]:
    """Upgrade the control plane by one minor version."""
    record = find_active(context, call, call["name"])
    before, after = record["version"], call["version"]
    if before == after:
        raise AwsError("InvalidParameterException", f"Cluster is already at version {after}")
    if after not in catalog.RELEASES or int(after.split(".")[1]) != int(before.split(".")[1]) + 1:
        text = f"Unsupported Kubernetes minor version update from {before} to {after}"
        raise AwsError("InvalidParameterException", text)
    platform = catalog.RELEASES[after].platform
    update = start_update(
        context, record, "VersionUpdate", {"Version": after, "PlatformVersion": platform}
    )
    record["status"] = "UPDATING"

    def finish() -> None:
        _finish(context, record, {"version": after, "platformVersion": platform}, update)

    context.later(("eks", "cluster.version"), finish)
    return {"update": update}


@implements("eks", "AssociateEncryptionConfig")
def associate_encryption_config(context: RequestContext, call: Call) -> dict[str, Any]:
    """Encrypt a cluster's secrets; it can be done once."""
    record = find_active(context, call, call["clusterName"])
    if record["encryptionConfig"]:
        raise AwsError("InvalidParameterException", "Encryption is already enabled on the cluster")
    _check_encryption(context, call, call["encryptionConfig"])
    update = start_update(context, record, "AssociateEncryptionConfig", {})
    record["status"] = "UPDATING"
    changed = {"encryptionConfig": call["encryptionConfig"]}
    context.later(("eks", "cluster.update"), lambda: _finish(context, record, changed, update))
    return {"update": update}


@implements("eks", "DescribeUpdate")
def describe_update(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return one update of a cluster, node group or add-on."""
    key = (call.region, call["name"], _scope(call), call["updateId"])
    find(context, call, call["name"])
    update = context.table("eks.update").get(key)
    if update is None:
        raise AwsError("ResourceNotFoundException", f"No update cluster for ID: {call['updateId']}")
    return {"update": update}


@implements("eks", "ListUpdates")
def list_updates(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return the ids of the updates of a cluster, node group or add-on."""
    find(context, call, call["name"])
    requested = (call.region, call["name"], _scope(call))
    return {"updateIds": [key[3] for key in context.table("eks.update") if key[:3] == requested]}


def _scope(call: Call) -> str:
    if call.get("nodegroupName"):
        return f"nodegroup/{call['nodegroupName']}"
    return f"addon/{call['addonName']}" if call.get("addonName") else ""
