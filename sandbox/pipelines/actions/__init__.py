"""Actions by provider."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.pipelines.actions.action import ActionContext, ActionError, ActionResult
from sandbox.pipelines.actions.approval import request_approval
from sandbox.pipelines.actions.codebuild import run_build
from sandbox.pipelines.actions.commands import run_commands
from sandbox.pipelines.actions.connection_source import fetch_commit
from sandbox.pipelines.actions.eks_deploy import apply_manifests
from sandbox.pipelines.actions.s3_deploy import deploy_files
from sandbox.pipelines.actions.s3_source import fetch_object

__all__ = ["PROVIDERS", "ActionContext", "ActionError", "ActionResult"]

PROVIDERS: dict[tuple[str, str], Callable[[ActionContext], ActionResult]] = {
    ("Approval", "Manual"): request_approval,
    ("Build", "CodeBuild"): run_build,
    ("Compute", "Commands"): run_commands,
    ("Deploy", "EKS"): apply_manifests,
    ("Deploy", "S3"): deploy_files,
    ("Source", "CodeStarSourceConnection"): fetch_commit,
    ("Source", "S3"): fetch_object,
    ("Test", "CodeBuild"): run_build,
}
