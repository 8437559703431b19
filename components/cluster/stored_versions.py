"""Stores the AMI release and add-on versions that were looked up, once."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.aws.stored_value import stored_value
from components.cluster.args import Architecture, OfferedAddon, OfferedRelease
from components.cluster.versions import ami_filters


@dataclass(frozen=True, kw_only=True)
class StoredVersions:
    """Returns a pinned version, or stores the looked up one and returns the stored one."""

    name: str
    prefix: str
    kubernetes_version: str
    cluster_exists: bool
    """Whether the cluster runs already; it keeps its versions when EKS retires them."""
    parent: pulumi.Resource

    def addon(self, addon: str, offered: OfferedAddon) -> pulumi.Input[str]:
        """Return the version of an add-on."""
        if offered.pinned is not None:
            return offered.pinned
        return self._stored(addon, offered.default).apply(
            lambda version: self._check_stored(
                f"{addon} {version}",
                offered=version in offered.versions,
                pin=f"cluster.addons.{addon.removeprefix('eks-').replace('-', '_')}",
                replacement=offered.default,
                version=version,
            )
        )

    def node_release(
        self, architecture: Architecture, offered: OfferedRelease
    ) -> pulumi.Input[str]:
        """Return the AMI release."""
        if offered.pinned is not None:
            return offered.pinned
        stored = self._stored("node-release", offered.recommended)
        amis = aws.ec2.get_ami_ids_output(
            owners=["amazon"],
            filters=stored.apply(
                lambda release: ami_filters(self.kubernetes_version, architecture, release)
            ),
            opts=pulumi.InvokeOutputOptions(parent=self.parent),
        )
        return pulumi.Output.all(stored, amis.ids).apply(
            lambda results: self._check_stored(
                f"the AMI release {results[0]}",
                offered=bool(results[1]),
                pin="cluster.nodes.release_version",
                replacement=offered.recommended,
                version=results[0],
            )
        )

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
