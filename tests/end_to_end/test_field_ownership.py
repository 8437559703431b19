"""Field ownership: the pipeline and the autoscaler change a Deployment that Pulumi manages.

The pipeline's script app/buildspecs/deploy.sh makes the releases.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.end_to_end.conftest import PROJECT, Sandbox

NOTHING = {"create": 0, "update": 0, "replace": 0, "delete": 0}
MORE_MEMORY = ("-c", "workload.memory_mib=320")

pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("kubectl") and shutil.which("jq")),
        reason="deploy.sh needs kubectl and jq: apt-get install -y kubernetes-client jq",
    ),
]


def changed(document: dict[str, Any]) -> dict[str, int]:
    return {
        operation: count for operation, count in document["changes"].items() if operation != "same"
    }


def deployment(sandbox: Sandbox) -> Any:
    from kubernetes import client

    created: Any = client.AppsV1Api(sandbox.kubernetes("dev"))
    return created.read_namespaced_deployment("guestbook", "guestbook")


def memory(found: Any) -> str:
    return str(found.spec.template.spec.containers[0].resources.limits["memory"])


def another_image(sandbox: Sandbox, digest: str) -> str:
    """Push the image with an annotation, which gives it another digest."""
    ecr, repository = sandbox.client("ecr"), "platform-dev/image"
    (image,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])[
        "images"
    ]
    manifest = json.loads(image["imageManifest"])
    manifest["annotations"] = {
        **manifest.get("annotations", {}),
        "org.opencontainers.image.revision": "another",
    }
    kind = image.get("imageManifestMediaType") or manifest["mediaType"]
    pushed = ecr.put_image(
        repositoryName=repository,
        imageManifest=json.dumps(manifest),
        imageManifestMediaType=kind,
        imageTag="another",
    )
    return str(pushed["image"]["imageId"]["imageDigest"])


@pytest.fixture(scope="module")
def released(sandbox: Sandbox) -> str:
    """dev with a released image."""
    sandbox.json("up", "dev")
    repository, _, digest = str(sandbox.json("output", "dev", "image")["value"]).partition("@")
    message = {
        "NAMESPACE": "guestbook",
        "DEPLOYMENT": "guestbook",
        "REPOSITORY_URL": repository,
        "IMAGE_DIGEST": another_image(sandbox, digest),
        "COMMIT": "0123456789abcdef0123456789abcdef01234567",
    }
    script = PROJECT / "app" / "buildspecs" / "deploy.sh"
    ran = subprocess.run(
        ["bash", str(script)],
        cwd=script.parent,
        env={**os.environ, **sandbox.variables("dev"), **message},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return f"{repository}@{message['IMAGE_DIGEST']}"


def test_release_is_no_change_for_pulumi(sandbox: Sandbox, released: str) -> None:
    assert changed(sandbox.json("preview", "dev", "--expect-no-changes")) == NOTHING
    assert changed(sandbox.json("up", "dev")) == NOTHING
    assert deployment(sandbox).spec.template.spec.containers[0].image == released


def test_deployment_update_keeps_the_release(sandbox: Sandbox, released: str) -> None:
    up = sandbox.json("up", "dev", *MORE_MEMORY)
    assert {step["urn"].rsplit("$", 1)[-1] for step in up["steps"]} >= {
        "kubernetes:apps/v1:Deployment::guestbook"
    }
    result = deployment(sandbox)
    assert memory(result) == "320Mi"
    pod = result.spec.template
    assert {container.image for container in (*pod.spec.containers, *pod.spec.init_containers)} == {
        released
    }
    assert pod.metadata.annotations["release.platform/digest"] == released.partition("@")[2]


def test_release_is_kept_after_a_refresh(sandbox: Sandbox, released: str) -> None:
    sandbox.json("refresh", "dev")
    assert changed(sandbox.json("preview", "dev", *MORE_MEMORY, "--expect-no-changes")) == NOTHING
    sandbox.json("up", "dev")
    result = deployment(sandbox)
    assert memory(result) == "256Mi"
    assert result.spec.template.spec.containers[0].image == released


def test_autoscaler_owns_the_replicas(sandbox: Sandbox, released: str) -> None:
    from kubernetes import client

    api: Any = client.AppsV1Api(sandbox.kubernetes("dev"))
    api.patch_namespaced_deployment_scale(
        "guestbook", "guestbook", {"spec": {"replicas": 3}}, field_manager="scaler"
    )
    assert changed(sandbox.json("preview", "dev", "--expect-no-changes")) == NOTHING
    sandbox.json("up", "dev", *MORE_MEMORY)
    result = deployment(sandbox)
    assert (memory(result), result.spec.replicas) == ("320Mi", 3)
    assert result.spec.template.spec.containers[0].image == released


def test_field_conflict_is_reported_and_not_forced(sandbox: Sandbox) -> None:
    from kubernetes import client

    api: Any = client.AppsV1Api(sandbox.kubernetes("dev"))
    api.patch_namespaced_deployment(
        "guestbook", "guestbook", {"spec": {"revisionHistoryLimit": 4}}, field_manager="hand"
    )
    sandbox.json("refresh", "dev")
    failed = sandbox.json("up", "dev", *MORE_MEMORY, code=1)
    text = " ".join(item["message"] for item in failed["diagnostics"])
    assert "Server-Side Apply field conflict on Deployment guestbook" in text
    assert '"hand"' in text
    assert "revisionHistoryLimit" in text
    assert deployment(sandbox).spec.revision_history_limit == 4
