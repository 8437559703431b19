"""The kubeconfig of a stack for kubectl: the stack's own, with a token command of the sandbox."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.runtime.home import SOURCE_DIRECTORY, Home


def write(
    home: Home,
    stack: str,
    kubeconfig: str | Mapping[str, Any],
    environment: Mapping[str, str],
    namespace: str | None = None,
) -> Path:
    """Write the stack's kubeconfig, with a default namespace, and return its path.

    The program's kubeconfig runs `aws eks get-token`; this one gets the same token from
    `python -m sandbox.kubernetes.token` with the sandbox's endpoint and credentials.
    """
    text = kubeconfig if isinstance(kubeconfig, str) else json.dumps(kubeconfig)
    content: dict[str, Any] = json.loads(text)
    variables = {key: value for key, value in environment.items() if key.startswith("AWS_")}
    variables["PYTHONPATH"] = str(SOURCE_DIRECTORY)
    for entry in content.get("users", []):
        user = entry["user"]
        arguments = user.get("exec", {}).get("args", [])
        if "get-token" in arguments:
            cluster = arguments[arguments.index("--cluster-name") + 1]
            user["exec"] = {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": sys.executable,
                "args": ["-m", "sandbox.kubernetes.token", cluster],
                "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
                "interactiveMode": "Never",
            }
            # The context bears the cluster's name, as `aws eks update-kubeconfig` names it by its
            # ARN.
            if len(content.get("contexts", [])) == 1:
                content["contexts"][0]["name"] = content["current-context"] = cluster
    for context in content.get("contexts", []) if namespace else ():
        context["context"]["namespace"] = namespace
    home.prepare()
    target = home.kubeconfig(stack)
    target.write_text(yaml.safe_dump(content, sort_keys=False))
    target.chmod(0o600)
    return target
