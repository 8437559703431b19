"""AMI release and add-on versions: pinned in the stack file, or looked up once and stored."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.stored_value import stored_value
from components.cluster.args import AddonSettings, Architecture

AMI_ARCHITECTURES = {"amd64": "x86_64", "arm64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class ClusterVersions:
    """Resolves the versions of one cluster."""

    name: str
    prefix: str
    kubernetes_version: str
    parent: pulumi.Resource

    def addon(self, addon: str, pinned: str | None) -> pulumi.Input[str]:
        """Return the version of an add-on; raise RunError for a pinned one that is not offered.

        The API lists all versions, the data source only the default and the newest: a pinned
        version is refused if it is newer than the newest.
        """
        version = self._offered(addon, most_recent=pinned is not None)
        if pinned is None:
            return self._stored(addon, version)
        if _numbers(pinned) > _numbers(version):
            raise pulumi.RunError(
                f"{self.name}: {addon} {pinned} does not exist for Kubernetes "
                f"{self.kubernetes_version}; the newest version is {version}"
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
            release = aws.ssm.get_parameter(name=parameter, opts=opts).insecure_value
            return self._stored("node-release", release)
        kubernetes_patch, _, date = pinned.partition("-")
        filters = {
            "name": (
                f"amazon-eks-node-al2023-{ami_architecture}-standard-"
                f"{self.kubernetes_version}-v{date}"
            ),
            "description": f"*k8s: {kubernetes_patch}*",
        }
        amis = aws.ec2.get_ami_ids(
            owners=["amazon"],
            filters=[{"name": name, "values": [value]} for name, value in filters.items()],
            opts=opts,
        )
        if not amis.ids:
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

    def _offered(self, addon: str, *, most_recent: bool) -> str:
        return aws.eks.get_addon_version(
            addon_name=addon,
            kubernetes_version=self.kubernetes_version,
            most_recent=most_recent,
            opts=pulumi.InvokeOptions(parent=self.parent),
        ).version

    def _stored(self, key: str, value: str) -> pulumi.Output[str]:
        """Store per Kubernetes version: an upgrade looks all versions up again."""
        return stored_value(
            f"{self.name}-{key}-{self.kubernetes_version}",
            path=f"/{self.prefix}/{self.name}/{self.kubernetes_version}/{key}",
            value=value,
            parent=self.parent,
        )


def _numbers(version: str) -> list[int]:
    """Numbers of `v1.21.1-eksbuild.1`, for comparison."""
    release, _, build = version.removeprefix("v").partition("-eksbuild.")
    return [*map(int, release.split(".")), int(build)]
