"""EC2: machine images of Amazon Linux and EKS, which moto lacks."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from sandbox.account.core.operations import implements
from sandbox.account.services.eks import catalog

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

EKS_OWNER = "602401143452"  # the owner's alias is amazon
AMAZON_LINUX_OWNER = "137112412989"  # so is this one's
# Names as AWS forms them: version, date and disk; samples, not AWS's current releases.
_AMAZON_LINUX = {
    "amzn2-ami-hvm-2.0.20261101.0-{0}-gp2": "Amazon Linux 2 AMI 2.0.20261101.0 {0} HVM gp2",
    "al2023-ami-2023.9.20261102.0-kernel-6.12-{0}": "Amazon Linux 2023 AMI 2023.9 {0} HVM",
}
_FILTERED = {
    "name": "Name",
    "description": "Description",
    "architecture": "Architecture",
    "owner-alias": "ImageOwnerAlias",
    "root-device-type": "RootDeviceType",
    "state": "State",
    "virtualization-type": "VirtualizationType",
}
_COMMON = {
    "ImageOwnerAlias": "amazon",
    "ImageType": "machine",
    "State": "available",
    "Public": True,
    "RootDeviceName": "/dev/xvda",
    "RootDeviceType": "ebs",
    "VirtualizationType": "hvm",
}


@implements("ec2", "DescribeImages")
def describe_images(context: RequestContext, call: Call) -> dict[str, Any]:
    """Return moto's images and, for their owners, those of Amazon."""
    result = context.moto.result(call)
    owners = set(call.get("Owners") or [])
    if owners:
        filters = {item["Name"]: item["Values"] for item in call.get("Filters") or []}
        images = [
            image
            for image in [*_eks_images(call.region), *_amazon_linux_images(call.region)]
            if owners & {"amazon", image["OwnerId"]}
            and filters.keys() <= _FILTERED.keys()
            and all(
                any(fnmatchcase(image[_FILTERED[name]], pattern) for pattern in patterns)
                for name, patterns in filters.items()
            )
        ]
        result["Images"] = [*(result.get("Images") or []), *images]
    return result


def _amazon_linux_images(region: str) -> list[dict[str, Any]]:
    images = []
    for template, description in _AMAZON_LINUX.items():
        for architecture in ("x86_64", "arm64"):
            name = template.format(architecture)
            digest = hashlib.sha256(f"{region}/{name}".encode()).hexdigest()
            images.append(
                {
                    **_COMMON,
                    "ImageId": f"ami-{digest[:17]}",
                    "Name": name,
                    "Description": description.format(architecture),
                    "Architecture": architecture,
                    "OwnerId": AMAZON_LINUX_OWNER,
                    "CreationDate": "2026-11-02T00:00:00.000Z",
                }
            )
    return images


def _eks_images(region: str) -> list[dict[str, Any]]:
    """List an image per Kubernetes version and architecture, named as AWS names them."""
    return [
        {
            **_COMMON,
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
            "CreationDate": "2026-11-05T00:00:00.000Z",
        }
        for version, release in catalog.RELEASES.items()
        for architecture in ("x86_64", "arm64")
    ]
