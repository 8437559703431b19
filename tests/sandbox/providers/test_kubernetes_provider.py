"""The Kubernetes provider over gRPC, against the sandbox's API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from kubernetes import client as typed_client
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc
from pulumi.runtime.proto import provider_pb2 as pb

from sandbox.providers.kubernetes.provider import provider
from sandbox.providers.property_values import UNKNOWN
from tests.sandbox.kubernetes.conftest import Demo, demo, external  # noqa: F401 - fixtures
from tests.sandbox.kubernetes.objects import eventually
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Served

official: Any = typed_client  # its types say "or None" wherever the API does
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def deployment(
    name: str = "web", image: str = "registry/app:1", **annotations: str
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }


@pytest.fixture
def engine(demo: Demo) -> Iterator[Client]:  # noqa: F811
    with Served({"kubernetes": provider()}) as served:
        yield served.attach("kubernetes", {"kubeconfig": demo.kubeconfig().read_text()})


def test_created_deployment_is_ready(engine: Client, demo: Demo) -> None:  # noqa: F811
    created = engine.create(DEPLOYMENT, "web", deployment())
    assert created.id == "default/web"
    live = official.AppsV1Api(demo.api()).read_namespaced_deployment("web", "default")
    assert live.status.available_replicas == 2
    assert created.state["status"]["availableReplicas"] == 2


class _Log(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.requests: list[engine_pb2.LogRequest] = []

    def Log(self, request: engine_pb2.LogRequest, context: Any) -> empty_pb2.Empty:  # noqa: N802
        self.requests.append(request)
        return empty_pb2.Empty()


def test_conditions_of_an_awaited_object_are_not_kept_as_diagnostics(demo: Demo) -> None:  # noqa: F811
    log, server = _Log(), grpc.server(ThreadPoolExecutor(1))
    engine_pb2_grpc.add_EngineServicer_to_server(log, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Served({"kubernetes": provider()}) as served:
        engine = served.attach("kubernetes", {"kubeconfig": demo.kubeconfig().read_text()})
        handshake = pb.ProviderHandshakeRequest(engine_address=f"127.0.0.1:{port}")
        engine.call("Handshake", handshake)
        slow = deployment()
        slow["spec"]["minReadySeconds"] = 1  # otherwise it may be ready before the first look
        engine.create(DEPLOYMENT, "web", slow)
        eventually(lambda: bool(log.requests))
    server.stop(None)
    assert {(request.ephemeral, request.urn) for request in log.requests} == {
        (True, engine.urn(DEPLOYMENT, "web"))
    }


def test_object_without_name_is_autonamed_and_keeps_its_name(engine: Client) -> None:
    created = engine.create(CONFIG_MAP, "settings", {"data": {"a": "1"}})
    assert created.inputs["metadata"]["name"].startswith("settings-")
    assert len(created.inputs["metadata"]["name"]) == len("settings-") + 8
    difference, inputs = engine.diff(created, {"data": {"a": "1"}})
    assert not difference.detailedDiff
    assert inputs["metadata"]["name"] == created.inputs["metadata"]["name"]


def test_changed_data_replaces_config_map(engine: Client) -> None:
    created = engine.create(
        CONFIG_MAP, "settings", {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    )
    difference, _ = engine.diff(created, {"metadata": {"name": "settings"}, "data": {"a": "2"}})
    assert list(difference.replaces) == ["data"]
    assert difference.deleteBeforeReplace


def test_changed_selector_replaces_and_changed_image_updates_deployment(engine: Client) -> None:
    created = engine.create(DEPLOYMENT, "web", deployment())
    difference, _ = engine.diff(created, deployment(image="registry/app:2"))
    assert dict(difference.detailedDiff).keys() == {"spec.template.spec.containers[0].image"}
    assert not difference.replaces
    other = deployment()
    other["spec"]["selector"]["matchLabels"] = {"tier": "web"}
    other["spec"]["template"]["metadata"]["labels"] = {"tier": "web"}
    difference, _ = engine.diff(created, other)
    assert list(difference.replaces) == ["spec"]


def test_misspelled_field_is_refused_in_preview_without_a_cluster() -> None:
    with Served({"kubernetes": provider()}) as served:
        engine = served.attach("kubernetes", {"kubeconfig": UNKNOWN})
        invalid = deployment()
        invalid["spec"]["replica"] = invalid["spec"].pop("replicas")
        with pytest.raises(
            CheckFailed, match=r'unknown field "spec\.replica" in apps/v1 Deployment'
        ):
            engine.check(DEPLOYMENT, "web", invalid)
        invalid = deployment()
        invalid["spec"]["selector"]["matchLabels"] = {"app": "other"}
        with pytest.raises(CheckFailed, match="`selector` does not match template `labels`"):
            engine.check(DEPLOYMENT, "web", invalid)
        planned = engine.preview(DEPLOYMENT, "web", deployment(image=UNKNOWN))  # type: ignore[arg-type]
        assert planned["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:helm.sh/v4:Chart",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:kustomize/v2:Directory",
    ],
)
def test_charts_and_bundles_are_refused_by_name(engine: Client, token: str) -> None:
    with pytest.raises(Failed, match=f"{token} is not emulated"):
        engine.check(token, "bundle", {})
    request = pb.ConstructRequest(type=token, name="bundle")
    with pytest.raises(Failed, match=f"{token} is not emulated"):
        engine.call("Construct", request)


def test_service_without_matching_pods_is_not_awaited(engine: Client) -> None:
    spec = {"selector": {"app": "missing"}, "ports": [{"port": 80}]}
    inputs = {"metadata": {"name": "web"}, "spec": spec}
    assert engine.create("kubernetes:core/v1:Service", "web", inputs).id == "default/web"


def test_service_without_ready_pods_is_awaited(engine: Client, demo: Demo) -> None:  # noqa: F811
    demo.clusters.external.image_check = lambda image, architecture: "manifest unknown"
    apps = official.AppsV1Api(demo.api())
    apps.create_namespaced_deployment("default", deployment())
    pods = official.CoreV1Api(demo.api())
    eventually(lambda: len(pods.list_namespaced_pod("default").items) == 2)
    annotations = {"pulumi.com/timeoutSeconds": "1"}
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    inputs = {"metadata": {"name": "web", "annotations": annotations}, "spec": spec}
    with pytest.raises(Failed, match="no pod that the selector matches is ready"):
        engine.create("kubernetes:core/v1:Service", "web", inputs)


def test_unknown_versions_of_kinds_are_refused_by_name(engine: Client) -> None:
    with pytest.raises(Failed, match=r"has no autoscaling/v2beta2 HorizontalPodAutoscaler; it has"):
        engine.check("kubernetes:autoscaling/v2beta2:HorizontalPodAutoscaler", "scaler", {})


def test_deployment_that_never_becomes_ready_is_kept_with_the_reason(
    engine: Client,
    demo: Demo,  # noqa: F811
) -> None:
    demo.clusters.external.image_check = lambda image, architecture: "manifest unknown"
    inputs = deployment(**{"pulumi.com/timeoutSeconds": "10"})
    with pytest.raises(Failed, match="manifest unknown") as caught:
        engine.create(DEPLOYMENT, "web", inputs)
    assert caught.value.partial is not None
    assert caught.value.partial.id == "default/web"


def test_existing_object_is_refused_on_create(engine: Client) -> None:
    inputs = {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    engine.create(CONFIG_MAP, "settings", inputs)
    with pytest.raises(Failed, match=r'"default/settings" already exists'):
        engine.create(CONFIG_MAP, "again", inputs)


def test_ignored_image_of_the_pipeline_survives_an_update(
    engine: Client,
    demo: Demo,  # noqa: F811
) -> None:
    created = engine.create(DEPLOYMENT, "web", deployment())
    released = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "template": {"spec": {"containers": [{"name": "app", "image": "registry/app:2"}]}}
        },
    }
    apps = official.AppsV1Api(demo.api())
    apps.patch_namespaced_deployment(
        "web",
        "default",
        released,
        field_manager="pipeline",
        force=True,
        _content_type="application/apply-patch+yaml",
    )
    changed = deployment()
    changed["spec"]["minReadySeconds"] = 0
    changed["spec"]["revisionHistoryLimit"] = 3
    engine.update(created, changed, ignore=["spec.template.spec.containers[0].image"])
    live = apps.read_namespaced_deployment("web", "default")
    assert live.spec.template.spec.containers[0].image == "registry/app:2"
    assert live.spec.revision_history_limit == 3
    with pytest.raises(Failed, match='conflict with "pipeline"'):
        engine.update(created, changed)


def test_deleted_object_is_not_updated(engine: Client) -> None:
    inputs: dict[str, Any] = {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    created = engine.create(CONFIG_MAP, "settings", inputs)
    engine.delete(created)
    inputs["metadata"]["labels"] = {"a": "b"}
    with pytest.raises(Failed, match="default/settings does not exist any more"):
        engine.update(created, inputs)
    assert engine.read(created) is None


def test_drift_is_a_difference_of_inputs_after_read(engine: Client, demo: Demo) -> None:  # noqa: F811
    created = engine.create(DEPLOYMENT, "web", deployment())
    official.AppsV1Api(demo.api()).patch_namespaced_deployment(
        "web", "default", {"spec": {"replicas": 3}}
    )
    result = engine.read(created)
    assert result is not None
    assert result.inputs["spec"]["replicas"] == 3
    assert result.inputs.keys() == created.inputs.keys()


def test_secret_data_is_marked_secret_and_reads_back_without_drift(engine: Client) -> None:
    inputs = {"metadata": {"name": "key"}, "stringData": {"password": "hunter2"}}
    created = engine.create("kubernetes:core/v1:Secret", "key", inputs)
    assert created.state["data"] == {"password": base64.b64encode(b"hunter2").decode()}
    assert ("data",) in created.secrets
    result = engine.read(created)
    assert result is not None
    assert result.inputs == created.inputs


def test_delete_waits_until_the_object_is_gone(engine: Client, demo: Demo) -> None:  # noqa: F811
    created = engine.create(DEPLOYMENT, "web", deployment())
    engine.delete(created)
    with pytest.raises(official.ApiException) as caught:
        official.AppsV1Api(demo.api()).read_namespaced_deployment("web", "default")
    assert caught.value.status == 404
    assert engine.read(created) is None
