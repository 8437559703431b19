"""The action Compute/Commands: shell commands in a build without a project.

Source: CodePipeline User Guide, "Commands action reference".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sandbox.pipelines.actions.action import ActionContext, ActionResult
from sandbox.pipelines.actions.managed_build import run_managed_build


def run_commands(context: ActionContext) -> ActionResult:
    """Run the commands on the input artifacts under the role of the action or pipeline."""
    inputs = context.inputs()
    declared = context.declaration.get("outputArtifacts") or []
    outputs = (
        dict(context.run.outputs)
        if context.run.external_id  # resumed after a restart
        else {item["name"]: context.new_artifact(item["name"]) for item in declared}
    )
    build = run_managed_build(
        context, _buildspec(context.declaration), inputs=inputs, outputs=outputs
    )
    exported = build.get("exportedEnvironmentVariables") or []
    return ActionResult(
        summary="The commands succeeded",
        variables={item["name"]: item["value"] for item in exported},
        outputs=outputs,
    )


def _buildspec(declaration: Mapping[str, Any]) -> str:
    """Return the buildspec in JSON, which YAML includes."""
    buildspec: dict[str, Any] = {
        "version": "0.2",
        "env": {"exported-variables": declaration.get("outputVariables") or []},
        "phases": {"build": {"commands": declaration["commands"]}},
    }
    for output in declaration.get("outputArtifacts") or []:
        buildspec["artifacts"] = {"files": output.get("files") or ["**/*"]}
    return json.dumps(buildspec, indent=1)
