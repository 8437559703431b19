"""The kubeconfig that the sandbox writes for kubectl."""

from __future__ import annotations

from pathlib import Path

import yaml

from sandbox.runtime import kubeconfig
from sandbox.runtime.home import Home

STACK_KUBECONFIG = {
    "clusters": [{"name": "kubernetes", "cluster": {"server": "https://127.0.0.1:20000"}}],
    "contexts": [{"name": "aws", "context": {"cluster": "kubernetes", "user": "aws"}}],
    "current-context": "aws",
    "users": [
        {
            "name": "aws",
            "user": {
                "exec": {"command": "aws", "args": ["eks", "get-token", "--cluster-name", "dev"]}
            },
        }
    ],
}


def test_context_is_named_after_the_cluster(tmp_path: Path) -> None:
    path = kubeconfig.write(Home(tmp_path), "dev", STACK_KUBECONFIG, {"AWS_REGION": "us-east-1"})
    content = yaml.safe_load(path.read_text())
    assert content["current-context"] == content["contexts"][0]["name"] == "dev"
    assert content["contexts"][0]["context"] == {"cluster": "kubernetes", "user": "aws"}
    arguments = content["users"][0]["user"]["exec"]["args"]
    assert arguments == ["-m", "sandbox.kubernetes.token", "dev"]
