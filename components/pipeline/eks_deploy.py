"""CodePipeline's EKS action, which applies the manifest that the build `admit` writes.

Source: https://docs.aws.amazon.com/codepipeline/latest/userguide/action-reference-EKS.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.aws.iam import document, role_trust
from components.aws.log_groups import log_group
from components.pipeline import iam
from components.pipeline.args import PipelineCluster, PipelineWorkload
from components.pipeline.cluster_access import access_entry
from components.pipeline.codebuild import ProjectFactory

MANIFESTS = "manifests"
"""Artifact with the manifest."""
MANIFEST_FILE = "deployment.json"


@dataclass(frozen=True, kw_only=True)
class EksDeployment:
    """The action and its role."""

    action: Mapping[str, Any]
    role: aws.iam.Role
    policy: aws.iam.RolePolicy


def eks_deployment(
    factory: ProjectFactory,
    *,
    pipeline_role_arn: pulumi.Input[str],
    cluster: PipelineCluster,
    workload: PipelineWorkload,
) -> EksDeployment:
    """Create the action's role, which edits one namespace, and the log group of its compute."""
    name, context = f"{factory.name}-deploy", factory.context
    child = pulumi.ResourceOptions(parent=factory.parent)
    logs = log_group(
        name,
        group_name=f"/aws/codepipeline/{factory.prefix}",
        days=factory.log_days,
        key=factory.key,
        parent=factory.parent,
    )
    role = aws.iam.Role(name, assume_role_policy=role_trust(pipeline_role_arn), opts=child)
    policy = aws.iam.RolePolicy(
        name,
        role=role.id,
        policy=document(
            *iam.read_artifacts(factory.bucket.arn, factory.key.arn, context),
            *iam.run_eks_action(
                factory.vpc.subnet_ids,
                cluster_arn=cluster.cluster_arn,
                log_group_arn=logs.arn,
                context=context,
            ),
        ),
        opts=child,
    )
    access_entry(name, cluster.cluster_name, role.arn, workload.namespace, context, factory.parent)
    return EksDeployment(action=_action(factory, role, cluster, workload), role=role, policy=policy)


def _action(
    factory: ProjectFactory,
    role: aws.iam.Role,
    cluster: PipelineCluster,
    workload: PipelineWorkload,
) -> Mapping[str, Any]:
    """Apply the manifest from the VPC; the action does not wait for the roll-out."""
    return {
        "name": "Deploy",
        "category": "Deploy",
        "owner": "AWS",
        "provider": "EKS",
        "version": "1",
        "input_artifacts": [MANIFESTS],
        "role_arn": role.arn,
        "configuration": {
            "ClusterName": cluster.cluster_name,
            "ManifestFiles": MANIFEST_FILE,
            "Namespace": workload.namespace,
            "Subnets": pulumi.Output.all(*factory.vpc.subnet_ids).apply(",".join),
            "SecurityGroupIds": factory.vpc.security_group_id,
        },
    }
