"""EC2: the machine images of EKS, which moto lacks."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import implements
from sandbox.account.services.eks import catalog

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

EKS_OWNER = "602401143452"  # the owner's alias is amazon
_FILTERED = {"name": "Name", "description": "Description", "architecture": "Architecture"}


@implements("ec2", "DescribeImages")
def describe_images(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return moto's images and, for their owner, those of EKS."""
    result = context.moto.result(call)
    if {"amazon", EKS_OWNER} & set(call.get("Owners") or []):
        filters = {item["Name"]: item["Values"] for item in call.get("Filters") or []}
        images = [
            image
            for image in _eks_images(call.region)
            if filters.keys() <= _FILTERED.keys()
            and all(
                any(fnmatchcase(image[_FILTERED[name]], pattern) for pattern in patterns)
                for name, patterns in filters.items()
            )
        ]
        result["Images"] = [*(result.get("Images") or []), *images]
    return result


def _eks_images(region: str) -> list[dict[str, Any]]:
    """List an image per Kubernetes version and architecture, named as AWS names them."""
    return [
        {
            "ImageId": catalog.ami_id(region, version, architecture, "standard"),
            "Name": (
                f"amazon-eks-node-al2023-{architecture}-standard-{version}-"
                f"v{release.ami_release.partition('-')[2]}"
            ),
            "Description": (
                "EKS-optimized Kubernetes node based on Amazon Linux 2023, "
                f"(k8s: {release.patch}, containerd: 2.1.*)"
            ),
            "Architecture": architecture,
            "OwnerId": EKS_OWNER,
            "ImageOwnerAlias": "amazon",
            "ImageType": "machine",
            "State": "available",
            "Public": True,
            "RootDeviceName": "/dev/xvda",
            "RootDeviceType": "ebs",
            "VirtualizationType": "hvm",
            "CreationDate": "2026-11-05T00:00:00.000Z",
        }
        for version, release in catalog.RELEASES.items()
        for architecture in ("x86_64", "arm64")
    ]
