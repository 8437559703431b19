"""AMI release and add-on versions of a cluster, looked up before anything is created."""

import pulumi
import pulumi_aws as aws

from components.cluster.access_entries import refuse_missing_roles
from components.cluster.addon_catalog import AddonCatalog, OfferedVersions
from components.cluster.addons import ADDONS_AFTER_NODES, ADDONS_BEFORE_NODES, AUTO_MODE_ADDONS
from components.cluster.args import (
    AddonSettings,
    Architecture,
    ClusterSettings,
    OfferedAddon,
    OfferedClusterVersions,
    OfferedRelease,
)

AMI_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}


def look_up_versions(
    name: str,
    *,
    settings: ClusterSettings,
    architecture: Architecture,
    role_arn: str | None,
    opts: pulumi.InvokeOptions,
) -> OfferedClusterVersions:
    """Look the cluster's versions up; raise RunError for a pinned one that AWS does not offer.

    Also raises RunError for roles of this account that do not exist: EKS refuses their entries
    after the control plane exists.
    A program calls this before its first component: with `up --skip-preview`, an error after that
    would leave the resources that exist by then. `opts` selects the AWS provider.
    """
    refuse_missing_roles(
        name, [*settings.deployers, *settings.viewers, *settings.break_glass], opts
    )
    region = aws.get_region(opts=opts).region
    catalog = AddonCatalog(region=region, role_arn=role_arn)
    names = AUTO_MODE_ADDONS if settings.auto_mode else ADDONS_BEFORE_NODES + ADDONS_AFTER_NODES
    pinned = _pinned_addons(settings.addons)
    return OfferedClusterVersions(
        addons={
            addon: _addon(
                name,
                addon,
                pinned[addon],
                catalog.addon_versions(addon, settings.version),
                kubernetes_version=settings.version,
            )
            for addon in names
        },
        node_release=(
            None
            if settings.auto_mode
            else _node_release(
                name, settings.version, architecture, settings.nodes.release_version, opts
            )
        ),
    )


def ami_filters(
    kubernetes_version: str, architecture: Architecture, release: str
) -> list[aws.ec2.GetAmiIdsFilterArgs]:
    """Return filters for the images of a release."""
    kubernetes_patch, _, date = release.partition("-")
    filters = {
        "name": (
            f"amazon-eks-node-al2023-{AMI_ARCHITECTURES[architecture]}-standard-"
            f"{kubernetes_version}-v{date}"
        ),
        "description": f"*k8s: {kubernetes_patch}*",
    }
    return [
        aws.ec2.GetAmiIdsFilterArgs(name=name, values=[value]) for name, value in filters.items()
    ]


def _pinned_addons(versions: AddonSettings) -> dict[str, str | None]:
    return {
        "vpc-cni": versions.vpc_cni,
        "kube-proxy": versions.kube_proxy,
        "eks-pod-identity-agent": versions.pod_identity_agent,
        "coredns": versions.coredns,
        "metrics-server": versions.metrics_server,
    }


def _addon(
    name: str,
    addon: str,
    pinned: str | None,
    offered: OfferedVersions,
    *,
    kubernetes_version: str,
) -> OfferedAddon:
    if pinned is not None and pinned not in offered.versions:
        raise pulumi.RunError(
            f"{name}: EKS does not offer {addon} {pinned} for Kubernetes "
            f"{kubernetes_version}; it offers {', '.join(offered.versions)}"
        )
    return OfferedAddon(pinned=pinned, default=offered.default, versions=offered.versions)


def _node_release(
    name: str,
    kubernetes_version: str,
    architecture: Architecture,
    pinned: str | None,
    opts: pulumi.InvokeOptions,
) -> OfferedRelease:
    """Look up the AMI release: https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html."""
    ami_architecture = AMI_ARCHITECTURES[architecture]
    parameter = (
        f"/aws/service/eks/optimized-ami/{kubernetes_version}/amazon-linux-2023/"
        f"{ami_architecture}/standard/recommended/release_version"
    )
    if pinned is None:
        recommended = aws.ssm.get_parameter(name=parameter, opts=opts).insecure_value
        return OfferedRelease(pinned=None, recommended=recommended)
    filters = ami_filters(kubernetes_version, architecture, pinned)
    if not aws.ec2.get_ami_ids(owners=["amazon"], filters=filters, opts=opts).ids:
        raise pulumi.RunError(
            f"{name}: the AMI release {pinned} does not exist for Amazon Linux 2023 on "
            f"{ami_architecture}; remove the pin, or look a release up: "
            f"aws ssm get-parameter --name {parameter} --query Parameter.Value"
        )
    return OfferedRelease(pinned=pinned, recommended="")
