"""Amazon EKS's catalog: Kubernetes versions, add-on versions, access policies, node images.

Versions and dates follow docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html and the
add-on pages. Build numbers are samples of AWS's format, constant so that lookups are repeatable;
they are not a copy of AWS's current catalog.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A Kubernetes minor version: patch, platform version, ends of both kinds of support."""

    patch: str
    platform: str
    released: datetime.date
    standard_until: datetime.date
    extended_until: datetime.date
    ami_release: str


_D = datetime.date
RELEASES: dict[str, Release] = {
    "1.33": Release(
        "1.33.11", "eks.30", _D(2025, 5, 28), _D(2026, 7, 29), _D(2027, 7, 29), "1.33.11-20261105"
    ),
    "1.34": Release(
        "1.34.8", "eks.21", _D(2025, 10, 2), _D(2026, 12, 2), _D(2027, 12, 2), "1.34.8-20261105"
    ),
    "1.35": Release(
        "1.35.5", "eks.12", _D(2026, 1, 27), _D(2027, 3, 27), _D(2028, 3, 27), "1.35.5-20261105"
    ),
    "1.36": Release(
        "1.36.2", "eks.5", _D(2026, 6, 2), _D(2027, 8, 2), _D(2028, 8, 2), "1.36.2-20261105"
    ),
}
DEFAULT_VERSION = "1.35"

_ALL = tuple(RELEASES)
# Add-on, version, supported Kubernetes versions; newest first, the first is the default.
ADDONS: dict[str, dict[str, tuple[str, ...]]] = {
    "vpc-cni": {
        "v1.21.1-eksbuild.1": _ALL,
        "v1.20.5-eksbuild.1": _ALL,
        "v1.20.4-eksbuild.1": ("1.33", "1.34", "1.35"),
    },
    "coredns": {
        "v1.14.1-eksbuild.1": ("1.36",),
        "v1.13.1-eksbuild.1": ("1.35", "1.36"),
        "v1.12.4-eksbuild.1": ("1.33", "1.34", "1.35"),
        "v1.12.1-eksbuild.2": ("1.33", "1.34"),
    },
    "kube-proxy": {
        "v1.36.0-eksbuild.2": ("1.36",),
        "v1.35.3-eksbuild.2": ("1.35", "1.36"),
        "v1.35.0-eksbuild.2": ("1.35", "1.36"),
        "v1.34.3-eksbuild.2": ("1.34", "1.35", "1.36"),
        "v1.33.5-eksbuild.2": ("1.33", "1.34", "1.35", "1.36"),
    },
    "eks-pod-identity-agent": {"v1.3.10-eksbuild.2": _ALL, "v1.3.9-eksbuild.5": _ALL},
    "aws-ebs-csi-driver": {"v1.54.0-eksbuild.1": _ALL, "v1.53.0-eksbuild.1": _ALL},
    "aws-efs-csi-driver": {"v2.1.15-eksbuild.1": _ALL},
    "metrics-server": {"v0.8.0-eksbuild.6": _ALL, "v0.8.0-eksbuild.3": _ALL},
    "amazon-cloudwatch-observability": {"v4.8.0-eksbuild.1": _ALL},
    "eks-node-monitoring-agent": {"v1.5.0-eksbuild.1": _ALL},
    "snapshot-controller": {"v8.3.0-eksbuild.1": _ALL},
}
ADDON_NAMESPACES = {"amazon-cloudwatch-observability": "amazon-cloudwatch"}
ADDON_TYPES = {
    "vpc-cni": "networking",
    "coredns": "networking",
    "kube-proxy": "networking",
    "eks-pod-identity-agent": "security",
    "aws-ebs-csi-driver": "storage",
    "aws-efs-csi-driver": "storage",
    "snapshot-controller": "storage",
}
NEEDS_IAM = frozenset(
    {"vpc-cni", "aws-ebs-csi-driver", "aws-efs-csi-driver", "amazon-cloudwatch-observability"}
)

# docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
ACCESS_POLICIES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSEventPolicy",
    "AmazonEKSHybridPolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEKSSecretReaderPolicy",
    "AmazonEKSViewPolicy",
)
POLICY_PREFIX = "arn:aws:eks::aws:cluster-access-policy/"


def ami_id(region: str, version: str, architecture: str, variant: str) -> str:
    """Return the node image of a Kubernetes version's current release in a region."""
    path = f"{version}/amazon-linux-2023/{architecture}/{variant}"
    text = f"{region}/{path}/{RELEASES[version].ami_release}"
    return f"ami-{hashlib.sha256(text.encode()).hexdigest()[:17]}"


def addon_versions(addon: str, kubernetes: str) -> list[str]:
    """Return an add-on's versions for a Kubernetes version, newest first."""
    return [
        version for version, supported in ADDONS.get(addon, {}).items() if kubernetes in supported
    ]


def support(version: str, today: datetime.date) -> str:
    """Return STANDARD_SUPPORT, EXTENDED_SUPPORT or UNSUPPORTED."""
    release = RELEASES.get(version)
    if release is None or today > release.extended_until:
        return "UNSUPPORTED"
    return "STANDARD_SUPPORT" if today <= release.standard_until else "EXTENDED_SUPPORT"


def is_arm(instance_type: str) -> bool:
    """Whether an instance type is Graviton: "g" after the generation's digit (m7g, t4g, c8gd), or
    a1.
    """
    family = instance_type.partition(".")[0]
    after_digit = family.lstrip("abcdefghijklmnopqrstuvwxyz").lstrip("0123456789")
    return family == "a1" or after_digit.startswith("g")
