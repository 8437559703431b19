"""AMI release and add-on versions: pinned in the stack file, or looked up once and stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.stored_value import stored_value
from components.cluster.addon_catalog import AddonCatalog
from components.cluster.args import AddonSettings, Architecture

AMI_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class ClusterVersions:
    """Resolves the versions of one cluster."""

    name: str
    prefix: str
    kubernetes_version: str
    cluster_exists: bool
    """Whether the cluster runs already; it keeps its versions when EKS retires them."""
    catalog: AddonCatalog
    parent: pulumi.Resource

    def addon(self, addon: str, pinned: str | None) -> pulumi.Input[str]:
        """Return the version of an add-on; raise RunError for one that EKS does not offer."""
        offered = self.catalog.addon_versions(addon, self.kubernetes_version)
        if pinned is None:
            stored = self._stored(addon, offered.default)
            return stored.apply(
                lambda version: self._check_stored(
                    f"{addon} {version}",
                    offered=version in offered.versions,
                    pin=f"cluster.addons.{addon.removeprefix('eks-').replace('-', '_')}",
                    replacement=offered.default,
                    version=version,
                )
            )
        if pinned not in offered.versions:
            raise pulumi.RunError(
                f"{self.name}: EKS does not offer {addon} {pinned} for Kubernetes "
                f"{self.kubernetes_version}; it offers {', '.join(offered.versions)}"
            )
        return pinned

    def node_release(self, architecture: Architecture, pinned: str | None) -> pulumi.Input[str]:
        """Return the AMI release; raise RunError for a pinned one that does not exist.

        https://docs.aws.amazon.com/eks/latest/userguide/retrieve-ami-id.html
        """
        ami_architecture = AMI_ARCHITECTURES[architecture]
        parameter = (
            f"/aws/service/eks/optimized-ami/{self.kubernetes_version}/amazon-linux-2023/"
            f"{ami_architecture}/standard/recommended/release_version"
        )
        opts = pulumi.InvokeOptions(parent=self.parent)
        if pinned is None:
            recommended = aws.ssm.get_parameter(name=parameter, opts=opts).insecure_value
            stored = self._stored("node-release", recommended)
            amis = aws.ec2.get_ami_ids_output(
                owners=["amazon"],
                filters=stored.apply(lambda release: self._ami_filters(release, ami_architecture)),
                opts=pulumi.InvokeOutputOptions(parent=self.parent),
            )
            return pulumi.Output.all(stored, amis.ids).apply(
                lambda results: self._check_stored(
                    f"the AMI release {results[0]}",
                    offered=bool(results[1]),
                    pin="cluster.nodes.release_version",
                    replacement=recommended,
                    version=results[0],
                )
            )
        filters = self._ami_filters(pinned, ami_architecture)
        if not aws.ec2.get_ami_ids(owners=["amazon"], filters=filters, opts=opts).ids:
            raise pulumi.RunError(
                f"{self.name}: the AMI release {pinned} does not exist for Amazon Linux 2023 on "
                f"{ami_architecture}; remove the pin, or look a release up: "
                f"aws ssm get-parameter --name {parameter} --query Parameter.Value"
            )
        return pinned

    def addons(self, versions: AddonSettings, names: Sequence[str]) -> dict[str, pulumi.Input[str]]:
        """Return the versions of the named add-ons."""
        pinned = {
            "vpc-cni": versions.vpc_cni,
            "kube-proxy": versions.kube_proxy,
            "eks-pod-identity-agent": versions.pod_identity_agent,
            "coredns": versions.coredns,
            "metrics-server": versions.metrics_server,
        }
        return {name: self.addon(name, pinned[name]) for name in names}

    def _ami_filters(
        self, release: str, ami_architecture: str
    ) -> list[aws.ec2.GetAmiIdsFilterArgs]:
        kubernetes_patch, _, date = release.partition("-")
        filters = {
            "name": (
                f"amazon-eks-node-al2023-{ami_architecture}-standard-"
                f"{self.kubernetes_version}-v{date}"
            ),
            "description": f"*k8s: {kubernetes_patch}*",
        }
        return [
            aws.ec2.GetAmiIdsFilterArgs(name=name, values=[value])
            for name, value in filters.items()
        ]

    def _check_stored(
        self, what: str, *, offered: bool, pin: str, replacement: str, version: str
    ) -> str:
        """Return the stored version if EKS offers it; otherwise warn, or raise RunError.

        A cluster keeps running a retired version; a new cluster cannot get it.
        """
        if offered:
            return version
        message = (
            f"{self.name}: {what} is stored for this stack, and EKS no longer offers it for "
            f"Kubernetes {self.kubernetes_version}. Pin an offered version: "
            f"pulumi config set --path 'platform:{pin}' {replacement}"
        )
        if not self.cluster_exists:
            raise pulumi.RunError(message)
        pulumi.log.warn(message, self.parent)
        return version

    def _stored(self, key: str, value: str) -> pulumi.Output[str]:
        """Store per Kubernetes version: an upgrade looks all versions up again."""
        return stored_value(
            f"{self.name}-{key}-{self.kubernetes_version}",
            path=f"/{self.prefix}/{self.name}/{self.kubernetes_version}/{key}",
            value=value,
            parent=self.parent,
        )
