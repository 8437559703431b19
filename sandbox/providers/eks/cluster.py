"""eks:index:Cluster: the children, names and outputs of pulumi-eks 4.4.0's cluster component.

Over 400 lines: one constructor, whose steps use each other's results.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from sandbox.providers.eks import arguments as arg
from sandbox.providers.eks import roles, security
from sandbox.providers.eks.access import (
    access_entries,
    authentication_mode,
    aws_auth,
    uses_config_map,
    uses_entries,
)
from sandbox.providers.eks.addons import VpcCniAddon, plain_addon
from sandbox.providers.eks.arguments import Arguments, apply_known, output, plain, without_none
from sandbox.providers.eks.kubeconfig import compact, kubeconfig
from sandbox.providers.eks.nodes import default_node_group
from sandbox.providers.eks.roles import ServiceRole

_EXCLUSIVE_SUBNETS = (
    "subnetIds, and the use of publicSubnetIds and/or privateSubnetIds are mutually exclusive. "
    "Choose a single approach."
)


class Cluster(pulumi.ComponentResource):
    """A control plane with everything that pulumi-eks creates for it.

    Methods are in the order of `__init__`; each creates one group of children. Raises
    InputPropertyError and InputPropertiesError for contradictory or unsupported arguments.
    """

    cluster: aws.eks.Cluster

    def __init__(self, name: str, arguments: Arguments, opts: pulumi.ResourceOptions) -> None:
        super().__init__("eks:index:Cluster", name, None, opts)
        self._name, self._args = name, arguments
        arg.refuse_unknown("Cluster", arg.CLUSTER, arguments)
        self._mode = authentication_mode(arguments)
        self._auto: Mapping[str, Any] = plain(arguments, "autoMode") or {}
        self._is_auto = bool(self._auto.get("enabled"))
        self._check()
        self._child = pulumi.ResourceOptions(parent=self)
        self._invoke = pulumi.InvokeOutputOptions(parent=self)
        self._tags = arguments.get("tags")
        self._partition = aws.get_partition_output(opts=self._invoke).apply(
            lambda current: current.partition
        )
        self._default_groups = not plain(arguments, "skipDefaultSecurityGroups", self._is_auto)
        self._default_nodes = not (plain(arguments, "skipDefaultNodeGroup") or self._is_auto)

        self._find_network()
        self._make_control_plane()
        self._make_provider()
        self._make_instance_role()
        self._grant_access()
        self._make_cni_and_dns()
        self._make_nodes()
        self.register_outputs(self.state())

    def _check(self) -> None:
        if self._args.get("subnetIds") and (
            self._args.get("publicSubnetIds") or self._args.get("privateSubnetIds")
        ):
            raise pulumi.InputPropertyError("subnetIds", _EXCLUSIVE_SUBNETS)
        if self._args.get("instanceRole") and self._args.get("instanceRoles"):
            raise pulumi.InputPropertyError(
                "instanceRole",
                "instanceRole and instanceRoles are mutually exclusive, and cannot both be set.",
            )

    def _find_network(self) -> None:
        args = self._args
        self._vpc = args.get("vpcId")
        subnets: Any = []
        if not self._vpc:
            self._vpc = aws.ec2.get_vpc_output(default=True, opts=self._invoke).apply(
                lambda result: result.id
            )
            subnets = output(self._vpc).apply(
                lambda vpc: aws.ec2.get_subnets_output(
                    filters=[{"name": "vpc-id", "values": [vpc]}], opts=self._invoke
                ).apply(lambda result: result.ids)
            )
        if args.get("subnetIds") is not None:
            subnets = args["subnetIds"]
        elif args.get("publicSubnetIds") is not None or args.get("privateSubnetIds") is not None:
            subnets = pulumi.Output.all(
                output(args.get("publicSubnetIds") or []),
                output(args.get("privateSubnetIds") or []),
            ).apply(lambda both: [*both[0], *both[1]])
        self._subnets = output(subnets)

    def _make_control_plane(self) -> None:
        args, name = self._args, self._name
        role = output(args["serviceRole"]) if args.get("serviceRole") else None
        depends: list[Any] = []
        if role is None:
            service_role = ServiceRole(
                f"{name}-eksRole",
                service="eks.amazonaws.com",
                description="Allows EKS to manage clusters on your behalf.",
                policies=[
                    *roles.CLUSTER_POLICIES,
                    *(roles.AUTO_CLUSTER_POLICIES if self._is_auto else ()),
                ],
                partition=self._partition,
                tags=self._tags,
                actions=("sts:AssumeRole", "sts:TagSession"),
                opts=self._child,
            )
            role = output(service_role.direct)
            depends.append(service_role.resolved)
        self._role = role
        self._group = args.get("clusterSecurityGroup")
        if self._group is None and self._default_groups:
            self._group = security.cluster_group(
                name, self._vpc, self._tags, args.get("clusterSecurityGroupTags"), self
            )
        self._node_role_name: Any = ""
        compute, storage, network = None, None, self._network_config()
        if self._is_auto:
            node_arn = None
            if self._auto.get("createNodeRole") is not False:
                node_role = ServiceRole(
                    f"{name}-nodeRole",
                    service="ec2.amazonaws.com",
                    policies=roles.AUTO_NODE_POLICIES,
                    partition=self._partition,
                    tags=self._tags,
                    opts=self._child,
                )
                node_arn, self._node_role_name = node_role.direct.arn, node_role.direct.name
                depends.append(node_role.resolved)
            # The provider requires Auto Mode's three settings all known or all unknown.
            mode = pulumi.Output.all(
                output(self._auto.get("computeConfig")), node_arn, network
            ).apply(_auto_settings)
            compute, storage, network = mode[0], mode[1], mode[2]
        self.cluster = self._control_plane(
            role.apply(lambda value: value.arn), compute, storage, network, depends
        )
        proxy = plain(args, "kubeProxyAddonOptions") or {}
        if proxy.get("enabled", not self._is_auto):
            plain_addon(name, "kube-proxy", self.cluster, proxy, self._tags, self)

    def _control_plane(
        self, role: Any, compute: Any, storage: Any, network: Any, depends: list[Any]
    ) -> aws.eks.Cluster:
        args = self._args
        groups = (
            [apply_known(self._group, lambda group: group.id)] if self._group is not None else None
        )
        access = {"authenticationMode": self._mode, "bootstrapClusterCreatorAdminPermissions": True}
        bootstrap = (
            False if self._is_auto else _default(args.get("bootstrapSelfManagedAddons"), True)
        )
        properties: dict[str, Any] = {
            "name": args.get("name"),
            "role_arn": role,
            "compute_config": compute,
            "storage_config": storage,
            "kubernetes_network_config": network,
            "bootstrap_self_managed_addons": bootstrap,
            "vpc_config": without_none(
                securityGroupIds=groups,
                subnetIds=self._subnets,
                endpointPrivateAccess=args.get("endpointPrivateAccess"),
                endpointPublicAccess=args.get("endpointPublicAccess"),
                publicAccessCidrs=self._public_cidrs(),
            ),
            "version": args.get("version"),
            "enabled_cluster_log_types": args.get("enabledClusterLogTypes"),
            "tags": security.merged_tags(
                {"Name": f"{self._name}-eksCluster"}, args.get("clusterTags"), self._tags
            ),
            "encryption_config": self._encryption(),
            "access_config": access if self._mode else None,
            "upgrade_policy": args.get("upgradePolicy"),
            "deletion_protection": args.get("deletionProtection"),
        }
        options = pulumi.ResourceOptions(
            parent=self,
            # Both apply at creation only; a later difference would replace the cluster.
            ignore_changes=[
                "accessConfig.bootstrapClusterCreatorAdminPermissions",
                "bootstrapSelfManagedAddons",
            ],
            depends_on=depends,
        )
        cluster: aws.eks.Cluster = aws.eks.Cluster(
            f"{self._name}-eksCluster", opts=options, **properties
        )
        return cluster

    def _network_config(self) -> Any:
        service_range, family = (
            self._args.get("kubernetesServiceIpAddressRange"),
            self._args.get("ipFamily"),
        )
        if not (service_range or family or self._is_auto):
            return None
        return pulumi.Output.all(output(service_range), output(family)).apply(
            lambda values: without_none(
                serviceIpv4Cidr=values[0] if (values[1] or "ipv4") == "ipv4" else None,
                ipFamily=values[1] or "ipv4",
                elasticLoadBalancing={"enabled": True} if self._is_auto else None,
            )
        )

    def _public_cidrs(self) -> Any:
        if not self._args.get("publicAccessCidrs"):
            return None

        def checked(values: list[Any]) -> Any:
            if not values[1] and values[0]:
                raise pulumi.InputPropertyError(
                    "publicAccessCidrs",
                    "`publicAccessCidrs` can only be set when `endpointPublicAccess` is true",
                )
            return values[0]

        public = _default(self._args.get("endpointPublicAccess"), True)
        if isinstance(public, bool) and not public:
            checked([True, public])
        return pulumi.Output.all(output(self._args["publicAccessCidrs"]), output(public)).apply(
            checked
        )

    def _encryption(self) -> Any:
        key = self._args.get("encryptionConfigKeyArn")
        if not key:
            return None
        return output(key).apply(
            lambda arn: {"provider": {"keyArn": arn}, "resources": ["secrets"]}
        )

    def _make_provider(self) -> None:
        credentials = self._args.get("providerCredentialOpts")
        profile = pulumi.Config("aws").get("profile")
        if not credentials and profile:
            credentials = {"profileName": profile}
        facts = pulumi.Output.all(
            self.cluster.name,
            self.cluster.endpoint,
            self.cluster.certificate_authority.apply(lambda authority: authority.data),
            self.cluster.arn,
            output(credentials or {}),
        )
        self._kubeconfig = facts.apply(lambda values: kubeconfig(*values, with_profile=False))
        self._provider: pulumi.ProviderResource = kubernetes.Provider(
            f"{self._name}-eks-k8s",
            kubeconfig=facts.apply(lambda values: compact(kubeconfig(*values, with_profile=True))),
            enable_config_map_mutable=self._args.get("enableConfigMapMutable"),
            opts=self._child,
        )

    def _make_instance_role(self) -> None:
        args, self._profile, self._own_instance_role = self._args, None, None
        self._instance_roles: Any = []
        create = plain(args, "createInstanceRole")
        if args.get("instanceRoles"):
            self._instance_roles = args["instanceRoles"]
        elif args.get("instanceRole"):
            self._own_instance_role = output(args["instanceRole"])
            self._instance_roles = [args["instanceRole"]]
        elif create or (create is None and not plain(args, "skipDefaultNodeGroup")):
            service_role = ServiceRole(
                f"{self._name}-instanceRole",
                service="ec2.amazonaws.com",
                policies=roles.NODE_POLICIES,
                partition=self._partition,
                tags=self._tags,
                opts=self._child,
            )
            self._own_instance_role = service_role.resolved
            self._instance_roles = [service_role.resolved]
        else:
            return
        if self._own_instance_role is not None and (
            self._default_nodes or not args.get("instanceRole")
        ):
            self._profile = aws.iam.InstanceProfile(
                f"{self._name}-instanceProfile",
                role=self._own_instance_role.apply(lambda role: role.name),
                opts=self._child,
            )

    def _grant_access(self) -> None:
        args = self._args
        self._node_access: kubernetes.core.v1.ConfigMap | None = None
        self._entries: dict[str, Any] = {}
        self._auth: list[pulumi.Resource] = []
        if uses_config_map(self._mode):
            arns = output(self._instance_roles).apply(
                lambda roles: output([role.arn for role in roles])
            )
            self._node_access = kubernetes.core.v1.ConfigMap(
                f"{self._name}-nodeAccess",
                api_version="v1",
                immutable=False,
                metadata={
                    "name": "aws-auth",
                    "namespace": "kube-system",
                    "annotations": {"pulumi.com/patchForce": "true"},
                },
                data=aws_auth(arns, args.get("roleMappings"), args.get("userMappings")),
                opts=pulumi.ResourceOptions(parent=self, provider=self._provider),
            )
        if uses_entries(self._mode):
            if self._own_instance_role is not None:
                self._entries["defaultNodeGroupInstanceRole"] = {
                    "principalArn": self._own_instance_role.apply(lambda role: role.arn),
                    "type": "EC2_LINUX",
                }
            self._entries |= plain(args, "accessEntries") or {}
            self._auth += access_entries(self._name, self.cluster, self._entries, self)
        if self._node_access is not None:
            self._auth.append(self._node_access)

    def _make_cni_and_dns(self) -> None:
        args = self._args
        self._cni: VpcCniAddon | None = None
        use_default = plain(args, "useDefaultVpcCni")
        if not use_default if use_default is not None else not self._is_auto:
            options = {
                key: value
                for key, value in (plain(args, "vpcCniOptions") or {}).items()
                if value is not None
            }
            own = {"kubernetes": self._provider}
            self._cni = VpcCniAddon(
                f"{self._name}-vpc-cni",
                {
                    **options,
                    "clusterName": self.cluster.name,
                    "clusterVersion": self.cluster.version,
                    **without_none(tags=self._tags),
                },
                pulumi.ResourceOptions(parent=self, depends_on=self._auth, providers=own),
            )
        dns = plain(args, "corednsAddonOptions") or {}
        explicit = dns.get("enabled") is True or dns.get("configurationValues")
        has_nodes = not plain(args, "skipDefaultNodeGroup") or self._is_auto
        if explicit or (has_nodes and dns.get("enabled") is not False):
            plain_addon(self._name, "coredns", self.cluster, dns, self._tags, self)

    def _make_nodes(self) -> None:
        self._node_group: aws.ec2.SecurityGroup | None = None
        self._ingress: aws.ec2.SecurityGroupRule | None = None
        self._scaling_group: aws.autoscaling.Group | None = None
        if self._default_groups:
            self._node_group, self._ingress = security.node_group(
                self._name,
                self._vpc,
                output(self._group).apply(lambda group: group.id),
                self.cluster,
                security.merged_tags(self._args.get("nodeSecurityGroupTags"), self._tags),
                self,
            )
        if not self._default_nodes:
            return
        if self._profile is None or self._node_group is None or self._ingress is None:
            raise pulumi.InputPropertyError(
                "skipDefaultNodeGroup",
                (
                    "the default node group needs its own instance role and the default security "
                    "groups; set skipDefaultNodeGroup to create node groups yourself"
                ),
            )
        waits: list[pulumi.Resource] = [
            dependencies
            for dependencies in (self._cni, self._node_access)
            if dependencies is not None
        ]
        self._scaling_group = default_node_group(
            self._name,
            self._args,
            self.cluster,
            self._profile,
            (self._node_group, self._ingress),
            waits,
            self,
        )

    def state(self) -> dict[str, Any]:
        """Return the outputs under pulumi-eks's names, without those that do not apply."""
        issuer = self.cluster.identities.apply(
            lambda identities: (
                identities[0].oidcs[0].issuer if identities and identities[0].oidcs else ""
            )
        )
        eks_group = self.cluster.vpc_config.apply(lambda config: config.cluster_security_group_id)
        return without_none(
            kubeconfig=self._kubeconfig,
            kubeconfigJson=self._kubeconfig.apply(compact),
            clusterSecurityGroup=self._group,
            instanceRoles=self._instance_roles,
            nodeSecurityGroup=self._node_group,
            eksClusterIngressRule=self._ingress,
            defaultNodeGroup=without_none(
                autoScalingGroup=self._scaling_group,
                nodeSecurityGroup=self._node_group,
                nodeSecurityGroupId=self._node_group.id if self._node_group else None,
            )
            if self._scaling_group is not None
            else None,
            eksCluster=self.cluster,
            core=self._core(),
            clusterSecurityGroupId=output(self._group).apply(lambda g: g.id)
            if self._group is not None
            else eks_group,
            nodeSecurityGroupId=self._node_group.id if self._node_group else eks_group,
            clusterIngressRuleId=self._ingress.security_group_rule_id if self._ingress else "",
            defaultNodeGroupAsgName=self._scaling_group.name if self._scaling_group else "",
            fargateProfileId="",
            fargateProfileStatus="",
            oidcProviderArn="",
            oidcProviderUrl=issuer,
            oidcIssuer=apply_known(issuer, lambda url: url.replace("https://", "")),
            autoModeNodeRoleName=self._node_role_name,
        )

    def _core(self) -> dict[str, Any]:
        args = self._args
        return without_none(
            cluster=self.cluster,
            vpcId=self._vpc,
            subnetIds=self._subnets,
            publicSubnetIds=args.get("publicSubnetIds"),
            privateSubnetIds=args.get("privateSubnetIds"),
            endpoint=self.cluster.endpoint,
            clusterSecurityGroup=self._group,
            provider=self._provider,
            instanceRoles=self._instance_roles,
            nodeGroupOptions=without_none(
                nodeSecurityGroup=self._node_group, clusterIngressRule=self._ingress
            ),
            kubeconfig=self._kubeconfig,
            vpcCni=self._cni,
            eksNodeAccess=self._node_access,
            tags=self._tags,
            nodeSecurityGroupTags=args.get("nodeSecurityGroupTags"),
            storageClasses={},
            encryptionConfig=self._encryption(),
            clusterIamRole=self._role,
            accessEntries=list(self._entries.values()) or None,
            autoModeNodeRoleName=self._node_role_name,
        )


def _auto_settings(values: list[Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    own, node_arn, network = values
    compute = {
        **without_none(nodeRoleArn=node_arn),
        "nodePools": ["general-purpose", "system"],
        **(own or {}),
        "enabled": True,
    }
    return compute, {"blockStorage": {"enabled": True}}, network


def _default(value: Any, default: Any) -> Any:
    return default if value is None else value
