"""The table of EKS components: construction, and rehydration from a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi.runtime.rpc import ResourceModule, register_resource_module
from semver import Version

from sandbox.providers.eks import NAME, VERSION
from sandbox.providers.eks.addons import VpcCniAddon
from sandbox.providers.eks.arguments import Arguments, apply_known, output, part, snake
from sandbox.providers.eks.cluster import Cluster
from sandbox.providers.eks.kubeconfig import compact, kubeconfig
from sandbox.providers.eks.nodes import ManagedNodeGroup
from sandbox.providers.protocol import Failure


def construct(
    token: str, name: str, inputs: Arguments, opts: pulumi.ResourceOptions
) -> tuple[pulumi.ComponentResource, dict[str, Any]]:
    """Construct the component and return it with its outputs; Failure if it is not emulated."""
    arguments = {key: value for key, value in inputs.items() if value is not None}
    if token == "eks:index:Cluster":  # noqa: S105 - a type token, not a secret
        cluster = Cluster(name, arguments, opts)
        return cluster, cluster.state()
    if token == "eks:index:ManagedNodeGroup":  # noqa: S105
        nodes = ManagedNodeGroup(name, arguments, _core(arguments), opts)
        return nodes, nodes.state()
    if token == "eks:index:VpcCniAddon":  # noqa: S105
        cni = VpcCniAddon(name, arguments, opts)
        return cni, {"addon": cni.addon}
    if token == "eks:index:Addon":  # noqa: S105
        addon = Addon(name, arguments, opts)
        return addon, {"addon": addon.addon}
    raise Failure(
        f"{token} is not emulated by the sandbox. It has Cluster, ManagedNodeGroup, "
        "VpcCniAddon and Addon."
    )


def call(token: str, arguments: Mapping[str, Any]) -> pulumi.Output[str]:
    """Call a component's method: Cluster.get_kubeconfig(profile_name, role_arn)."""
    if token != "eks:index:Cluster/getKubeconfig":  # noqa: S105
        raise Failure(f"{token} is not emulated by the sandbox.")
    credentials = {key: arguments[key] for key in ("profileName", "roleArn") if arguments.get(key)}
    cluster = output(arguments["__self__"]).apply(lambda itself: itself.eksCluster)
    return pulumi.Output.all(
        cluster.apply(lambda c: c.name),
        cluster.apply(lambda c: c.endpoint),
        cluster.apply(lambda c: c.certificate_authority).apply(lambda authority: authority.data),
        cluster.apply(lambda c: c.arn),
        output(credentials),
    ).apply(lambda values: compact(kubeconfig(*values, with_profile=True)))


class Addon(pulumi.ComponentResource):
    """An add-on under its cluster; the child has the component's name."""

    addon: aws.eks.Addon

    def __init__(self, name: str, arguments: Arguments, opts: pulumi.ResourceOptions) -> None:
        cluster = arguments.get("cluster")
        if cluster is None:
            raise pulumi.InputPropertyError("cluster", "an add-on requires its cluster")
        super().__init__("eks:index:Addon", name, None, opts)
        values = arguments.get("configurationValues")
        rest = {
            snake(key): value
            for key, value in arguments.items()
            if key not in ("cluster", "configurationValues")
        }
        self.addon = aws.eks.Addon(
            name,
            cluster_name=part(_core(arguments), "cluster").name,
            configuration_values=output(values).apply(compact) if values else None,
            opts=pulumi.ResourceOptions(parent=self),
            **rest,
        )
        self.register_outputs({"addon": self.addon})


class Existing(pulumi.ComponentResource):
    """An existing component, with its outputs from the engine."""

    OUTPUTS: Mapping[str, tuple[str, ...]] = {
        "eks:index:Cluster": ("core", "eksCluster", "kubeconfig", "kubeconfigJson"),
        "eks:index:VpcCniAddon": ("addon",),
    }

    def __init__(self, token: str, name: str, urn: str) -> None:
        super().__init__(
            token, name, dict.fromkeys(self.OUTPUTS[token]), pulumi.ResourceOptions(urn=urn)
        )


class _Module(ResourceModule):
    def version(self) -> Version:
        return Version.parse(VERSION)

    def construct(self, name: str, typ: str, urn: str) -> pulumi.Resource:
        if typ not in Existing.OUTPUTS:
            raise Failure(f"{typ} cannot be passed from one component to another in the sandbox.")
        return Existing(typ, name, urn)


def _core(arguments: Arguments) -> pulumi.Output[Any]:
    """Return the `core` of a cluster argument, which is the component or its `core` output."""
    if arguments.get("cluster") is None:
        raise pulumi.InputPropertyError("cluster", "the cluster, or its core output, is required")
    core: pulumi.Output[Any] = apply_known(
        arguments["cluster"],
        lambda cluster: (
            getattr(cluster, "core", None) if isinstance(cluster, Existing) else cluster
        ),
    )
    return core


register_resource_module(NAME, "index", _Module())
