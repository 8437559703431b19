"""EKS-optimized AMIs: AMI type by operating system, architecture and GPU support."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pulumi


class Ami(NamedTuple):
    """An AMI type."""

    system: str
    gpu: bool
    architecture: str
    parameter: str
    """Public SSM parameter of the recommended image; `{}` is the Kubernetes version."""
    alias: str | None = None


_EKS = "/aws/service/eks/optimized-ami/{}/"
_ROCKET = "/aws/service/bottlerocket/aws-k8s-{}"

# Source: https://docs.aws.amazon.com/eks/latest/userguide/eks-optimized-amis.html, and pulumi-eks
# nodes/ami.ts.
AMIS = {
    "AL2_x86_64": Ami(
        "AL2", False, "x86_64", _EKS + "amazon-linux-2/recommended/image_id", "amazon-linux-2"
    ),
    "AL2_x86_64_GPU": Ami(
        "AL2",
        True,
        "x86_64",
        _EKS + "amazon-linux-2-gpu/recommended/image_id",
        "amazon-linux-2-gpu",
    ),
    "AL2_ARM_64": Ami(
        "AL2",
        False,
        "arm64",
        _EKS + "amazon-linux-2-arm64/recommended/image_id",
        "amazon-linux-2-arm",
    ),
    "AL2023_x86_64_STANDARD": Ami(
        "AL2023",
        False,
        "x86_64",
        _EKS + "amazon-linux-2023/x86_64/standard/recommended/image_id",
        "amazon-linux-2023/x86_64/standard",
    ),
    "AL2023_ARM_64_STANDARD": Ami(
        "AL2023",
        False,
        "arm64",
        _EKS + "amazon-linux-2023/arm64/standard/recommended/image_id",
        "amazon-linux-2023/arm64/standard",
    ),
    "AL2023_x86_64_NVIDIA": Ami(
        "AL2023",
        True,
        "x86_64",
        _EKS + "amazon-linux-2023/x86_64/nvidia/recommended/image_id",
        "amazon-linux-2023/x86_64/nvidia",
    ),
    "BOTTLEROCKET_ARM_64": Ami("Bottlerocket", False, "arm64", _ROCKET + "/arm64/latest/image_id"),
    "BOTTLEROCKET_x86_64": Ami(
        "Bottlerocket", False, "x86_64", _ROCKET + "/x86_64/latest/image_id"
    ),
    "BOTTLEROCKET_ARM_64_NVIDIA": Ami(
        "Bottlerocket", True, "arm64", _ROCKET + "-nvidia/arm64/latest/image_id"
    ),
    "BOTTLEROCKET_x86_64_NVIDIA": Ami(
        "Bottlerocket", True, "x86_64", _ROCKET + "-nvidia/x86_64/latest/image_id"
    ),
}


def ami_type(name: str) -> str | None:
    """Return the AMI type of a name or alias, or None."""
    return (
        name
        if name in AMIS
        else next((key for key, ami in AMIS.items() if ami.alias == name), None)
    )


def operating_system(ami: str | None, system: str | None) -> str:
    """Return the operating system (default AL2023), or raise InputPropertyError."""
    if not ami:
        return system or "AL2023"
    resolved = ami_type(ami)
    if resolved is None:
        raise pulumi.InputPropertyError(
            "amiType", f"Cannot determine OS of unknown AMI type: {ami}"
        )
    detected = AMIS[resolved].system
    if system and system != detected:
        raise pulumi.InputPropertyError(
            "operatingSystem",
            (
                f"Operating system '{system}' does not match the detected operating system "
                f"'{detected}' of AMI type '{ami}'."
            ),
        )
    return detected


def ami_type_for(system: str, gpu: bool, architecture: str) -> str:
    """Return the AMI type with these properties, or raise InputPropertyError."""
    for name, ami in AMIS.items():
        if (ami.system, ami.gpu, ami.architecture) == (system, gpu, architecture):
            return name
    raise pulumi.InputPropertyError(
        "operatingSystem",
        f"No AMI type detected for OS: {system}, GPU support: {gpu}, architecture: {architecture}",
    )


def architecture(instance_types: Sequence[str] | None, path: str) -> str:
    """Return the common architecture of instance types ("x86_64" for none), or raise
    InputPropertyError.
    """
    detected = {_architecture(instance, path) for instance in instance_types or ()}
    if len(detected) > 1:
        raise pulumi.InputPropertyError(
            path,
            (
                "Cannot determine architecture of instance types. The provided instance types do "
                "not share a common architecture"
            ),
        )
    return detected.pop() if detected else "x86_64"


def _architecture(instance: str, path: str) -> str:
    match = re.search(r"[a-z]+[0-9]+([a-z])?-?[a-z]*\.[a-zA-Z0-9-]+", instance)
    if not match:
        raise pulumi.InputPropertyError(path, f"Invalid EC2 instance type: {instance}")
    return "arm64" if match[1] == "g" else "x86_64"
