"""The kubeconfig that kubectl uses with a stack in the sandbox: the stack's own, with a token command that needs no aws CLI."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sandbox.runtime.home import PROJECT_DIRECTORY, Home


def write(home: Home, stack: str, kubeconfig: str | Mapping[str, Any], environment: Mapping[str, str]) -> Path:
    """Write the stack's kubeconfig for kubectl and return its path.

    The program's kubeconfig runs `aws eks get-token`; here the same token comes from `python -m sandbox.kubernetes.token`,
    asked with the sandbox's endpoint and credentials.
    """
    content: dict[str, Any] = (
        json.loads(kubeconfig) if isinstance(kubeconfig, str) else json.loads(json.dumps(kubeconfig))
    )
    for user in content.get("users", []):
        execution = user.get("user", {}).get("exec")
        if execution and "get-token" in execution.get("args", []):
            arguments = execution["args"]
            cluster = arguments[arguments.index("--cluster-name") + 1]
            variables = {key: value for key, value in environment.items() if key.startswith("AWS_")} | {
                "PYTHONPATH": str(PROJECT_DIRECTORY)
            }
            user["user"]["exec"] = {
                "apiVersion": "client.authentication.k8s.io/v1beta1",
                "command": sys.executable,
                "args": ["-m", "sandbox.kubernetes.token", cluster],
                "env": [{"name": key, "value": value} for key, value in sorted(variables.items())],
                "interactiveMode": "Never",
            }
    home.prepare()
    target = home.kubeconfig(stack)
    target.write_text(yaml.safe_dump(content, sort_keys=False))
    target.chmod(0o600)
    return target
