"""kubectl's verbs on pods that run: port-forward, attach, exec and cp, with WebSockets and SPDY."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.process_runtime import ProcessRuntime
from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.images import image_sources
from sandbox.images.build_request import BuildRequest
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.ports import ExternalServices
from tests.sandbox.conftest import DOCKERFILE, SERVER
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, Principals, node
from tests.sandbox.kubernetes.test_pods import SERVICE, deployment, wait

pytestmark = pytest.mark.server

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run one pod of a small HTTP server; return the kubeconfig of its cluster."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    directory = tmp_path_factory.mktemp("pods")
    context = directory / "context"
    context.mkdir()
    (context / "server.py").write_text(SERVER)
    (context / "Dockerfile").write_text(DOCKERFILE)
    digest = f"sha256:{sha256(b'kubectl').hexdigest()}"
    image_sources.record(
        directory,
        digest,
        BuildRequest(
            context=context, dockerfile=context / "Dockerfile", platform="linux/amd64", args={}
        ),
    )
    external = ExternalServices(
        runtime=ProcessRuntime(directory / "pods", directory, directory / "environments"),
        pod_directory=directory / "volumes",
    )
    principals = Principals(
        {ADMIN: [Grant(username=ADMIN, policy_arn=POLICY + "AmazonEKSClusterAdminPolicy")]}
    )
    clusters = KubernetesClusterHost(directory / "kubernetes", principals, external)
    clusters.start()
    facts = ClusterFacts(arn=ARN, name="demo", region="us-east-1", version="1.33")
    endpoint = clusters.create(facts)
    clusters.set_nodes(ARN, "workers", [node("node-a")])
    demo = Demo(clusters, principals, endpoint, directory)
    path = demo.kubeconfig()
    documents = [deployment(f"localhost:1/server@{digest}"), SERVICE]
    for document in documents:
        _kubectl(path, "apply", "-f", "-", stdin=json.dumps(document))
    _kubectl(path, "rollout", "status", "deploy/web", "--timeout=60s")
    yield path
    clusters.stop()


def _command(config: Path, *arguments: str) -> list[str]:
    cache = str(config.parent / "cache")
    return ["kubectl", "--kubeconfig", str(config), "--cache-dir", cache, *arguments]


def _kubectl(
    config: Path, *arguments: str, stdin: str | None = None, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    process = subprocess.run(
        _command(config, *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert not check or process.returncode == 0, process.stderr
    return process


@pytest.fixture
def run(config: Path) -> Run:
    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return _kubectl(config, *arguments, **options)

    return call


@contextmanager
def _forwarded(config: Path, *arguments: str, **environment: str) -> Iterator[int]:
    """Run `kubectl port-forward` and yield the local port."""
    process = subprocess.Popen(
        _command(config, "port-forward", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"127\.0\.0\.1:(\d+) -> 8080", line)
        assert match, line
        yield int(match[1])
    finally:
        process.terminate()
        process.wait(20)


def _request(port: int, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


@pytest.mark.parametrize("websockets", ["true", "false"])
@pytest.mark.parametrize("target", ["deploy/web", "service/web"])
def test_port_forward_carries_connections(config: Path, target: str, websockets: str) -> None:
    port = {"deploy/web": ":8080", "service/web": ":80"}[target]
    variables = {"KUBECTL_PORT_FORWARD_WEBSOCKETS": websockets}
    with _forwarded(config, target, port, **variables) as local:
        assert [_request(local) for _ in range(5)] == [200] * 5


def test_port_forward_to_a_closed_port_names_it(config: Path) -> None:
    process = subprocess.Popen(
        _command(config, "port-forward", "deploy/web", ":9"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        local = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert local
        with pytest.raises((OSError, http.client.HTTPException)):
            _request(int(local[1]))
        output = ""
        while "failed to connect to port 9" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_attach_shows_what_the_container_writes_from_now_on(config: Path, websockets: str) -> None:
    with _forwarded(config, "deploy/web", ":8080") as local:
        _request(local, f"/before-{websockets}")
        attached = subprocess.Popen(
            _command(config, "attach", "deploy/web"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets},
        )
        try:
            assert attached.stdout is not None
            seen, deadline = "", time.monotonic() + 30
            while f"/after-{websockets}" not in seen:
                assert time.monotonic() < deadline
                _request(local, f"/after-{websockets}")
                seen += attached.stdout.readline()
            assert f"/before-{websockets}" not in seen
        finally:
            attached.terminate()
            attached.wait(20)


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_exec_passes_input_output_and_exit_code(run: Run, websockets: str) -> None:
    process = run(
        *("exec", "-i", "deploy/web", "--", "sh", "-c", "cat; echo problem >&2; exit 3"),
        stdin="in",
        check=False,
        KUBECTL_REMOTE_COMMAND_WEBSOCKETS=websockets,
    )
    assert (process.returncode, process.stdout) == (3, "in")
    assert "problem" in process.stderr


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_cp_copies_both_ways(run: Run, tmp_path: Path, websockets: str) -> None:
    variables = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets}
    name = run("get", "pods", "-o", "jsonpath={.items[0].metadata.name}").stdout
    content = os.urandom(200_000)
    (tmp_path / "there").write_bytes(content)
    run("cp", str(tmp_path / "there"), f"{name}:copied", **variables)
    run("cp", f"{name}:copied", str(tmp_path / "back"), **variables)
    assert (tmp_path / "back").read_bytes() == content


def test_top_shows_pods_and_nodes(run: Run) -> None:
    wait(lambda: "web-" in run("top", "pods", check=False).stdout, 30)
    assert "node-a" in run("top", "nodes").stdout
