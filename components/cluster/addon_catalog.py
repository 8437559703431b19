"""The versions of an add-on that EKS offers, which no data source lists."""

from dataclasses import dataclass
from typing import Any

import boto3
import pulumi
from botocore.exceptions import BotoCoreError, ClientError


@dataclass(frozen=True, kw_only=True)
class OfferedVersions:
    """Versions of an add-on for one Kubernetes version."""

    versions: tuple[str, ...]
    """Newest first, as EKS lists them."""
    default: str
    """The version that EKS installs if none is named."""


class AddonCatalog:
    """Reads DescribeAddonVersions with the role and region of the AWS provider.

    `aws.eks.get_addon_version` returns the default and the newest version only, so it cannot tell
    whether EKS still offers an older one.
    """

    def __init__(self, *, region: str, role_arn: str | None) -> None:
        self._region, self._role_arn = region, role_arn
        self._client: Any = None

    def addon_versions(self, addon: str, kubernetes_version: str) -> OfferedVersions:
        """Return the offered versions; raise RunError if EKS has none or does not answer."""
        try:
            if self._client is None:
                self._client = eks_client(self._region, self._role_arn)
            pages = self._client.get_paginator("describe_addon_versions").paginate(
                addonName=addon, kubernetesVersion=kubernetes_version
            )
            infos = [
                info for page in pages for item in page["addons"] for info in item["addonVersions"]
            ]
        except (BotoCoreError, ClientError) as error:
            raise pulumi.RunError(
                f"cannot list the versions of {addon} for Kubernetes {kubernetes_version}: {error}"
            ) from error
        defaults = [
            info["addonVersion"]
            for info in infos
            if any(
                item["clusterVersion"] == kubernetes_version and item["defaultVersion"]
                for item in info["compatibilities"]
            )
        ]
        if not defaults:
            raise pulumi.RunError(
                f"EKS offers no default version of {addon} for Kubernetes {kubernetes_version}; "
                "choose another Kubernetes version: pulumi config set --path "
                "'platform:cluster.version' VERSION"
            )
        versions = tuple(info["addonVersion"] for info in infos)
        return OfferedVersions(versions=versions, default=defaults[0])


def eks_client(region: str, role_arn: str | None) -> Any:
    """Return a client with the caller's credentials or those of the role."""
    session = boto3.Session(region_name=region)
    if role_arn is None:
        return session.client("eks")
    credentials = session.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="pulumi")[
        "Credentials"
    ]
    return session.client(
        "eks",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
