"""eks:index:ManagedNodeGroup, and a cluster's self-managed default node group."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import yaml

from sandbox.providers.eks import ami
from sandbox.providers.eks.access import uses_entries
from sandbox.providers.eks.arguments import (
    NODE_GROUP,
    Arguments,
    apply_known,
    output,
    part,
    refuse_unknown,
    snake,
)

_OWN = frozenset(
    [
        "cluster",
        "clusterName",
        "amiType",
        "nodeRole",
        "nodeRoleArn",
        "scalingConfig",
        "subnetIds",
        "launchTemplate",
        "enableIMDSv2",
        "operatingSystem",
        "gpu",
        "ignoreScalingChanges",
    ]
)
_CUSTOM_TEMPLATE = (
    "bootstrapExtraArgs, kubeletExtraArgs, bottlerocketSettings, nodeadmExtraOptions, "
    "enableIMDSv2, userData, amiId, enableEfaSupport"
)
_INVALID = "The input properties for the managed node group are invalid."


class ManagedNodeGroup(pulumi.ComponentResource):
    """An aws.eks.NodeGroup, and `NAME-launchTemplate` if enable_imd_sv2 is set.

    `core` is the cluster's `core` output, which has cluster, version and subnets.


    """

    group: aws.eks.NodeGroup

    def __init__(
        self,
        name: str,
        arguments: Arguments,
        core: pulumi.Output[Mapping[str, Any]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("eks:index:ManagedNodeGroup", name, None, opts)
        refuse_unknown("ManagedNodeGroup", NODE_GROUP, arguments)
        role = _checked_role(arguments, core)
        child = pulumi.ResourceOptions(parent=self)
        cluster = part(core, "cluster")
        own_template = arguments.get("launchTemplate")
        template = own_template
        passed = {snake(key): value for key, value in arguments.items() if key not in _OWN}
        if arguments.get("enableIMDSv2") is not None:
            if own_template:
                raise _invalid(
                    "launchTemplate",
                    (
                        "If you provide a custom launch template, you cannot provide any of "
                        f"{_CUSTOM_TEMPLATE}. Please include these in the launch template that you "
                        "are providing."
                    ),
                )
            launch_template = _launch_template(name, arguments, child)
            template = {
                "id": launch_template.id,
                "version": launch_template.latest_version.apply(lambda v: str(int(v))),
            }
            passed.pop("disk_size", None)
        if not arguments.get("version") and not own_template:
            passed["version"] = cluster.version
        kind = arguments.get("amiType")
        if kind is None and arguments.get("operatingSystem") is not None:
            kind = pulumi.Output.all(
                output(arguments["operatingSystem"]),
                output(arguments.get("gpu")),
                output(arguments.get("instanceTypes")),
            ).apply(
                lambda v: ami.ami_type_for(
                    v[0], bool(v[1]), ami.architecture(v[2], "instanceTypes")
                )
            )
        self.group = aws.eks.NodeGroup(
            name,
            ami_type=kind,
            cluster_name=arguments.get("clusterName") or cluster.name,
            node_role_arn=role,
            scaling_config=apply_known(arguments.get("scalingConfig"), _scaling),
            subnet_ids=arguments["subnetIds"]
            if arguments.get("subnetIds") is not None
            else core.apply(
                lambda c: (
                    c.get("subnetIds")
                    or c.get("privateSubnetIds")
                    or c.get("publicSubnetIds")
                    or []
                )
            ),
            launch_template=template,
            opts=pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(
                    depends_on=core.apply(
                        lambda c: [c["eksNodeAccess"]] if c.get("eksNodeAccess") else []
                    ),
                    ignore_changes=["scalingConfig.desiredSize"]
                    if arguments.get("ignoreScalingChanges")
                    else None,
                ),
            ),
            **passed,
        )
        self.register_outputs(self.state())

    def state(self) -> dict[str, Any]:
        """Return the component's outputs."""
        return {"nodeGroup": self.group, "placementGroupName": ""}


def _checked_role(arguments: Arguments, core: pulumi.Output[Mapping[str, Any]]) -> Any:
    role, arn = arguments.get("nodeRole"), arguments.get("nodeRoleArn")
    if role is not None and arn:
        raise _invalid(
            "nodeRole",
            "You cannot specify both nodeRole and nodeRoleArn when creating a managed node group.",
        )
    if role is None and not arn:
        raise _invalid(
            "nodeRole", "An IAM role, or role ARN must be provided to create a managed node group"
        )
    chosen = arn or output(role).apply(lambda r: r.arn)

    def granted(values: list[Any]) -> Any:
        mode, arns, own = values
        # Access entries can be created outside the component, so only CONFIG_MAP requires the role
        # there.
        if not uses_entries(mode) and own not in arns:
            raise pulumi.InputPropertyError(
                "nodeRole",
                (
                    "A managed node group cannot be created without first setting its role in the "
                    "cluster's instanceRoles"
                ),
            )
        return own

    mode = part(core, "cluster").access_config.apply(_mode)
    arns = part(core, "instanceRoles").apply(
        lambda roles: output([role.arn for role in roles or []])
    )
    return pulumi.Output.all(mode, arns, output(chosen)).apply(granted)


def _mode(config: Any) -> str | None:
    return config.authentication_mode if config else None


def _scaling(config: Mapping[str, Any] | None) -> dict[str, Any]:
    sizes = config or {}
    return {
        "desiredSize": sizes.get("desiredSize", 2),
        "minSize": sizes.get("minSize", 1),
        "maxSize": sizes.get("maxSize", 2),
    }


