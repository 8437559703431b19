"""The control plane of `make kubernetes` runs workloads on simulated nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.kubernetes import control_plane
from sandbox.kubernetes.control_plane import ControlPlane, ControlPlaneError
from sandbox.runtime import kubernetes_build
from tests.sandbox.kubernetes.test_objects import deployment


def test_missing_programs_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_build, "built", lambda: None)
    with pytest.raises(ControlPlaneError, match="not built; `make kubernetes` builds it"):
        ControlPlane(tmp_path)


def test_program_that_ends_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("etcd", "kube-apiserver"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} has no port; sleep 0.2; exit 3\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(kubernetes_build, "built", lambda: programs)
    with pytest.raises(ControlPlaneError, match=r"ended with exit code 3: \S+ has no port"):
        ControlPlane(tmp_path / "plane").start()


@pytest.mark.skipif(
    kubernetes_build.built() is None or shutil.which("kubectl") is None,
    reason="needs kubectl and the control plane that `make kubernetes` builds",
)
def test_deployment_becomes_available_and_survives_a_restart(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path / "plane")
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}}

    def kubectl(*arguments: str, stdin: object = None) -> str:
        command = ["kubectl", "--kubeconfig", str(plane.write_kubeconfig()), *arguments]
        text = None if stdin is None else json.dumps(stdin)
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    try:
        plane.start()
        plane.run(*control_plane.SIMULATION)
        kubectl("create", "-f", "-", stdin=node)
        kubectl("apply", "-f", "-", stdin=deployment(replicas=2))
        kubectl("rollout", "status", "deployment/web", "--timeout=90s")
        plane.stop()
        plane = ControlPlane(tmp_path / "plane")
        plane.start()
        assert kubectl("get", "deployment", "web", "-o=jsonpath={.spec.replicas}") == "2"
    finally:
        plane.stop()
