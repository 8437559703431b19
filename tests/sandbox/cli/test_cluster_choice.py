"""`--kubernetes`: the choice of a stack's cluster is refused before anything is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.cli.cluster_choice import ClusterChoice, ClusterChoiceError
from sandbox.engine import Result
from sandbox.engine.state.backend import Backend
from sandbox.runtime import kubernetes_build
from sandbox.runtime.cluster_backends import (
    BackendSyntaxError,
    StackBackends,
    cluster_directory,
    of_cluster,
)
from sandbox.runtime.home import Home
from tests.ports import free_port

ARN = "arn:aws:eks:us-east-1:123456789012:cluster/platform-dev"
URN = "urn:pulumi:dev::platform::aws:eks/cluster:Cluster::cluster"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def choice(home: Home, value: str | None = None) -> ClusterChoice:
    return ClusterChoice(home, "platform", "dev", value)


def kubeconfig(path: Path, server: str = "https://127.0.0.1:1", **user: Any) -> Path:
    content = {
        "clusters": [{"name": "kind", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "kind", "context": {"cluster": "kind", "user": "me"}}],
        "current-context": "kind",
    }
    path.write_text(json.dumps(content))
    return path


def refusal(home: Home, value: str) -> str:
    with pytest.raises(ClusterChoiceError) as refused:
        choice(home, value).check("up")
    assert not (home.kubernetes / "backends").exists()
    return str(refused.value)


@pytest.mark.parametrize("value", ["kind", "kubeconfig", "kubeconfig:", "control-plane:x"])
def test_unknown_value_is_refused_with_the_valid_ones(home: Home, value: str) -> None:
    with pytest.raises(BackendSyntaxError, match=r"Use emulated, control-plane, or kubeconfig:"):
        choice(home, value)


def test_missing_kubeconfig_is_refused(home: Home, tmp_path: Path) -> None:
    assert refusal(home, f"kubeconfig:{tmp_path}/config") == (
        f"there is no kubeconfig {tmp_path}/config. Name a file that `kubectl --kubeconfig` can "
        "use."
    )


def test_missing_context_is_refused_with_the_contexts_of_the_file(
    home: Home, tmp_path: Path
) -> None:
    path = kubeconfig(tmp_path / "config")
    assert refusal(home, f"kubeconfig:{path}#k3d") == (
        f"the kubeconfig {path} has no context k3d. Add #CONTEXT with one of its contexts: kind."
    )


def test_silent_server_is_refused_with_its_address(home: Home, tmp_path: Path) -> None:
    server = f"https://127.0.0.1:{free_port()}"
    path = kubeconfig(tmp_path / "config", server)
    assert refusal(home, f"kubeconfig:{path}").startswith(
        f"context kind of {path} ({server}) does not answer: "
    )


def test_unusable_certificate_is_refused(home: Home, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", **{"client-certificate": "missing.pem"})
    message = refusal(home, f"kubeconfig:{path}")
    assert message.startswith(f"a certificate or key of context kind of {path} cannot be used: ")
    assert "missing.pem" in message


def test_control_plane_that_is_not_built_is_refused_with_the_command(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_build, "built", lambda: None)
    assert refusal(home, "control-plane") == (
        "--kubernetes control-plane needs kube-apiserver, etcd and kwok, which are not built. "
        "Build them once: `make kubernetes`."
    )


def test_choice_cannot_change_while_the_cluster_exists(home: Home, tmp_path: Path) -> None:
    resource = {"urn": URN, "type": "aws:eks/cluster:Cluster", "custom": True, "id": "x"}
    Backend(home.state).write("platform", "dev", json.dumps({"resources": [resource]}), [])
    assert refusal(home, "control-plane") == (
        "the cluster of stack dev has --kubernetes emulated, which cannot change while it exists. "
        "Destroy it first: `sandbox destroy dev`."
    )


def test_stored_choice_serves_later_commands_until_the_stack_is_destroyed(home: Home) -> None:
    choice(home, "control-plane").begin("up")
    later = choice(home)
    assert str(later.backend) == "control-plane"
    assert later.end(Result("succeeded", "dev", "up", {}, 0), whole=True) == [
        "the cluster is a control plane with simulated nodes and pods: no container runs, and no "
        "URL answers."
    ]
    later.end(Result("succeeded", "dev", "destroy", {}, 0), whole=True)
    assert choice(home).backend is None


def test_cluster_gets_the_choice_of_the_stack_that_creates_it(home: Home) -> None:
    backends, directory = StackBackends(home.kubernetes), cluster_directory(home.kubernetes, ARN)
    choice(home, "control-plane").begin("up")
    backends.assign(URN, ARN)
    assert str(of_cluster(directory)) == "control-plane"
    backends.assign(URN.replace("pulumi:dev:", "pulumi:prod:"), ARN)
    assert of_cluster(directory) is None


def test_up_is_refused_while_objects_of_the_last_cluster_are_deleted(home: Home) -> None:
    choice(home, "control-plane").begin("up")
    StackBackends(home.kubernetes).assign(URN, ARN)
    (cluster_directory(home.kubernetes, ARN) / "deleting").touch()
    with pytest.raises(ClusterChoiceError, match="are still being deleted"):
        choice(home).check("up")