def _launch_template(
    name: str, arguments: Arguments, opts: pulumi.ResourceOptions
) -> aws.ec2.LaunchTemplate:
    device = pulumi.Output.all(
        output(arguments.get("amiType")), output(arguments.get("operatingSystem"))
    ).apply(
        # The root volume, or Bottlerocket's second one, which holds data.
        lambda v: "/dev/xvdb" if ami.operating_system(*v) == "Bottlerocket" else "/dev/xvda"
    )
    size = arguments.get("diskSize")
    disks: list[Any] = [{"deviceName": device, "ebs": {"volumeSize": size}}]
    return aws.ec2.LaunchTemplate(
        f"{name}-launchTemplate",
        block_device_mappings=disks if size else None,
        metadata_options=apply_known(
            arguments["enableIMDSv2"],
            lambda on: {
                "httpTokens": "required" if on else "optional",
                "httpPutResponseHopLimit": 2,
                "httpEndpoint": "enabled",
            },
        ),
        opts=opts,
    )


def _invalid(path: str, reason: str) -> pulumi.InputPropertiesError:
    return pulumi.InputPropertiesError(_INVALID, [{"property_path": path, "reason": reason}])


def default_node_group(
    name: str,
    arguments: Arguments,
    cluster: aws.eks.Cluster,
    profile: aws.iam.InstanceProfile,
    groups: tuple[aws.ec2.SecurityGroup, aws.ec2.SecurityGroupRule],
    depends_on: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> aws.autoscaling.Group:
    """Create the self-managed default node group: `NAME-launchTemplate` and `NAME`.

    AL2023, one instance type, in the cluster's private subnets, otherwise its public ones.
    """
    subnets = next(
        (
            arguments[key]
            for key in ("nodeSubnetIds", "privateSubnetIds", "publicSubnetIds")
            if arguments.get(key)
        ),
        None,
    )
    if subnets is None:
        raise pulumi.InputPropertyError(
            "nodeSubnetIds",
            (
                "the sandbox does not look up which subnets are private: set nodeSubnetIds, "
                "privateSubnetIds or publicSubnetIds, or skipDefaultNodeGroup"
            ),
        )
    group, ingress = groups
    instance = output(arguments.get("instanceType") or "t3.medium")
    template: dict[str, Any] = {
        "image_id": apply_known(
            [instance, cluster.version], lambda values: _image(values[0], values[1], parent)
        ),
        "instance_type": instance,
        "iam_instance_profile": {"name": profile.name},
        "block_device_mappings": [],
        "network_interfaces": [
            {
                "associatePublicIpAddress": "true",
                # The reference makes the template wait for the rule: nodes need the API server to
                # join.
                "securityGroups": apply_known([group.id, ingress.id], lambda ids: ids[:1]),
            }
        ],
        "user_data": pulumi.Output.all(
            cluster.name,
            cluster.endpoint,
            cluster.certificate_authority.apply(lambda authority: authority.data),
            cluster.kubernetes_network_config.apply(
                lambda net: (
                    net.service_ipv6_cidr if net.ip_family == "ipv6" else net.service_ipv4_cidr
                )
            ),
        ).apply(lambda facts: _nodeadm(*facts)),
    }
    launch_template = aws.ec2.LaunchTemplate(
        f"{name}-launchTemplate", opts=pulumi.ResourceOptions(parent=parent), **template
    )
    scaling: dict[str, Any] = {
        "min_size": arguments.get("minSize", 1),
        "max_size": arguments.get("maxSize", 2),
        "desired_capacity": arguments.get("desiredCapacity", 2),
        "launch_template": {
            "name": launch_template.name,
            "version": launch_template.latest_version.apply(lambda version: str(int(version))),
        },
        "vpc_zone_identifiers": subnets,
        "instance_refresh": {"strategy": "Rolling", "preferences": {"minHealthyPercentage": 50}},
        "tags": apply_known(cluster.name, _scaling_tags),
    }
    options = pulumi.ResourceOptions(parent=parent, depends_on=depends_on)
    autoscaling_group: aws.autoscaling.Group = aws.autoscaling.Group(name, opts=options, **scaling)
    return autoscaling_group


def _image(instance: str, version: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    kind = ami.AMIS[ami.ami_type_for("AL2023", False, ami.architecture([instance], "instanceType"))]
    name = kind.parameter.format(version)
    parameter = aws.ssm.get_parameter_output(
        name=name, opts=pulumi.InvokeOutputOptions(parent=parent)
    )
    return parameter.apply(lambda result: result.value)


def _scaling_tags(cluster: str) -> list[dict[str, Any]]:
    tags = {f"kubernetes.io/cluster/{cluster}": "owned", "Name": f"{cluster}-worker"}
    return [{"key": key, "value": value, "propagateAtLaunch": True} for key, value in tags.items()]


def _nodeadm(name: str, endpoint: str, authority: str, cidr: str) -> str:
    """Return an AL2023 node's user data: a NodeConfig in a MIME document, in base64."""
    cluster = {
        "name": name,
        "apiServerEndpoint": endpoint,
        "certificateAuthority": authority,
        "cidr": cidr,
    }
    config = yaml.safe_dump(
        {"apiVersion": "node.eks.aws/v1alpha1", "kind": "NodeConfig", "spec": {"cluster": cluster}},
        sort_keys=False,
        width=10**6,
    )
    document = (
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="BOUNDARY"\n\n'
        f"--BOUNDARY\nContent-Type: application/node.eks.aws\n\n---\n{config}\n--BOUNDARY--\n"
    )
    return base64.b64encode(document.encode()).decode()
