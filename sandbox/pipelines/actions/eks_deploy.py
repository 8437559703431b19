"""The action Deploy/EKS: applies manifests of the input artifact with kubectl.

Source: CodePipeline User Guide, "Amazon Elastic Kubernetes Service EKS deploy action reference".
As there, kubectl does not wait for a roll-out; Helm does, but charts are not emulated.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.pipelines.actions.action import ActionContext, ActionError, ActionResult
from sandbox.pipelines.actions.managed_build import environment_variables, run_managed_build

_HELM = ("HelmReleaseName", "HelmChartLocation", "HelmValuesFiles")
# Replaces $NAME and ${NAME} of the action's variables, whose names are arguments after the file.
_SUBSTITUTION = """\
import os, pathlib, re, sys
path, names = pathlib.Path(sys.argv[1]), "|".join(map(re.escape, sys.argv[2:]))
pattern = re.compile(rf"\\$(?:\\{{({names})\\}}|({names})(?![A-Za-z0-9_]))")
path.write_text(pattern.sub(lambda match: os.environ[match[1] or match[2]], path.read_text()))
"""


def apply_manifests(context: ActionContext) -> ActionResult:
    """Apply ManifestFiles to the cluster under the role of the action or pipeline."""
    configuration = context.configuration
    for key in _HELM:
        if configuration.get(key):
            raise ActionError(
                "ConfigurationError",
                f"{key}: Helm charts are not emulated by the sandbox; use ManifestFiles",
            )
    files = _list(configuration.get("ManifestFiles"))
    if not files:
        raise ActionError("ConfigurationError", "ManifestFiles is required to deploy with kubectl")
    inputs, name = context.inputs(), configuration["ClusterName"]
    cluster = context.role.client("eks").describe_cluster(name=name)["cluster"]
    run_managed_build(
        context,
        _buildspec(
            name,
            files,
            namespace=configuration.get("Namespace", ""),
            variables=[item["name"] for item in environment_variables(context)],
        ),
        inputs=inputs,
        outputs={},
        vpc=_vpc(configuration, cluster["resourcesVpcConfig"]),
    )
    return ActionResult(
        summary=f"Applied {', '.join(files)} to the cluster {name}",
        variables={"EKSClusterName": name},
    )


def _vpc(configuration: Mapping[str, str], cluster: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the VPC of the compute: the one declared, or that of a private cluster.

    Source: EKS Workshop, "Features of CodePipeline".
    """
    subnets = _list(configuration.get("Subnets"))
    groups = _list(configuration.get("SecurityGroupIds"))
    if not subnets and not groups and cluster.get("endpointPublicAccess", True):
        return None
    own_groups = [*cluster.get("securityGroupIds", []), cluster.get("clusterSecurityGroupId", "")]
    return {
        "vpcId": cluster["vpcId"],
        "subnets": subnets or cluster["subnetIds"],
        "securityGroupIds": groups or [group for group in own_groups if group],
    }


def _list(text: str | None) -> list[str]:
    return [item.strip() for item in (text or "").split(",") if item.strip()]


def _buildspec(
    cluster: str, files: Sequence[str], *, namespace: str, variables: Sequence[str]
) -> str:
    """Return the buildspec in JSON, which YAML includes."""
    option = f" --namespace {shlex.quote(namespace)}" if namespace else ""
    substitute = shlex.join(["python3", "-c", _SUBSTITUTION])
    names = shlex.join(variables)
    commands = [
        "export KUBECONFIG=/tmp/kubeconfig",
        f"aws eks update-kubeconfig --name {shlex.quote(cluster)}",
    ]
    for file in map(shlex.quote, files):
        if variables:
            commands.append(f"{substitute} {file} {names}")
        commands.append(f"kubectl apply -f {file}{option}")
    return json.dumps({"version": "0.2", "phases": {"build": {"commands": commands}}}, indent=1)
