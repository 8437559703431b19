"""The Kubernetes provider over gRPC, against the sandbox's API server."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client as typed_client

from sandbox.providers.kubernetes import provider
from sandbox.providers.property_values import UNKNOWN
from tests.sandbox.kubernetes.conftest import Demo, demo  # noqa: F401 - a fixture
from tests.sandbox.providers.engine_client import CheckFailed, Client, Failed, Served

official: Any = typed_client  # its types say "or None" wherever the API does
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def deployment(name: str = "web", image: str = "registry/app:1", **annotations: str) -> dict[str, Any]:
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


def test_a_deployment_is_ready_when_it_has_been_created(engine: Client, demo: Demo) -> None:  # noqa: F811
    made = engine.create(DEPLOYMENT, "web", deployment())
    assert made.id == "default/web"
    live = official.AppsV1Api(demo.api()).read_namespaced_deployment("web", "default")
    assert live.status.available_replicas == 2
    assert made.state["status"]["availableReplicas"] == 2


def test_an_object_without_a_name_gets_one_and_keeps_it(engine: Client) -> None:
    made = engine.create(CONFIG_MAP, "settings", {"data": {"a": "1"}})
    assert made.inputs["metadata"]["name"].startswith("settings-")
    assert len(made.inputs["metadata"]["name"]) == len("settings-") + 8
    difference, inputs = engine.diff(made, {"data": {"a": "1"}})
    assert not difference.detailedDiff
    assert inputs["metadata"]["name"] == made.inputs["metadata"]["name"]


def test_changed_data_of_a_config_map_replaces_it(engine: Client) -> None:
    made = engine.create(CONFIG_MAP, "settings", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    difference, _ = engine.diff(made, {"metadata": {"name": "settings"}, "data": {"a": "2"}})
    assert list(difference.replaces) == ["data"]
    assert difference.deleteBeforeReplace


def test_a_changed_selector_replaces_a_deployment_and_a_changed_image_updates_it(engine: Client) -> None:
    made = engine.create(DEPLOYMENT, "web", deployment())
    difference, _ = engine.diff(made, deployment(image="registry/app:2"))
    assert dict(difference.detailedDiff).keys() == {"spec.template.spec.containers[0].image"}
    assert not difference.replaces
    other = deployment()
    other["spec"]["selector"]["matchLabels"] = {"tier": "web"}
    other["spec"]["template"]["metadata"]["labels"] = {"tier": "web"}
    difference, _ = engine.diff(made, other)
    assert list(difference.replaces) == ["spec"]


def test_a_misspelt_field_is_found_in_a_preview_without_a_cluster() -> None:
    with Served({"kubernetes": provider()}) as served:
        engine = served.attach("kubernetes", {"kubeconfig": UNKNOWN})
        wrong = deployment()
        wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
        with pytest.raises(CheckFailed, match=r'unknown field "spec\.replica" in apps/v1 Deployment'):
            engine.check(DEPLOYMENT, "web", wrong)
        wrong = deployment()
        wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
        with pytest.raises(CheckFailed, match="`selector` does not match template `labels`"):
            engine.check(DEPLOYMENT, "web", wrong)
        planned = engine.preview(DEPLOYMENT, "web", deployment(image=UNKNOWN))  # type: ignore[arg-type]
        assert planned["spec"]["replicas"] == 2


def test_types_that_are_no_objects_fail_by_name(engine: Client) -> None:
    with pytest.raises(Failed, match=r"kubernetes:helm.sh/v3:Release isn't emulated"):
        engine.check("kubernetes:helm.sh/v3:Release", "chart", {})
    with pytest.raises(Failed, match=r"has no autoscaling/v2beta2 HorizontalPodAutoscaler; it has"):
        engine.check("kubernetes:autoscaling/v2beta2:HorizontalPodAutoscaler", "scaler", {})


def test_a_deployment_that_never_gets_ready_is_kept_with_the_reason(engine: Client, demo: Demo) -> None:  # noqa: F811
    demo.fleet.hooks.image_check = lambda image, architecture: "manifest unknown"
    wanted = deployment(**{"pulumi.com/timeoutSeconds": "10"})
    with pytest.raises(Failed, match="manifest unknown") as caught:
        engine.create(DEPLOYMENT, "web", wanted)
    assert caught.value.partial is not None
    assert caught.value.partial.id == "default/web"


def test_an_object_that_exists_is_not_taken_over_silently(engine: Client) -> None:
    wanted = {"metadata": {"name": "settings"}, "data": {"a": "1"}}
    engine.create(CONFIG_MAP, "settings", wanted)
    with pytest.raises(Failed, match=r'"default/settings" already exists'):
        engine.create(CONFIG_MAP, "again", wanted)


def test_an_image_that_the_pipeline_set_survives_an_update_that_ignores_it(engine: Client, demo: Demo) -> None:  # noqa: F811
    made = engine.create(DEPLOYMENT, "web", deployment())
    released = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry/app:2"}]}}},
    }
    apps = official.AppsV1Api(demo.api())
    apps.patch_namespaced_deployment(
        "web", "default", released, field_manager="pipeline", force=True, _content_type="application/apply-patch+yaml"
    )
    changed = deployment()
    changed["spec"]["minReadySeconds"] = 0
    changed["spec"]["revisionHistoryLimit"] = 3
    engine.update(made, changed, ignore=["spec.template.spec.containers[0].image"])
    live = apps.read_namespaced_deployment("web", "default")
    assert live.spec.template.spec.containers[0].image == "registry/app:2"
    assert live.spec.revision_history_limit == 3
    with pytest.raises(Failed, match='conflict with "pipeline"'):
        engine.update(made, changed)


def test_drift_is_a_difference_of_inputs_after_reading(engine: Client, demo: Demo) -> None:  # noqa: F811
    made = engine.create(DEPLOYMENT, "web", deployment())
    official.AppsV1Api(demo.api()).patch_namespaced_deployment("web", "default", {"spec": {"replicas": 3}})
    found = engine.read(made)
    assert found is not None
    assert found.inputs["spec"]["replicas"] == 3
    assert found.inputs.keys() == made.inputs.keys()


def test_the_data_of_a_secret_stays_secret_and_reads_back_without_drift(engine: Client) -> None:
    wanted = {"metadata": {"name": "key"}, "stringData": {"password": "hunter2"}}
    made = engine.create("kubernetes:core/v1:Secret", "key", wanted)
    assert made.state["data"] == {"password": base64.b64encode(b"hunter2").decode()}
    assert ("data",) in made.secrets
    found = engine.read(made)
    assert found is not None
    assert found.inputs == made.inputs


def test_deleting_waits_until_the_object_is_gone(engine: Client, demo: Demo) -> None:  # noqa: F811
    made = engine.create(DEPLOYMENT, "web", deployment())
    engine.delete(made)
    with pytest.raises(official.ApiException) as caught:
        official.AppsV1Api(demo.api()).read_namespaced_deployment("web", "default")
    assert caught.value.status == 404
    assert engine.read(made) is None
