"""eks:index:ServiceRole: an IAM role of a service with AWS managed policies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from sandbox.providers.eks.kubeconfig import compact

NODE_POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryReadOnly",
)
AUTO_NODE_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
AUTO_CLUSTER_POLICIES = (
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
)


class ServiceRole(pulumi.ComponentResource):
    """A role `NAME-role` and an attachment `NAME-<hash>` per policy, named as in pulumi-eks."""

    direct: aws.iam.Role
    """The role, before its policies."""
    resolved: pulumi.Output[aws.iam.Role]
    """The role after every policy is attached."""

    def __init__(
        self,
        name: str,
        *,
        service: str,
        policies: Sequence[str],
        partition: pulumi.Output[str],
        tags: Any,
        opts: pulumi.ResourceOptions,
        description: str | None = None,
        actions: Sequence[str] = ("sts:AssumeRole",),
    ) -> None:
        super().__init__("eks:index:ServiceRole", name, None, opts)
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": list(actions), "Effect": "Allow", "Principal": {"Service": [service]}}
            ],
        }
        child = pulumi.ResourceOptions(parent=self)
        self.direct = aws.iam.Role(
            f"{name}-role",
            description=description,
            assume_role_policy=compact(trust),
            tags=tags,
            opts=child,
        )
        attachments = [
            aws.iam.RolePolicyAttachment(
                # pulumi-eks hashes the ARN of the commercial partition in every partition.
                f"{name}-{_short_hash(f'arn:aws:iam::aws:policy/{policy}')}",
                policy_arn=pulumi.Output.format("arn:{0}:iam::aws:policy/{1}", partition, policy),
                role=self.direct.id,
                opts=child,
            )
            for policy in policies
        ]
        self.resolved = pulumi.Output.all(self.direct.arn, *[a.id for a in attachments]).apply(
            lambda _: self.direct
        )
        self.register_outputs({"resolvedRole": self.resolved, "directRole": self.direct})


def _short_hash(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]
