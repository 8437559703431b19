"""Pods that run: rollouts, probes, restarts, graceful deletion, logs and exec, under load."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.engine_runtime import EngineRuntime
from sandbox.containers.service_proxy import LocalServiceProxy, local_listeners
from sandbox.contracts.container_runtime import ContainerRuntime
from sandbox.kubernetes.ports import ExternalServices
from tests.sandbox.conftest import Images
from tests.sandbox.kubernetes.conftest import ARN, Demo, Kubectl

pytestmark = pytest.mark.server

SECONDS = 60.0


@pytest.fixture(params=["processes", pytest.param("engine", marks=pytest.mark.container)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runtime(kind: str, request: pytest.FixtureRequest) -> ContainerRuntime:
    name = "engine_runtime" if kind == "engine" else "process_runtime"
    runtime: ContainerRuntime = request.getfixturevalue(name)
    return runtime


@pytest.fixture
def images(kind: str, request: pytest.FixtureRequest) -> Images:
    name = "engine_images" if kind == "engine" else "process_images"
    images: Images = request.getfixturevalue(name)
    return images


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[LocalServiceProxy]:
    proxy = LocalServiceProxy(tmp_path / "proxy")
    yield proxy
    proxy.stop()


@pytest.fixture
def external(
    runtime: ContainerRuntime, proxy: LocalServiceProxy, tmp_path: Path
) -> ExternalServices:
    return ExternalServices(
        runtime=runtime, service_proxy=proxy, pod_directory=tmp_path / "volumes"
    )


def deployment(image: str, *, replicas: int = 1, **container: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    main = {
        "name": "main",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        # Load balancers learn of a deletion after the kubelet.
        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        **container,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 20,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 10, "containers": [main]},
            },
        },
    }


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "type": "LoadBalancer",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": "http"}],
    },
}


def wait(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.1)


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-o", "json").stdout)["items"]
    return [item for item in items if not item["metadata"].get("deletionTimestamp")]


def waiting_reasons(kubectl: Kubectl) -> set[str]:
    return {
        status["state"].get("waiting", {}).get("reason", "")
        for pod in pods(kubectl)
        for status in pod["status"].get("containerStatuses") or ()
    }


@pytest.fixture
def port(kubectl: Kubectl, images: Images, proxy: LocalServiceProxy, tmp_path: Path) -> int:
    """Deploy release 1 behind a load balancer and return its port."""
    kubectl("apply", "-f", "-", stdin=deployment(images("one", RELEASE="1")))
    kubectl("apply", "-f", "-", stdin=SERVICE)
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    wait(lambda: local_listeners(tmp_path / "proxy"))
    [listener] = local_listeners(tmp_path / "proxy").values()
    return listener.port


@contextmanager
def load(port: int) -> Iterator[Counter[str]]:
    """Send requests on new connections during the block; count releases and errors."""
    results: Counter[str] = Counter()
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("GET", "/")
                results[connection.getresponse().read().decode().split()[0]] += 1
            except (OSError, http.client.HTTPException) as error:
                results[f"lost: {error!r}"] += 1
            connection.close()
            time.sleep(0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield results
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def lost(results: Counter[str]) -> list[str]:
    return [name for name in results if name.startswith("lost")]


def test_update_of_the_image_loses_no_request(port: int, kubectl: Kubectl, images: Images) -> None:
    with load(port) as results:
        kubectl("apply", "-f", "-", stdin=deployment(images("two", RELEASE="2")))
        kubectl("rollout", "status", "deploy/web", "--timeout=60s")
        wait(lambda: results["2"] > 20)
    assert not lost(results)
    assert results["1"] > 0


def test_scaling_loses_no_request(port: int, kubectl: Kubectl) -> None:
    with load(port) as results:
        kubectl("scale", "deploy/web", "--replicas=3")
        kubectl("rollout", "status", "deploy/web", "--timeout=60s")
        kubectl("scale", "deploy/web", "--replicas=1")
        wait(lambda: len(json.loads(kubectl("get", "pods", "-o", "json").stdout)["items"]) == 1)
    assert not lost(results)


def test_drain_of_a_node_loses_no_request(port: int, kubectl: Kubectl) -> None:
    kubectl("scale", "deploy/web", "--replicas=2")
    kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    node = pods(kubectl)[0]["spec"]["nodeName"]
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    kubectl("apply", "-f", "-", stdin=budget)
    with load(port) as results:
        kubectl("drain", node, "--ignore-daemonsets", "--timeout=60s")
        kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert not lost(results)
    assert {pod["spec"]["nodeName"] for pod in pods(kubectl)}.isdisjoint({node})


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"env": [{"name": "READY_FILE", "value": "/nowhere"}]}, ""),
        ({"command": ["sh", "-c", "exit 1"]}, "CrashLoopBackOff"),
        ({"command": ["no-such-program"]}, "RunContainerError"),
        (
            {"envFrom": [{"secretRef": {"name": "missing"}}]},
            "CreateContainerConfigError",
        ),
    ],
    ids=["unready", "crash", "no program", "no secret"],
)
def test_failing_release_stops_and_loses_no_request(
    port: int, kubectl: Kubectl, images: Images, container: dict[str, Any], reason: str
) -> None:
    with load(port) as results:
        release = deployment(images("bad", RELEASE="2"), **container)
        kubectl("apply", "-f", "-", stdin=release)
        status = kubectl("rollout", "status", "deploy/web", "--timeout=60s", check=False)
        assert "exceeded its progress deadline" in status.stderr
        wait(lambda: reason in waiting_reasons(kubectl))
        kubectl("rollout", "undo", "deploy/web")
        kubectl("rollout", "status", "deploy/web", "--timeout=60s")
    assert not lost(results)
    assert set(results) == {"1"}


def test_failing_init_container_keeps_the_old_release(
    port: int, kubectl: Kubectl, images: Images
) -> None:
    image = images("two", RELEASE="2")
    release = deployment(image)
    release["spec"]["template"]["spec"]["initContainers"] = [
        {"name": "migrate", "image": image, "command": ["sh", "-c", "echo no; exit 5"]}
    ]
    with load(port) as results:
        kubectl("apply", "-f", "-", stdin=release)
        status = kubectl("rollout", "status", "deploy/web", "--timeout=60s", check=False)
    assert "exceeded its progress deadline" in status.stderr
    assert set(results) == {"1"}
    [pod] = [item for item in pods(kubectl) if "initContainers" in item["spec"]]
    [initial] = pod["status"]["initContainerStatuses"]
    assert initial["lastState"]["terminated"]["exitCode"] == 5
    log = kubectl("logs", pod["metadata"]["name"], "-c", "migrate").stdout
    assert log.splitlines()[-1] == "no"


def test_killed_process_is_restarted_and_counted(
    port: int, kubectl: Kubectl, runtime: ContainerRuntime, request: pytest.FixtureRequest
) -> None:
    [pod] = pods(kubectl)
    container = f"{pod['metadata']['uid']}_main_0"
    if isinstance(runtime, EngineRuntime):
        # The process may not be one of this machine.
        request.getfixturevalue("engine").api.kill(f"sandbox_{container}")
    else:
        directory = runtime.log(container).parent
        running = json.loads((directory / "running.json").read_text())
        os.kill(running["pid"], signal.SIGKILL)

    def restarted() -> bool:
        [status] = pods(kubectl)[0]["status"]["containerStatuses"]
        return bool(status["restartCount"] == 1 and status["ready"])

    wait(restarted)
    [status] = pods(kubectl)[0]["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["exitCode"] == 137
    http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/")


def test_logs_exec_and_cp(port: int, kubectl: Kubectl, tmp_path: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/hello")
    connection.getresponse().read()
    [pod] = pods(kubectl)
    name = pod["metadata"]["name"]
    assert "GET /hello" in kubectl("logs", "deploy/web").stdout
    assert len(kubectl("logs", name, "--tail=1").stdout.splitlines()) == 1
    assert kubectl("logs", name, "--timestamps", "--tail=1").stdout[:2] == "20"
    echo = kubectl(
        "exec", "-i", name, "--", "sh", "-c", "cat; echo $POD >&2; exit 3", stdin="in", check=False
    )
    assert (echo.returncode, echo.stdout) == (3, "in")
    assert name in echo.stderr
    if kubectl("exec", name, "--", "tar", "--version", check=False).returncode != 0:
        return  # `kubectl cp` needs tar in the image, which the engine's has not
    file = tmp_path / "file"
    file.write_text("content")
    kubectl("cp", str(file), f"{name}:copy")
    assert kubectl("exec", name, "--", "cat", "copy").stdout == "content"


def test_volume_with_a_service_account_token_is_refused_by_name(
    kubectl: Kubectl, images: Images
) -> None:
    release = deployment(images("one", RELEASE="1"))
    source = {"serviceAccountToken": {"path": "token"}}
    release["spec"]["template"]["spec"]["volumes"] = [
        {"name": "token", "projected": {"sources": [source]}}
    ]
    kubectl("apply", "-f", "-", stdin=release)
    reason = "the sandbox issues no service account tokens"
    wait(lambda: reason in kubectl("get", "events").stdout)


def test_deletion_waits_for_the_process(
    port: int, kubectl: Kubectl, runtime: ContainerRuntime
) -> None:
    del port
    [pod] = pods(kubectl)
    uid = pod["metadata"]["uid"]
    kubectl("delete", "deploy", "web", "--wait=false")
    wait(lambda: not runtime.pods())
    assert uid not in runtime.pods()
    wait(lambda: kubectl("get", "pods", "-o", "name").stdout == "", 10)


def test_metrics_are_served(port: int, kubectl: Kubectl) -> None:
    del port
    wait(lambda: "web-" in kubectl("top", "pods", check=False).stdout, 20)
    lines = kubectl("top", "pods", "--no-headers").stdout.split()
    assert lines[1].endswith("m")
    assert int(lines[2].removesuffix("Mi")) > 5


def test_deleted_cluster_leaves_no_process(
    port: int, demo: Demo, runtime: ContainerRuntime
) -> None:
    demo.clusters.delete(ARN)
    assert runtime.pods() == []
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/")
