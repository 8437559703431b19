"""ECR's rules in the registry, and pushed images in ECR."""

from __future__ import annotations

import gzip
import io
import json
import secrets
import tarfile
import time
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.sandbox.registry.client import OCI_MANIFEST, Client, Running, credentials, digest_of


def test_push_to_missing_repository_is_refused_in_ecrs_words(client: Client) -> None:
    assert client.error("POST", "/v2/ghost/blobs/uploads/") == (
        404,
        "NAME_UNKNOWN",
        "The repository with name 'ghost' does not exist in the registry with id '123456789012'",
    )


def test_repository_uri_is_the_registrys(running: Running, ecr: Any) -> None:
    created = ecr.create_repository(repositoryName="app")["repository"]
    assert created["repositoryUri"] == f"{running.host}/app"
    assert running.host.startswith("localhost:")


def test_describe_images_returns_digest_size_and_type_of_a_push(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app")
    layers = [secrets.token_bytes(700), secrets.token_bytes(300)]
    manifest = client.manifest("app", layers)
    client.put("app", "v1", manifest)
    [image] = ecr.describe_images(repositoryName="app")["imageDetails"]
    config_size = json.loads(manifest)["config"]["size"]
    assert image["imageDigest"] == digest_of(manifest)
    assert image["imageSizeInBytes"] == 1000 + config_size
    assert image["imageManifestMediaType"] == OCI_MANIFEST
    assert image["artifactMediaType"] == "application/vnd.oci.image.config.v1+json"
    assert image["imageTags"] == ["v1"]
    [got] = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert got["imageManifest"].encode() == manifest


def test_immutable_tag_is_refused_even_for_the_same_image(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    manifest = client.manifest("app", [b"layer"])
    assert client.put("app", "v1", manifest).status_code == 201
    words = (
        "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten "
        "because the repository is immutable."
    )
    for again in (manifest, client.manifest("app", [b"another"])):
        response = client.put("app", "v1", again)
        assert (response.status_code, response.json()["errors"]) == (
            400,
            [{"code": "TAG_INVALID", "message": words}],
        )
    assert client.call("GET", "/v2/app/manifests/v1").content == manifest


def test_tag_excluded_from_immutability_moves(client: Client, ecr: Any) -> None:
    ecr.create_repository(
        repositoryName="app",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "latest*"}],
    )
    client.push("app", "latest-main")
    newest = client.push("app", "latest-main")
    assert (
        client.call("HEAD", "/v2/app/manifests/latest-main").headers["Docker-Content-Digest"]
        == newest
    )
    client.push("app", "v1")
    assert client.put("app", "v1", client.manifest("app", [b"x"])).status_code == 400


def test_mutable_tag_moves_and_leaves_the_older_image_untagged(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="cache")
    old, new = client.push("cache", "main"), client.push("cache", "main")
    details = {image["imageDigest"]: image.get("imageTags") for image in _images(ecr, "cache")}
    assert details == {old: None, new: ["main"]}
    assert client.call("GET", f"/v2/cache/manifests/{old}").status_code == 200


@pytest.mark.parametrize("auth", [None, ("AWS", "guess"), ("AWS", "a.b"), ("root", "guess")])
def test_request_without_ecr_token_is_refused(
    running: Running, auth: tuple[str, str] | None
) -> None:
    response = requests.get(f"http://{running.host}/v2/", auth=auth, timeout=60)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert response.json()["errors"][0]["code"] == "UNAUTHORIZED"


def test_expired_token_is_refused_in_ecrs_words(running: Running) -> None:
    password, _ = running.repositories.tokens.issue(now=0.0)
    status, code, message = Client(running.host, ("AWS", password)).error("GET", "/v2/")
    assert (status, code) == (403, "DENIED")
    assert message == "Your authorization token has expired. Reauthenticate and try again."


def test_token_of_another_sandbox_is_refused(running: Running, ecr: Any, tmp_path: Any) -> None:
    other = Running(tmp_path / "other")
    other.start()
    try:
        foreign = credentials(ecr)
    finally:
        other.stop()
    assert requests.get(f"http://{running.host}/v2/", auth=foreign, timeout=60).status_code == 401


def test_batch_delete_image_removes_tag_then_data(
    client: Client, running: Running, ecr: Any
) -> None:
    ecr.create_repository(repositoryName="app")
    before = running.stored_bytes()
    kept_layer, gone_layer = secrets.token_bytes(1000), secrets.token_bytes(2000)
    remaining = client.push("app", "kept", kept_layer)
    gone = client.push("app", "gone", kept_layer, gone_layer)
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": gone}])
    assert client.error("GET", f"/v2/app/manifests/{gone}")[:2] == (404, "MANIFEST_UNKNOWN")
    assert client.error("GET", f"/v2/app/blobs/{digest_of(gone_layer)}")[:2] == (
        404,
        "BLOB_UNKNOWN",
    )
    assert client.call("GET", f"/v2/app/blobs/{digest_of(kept_layer)}").content == kept_layer
    assert running.stored_bytes() - before < 2000
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": remaining}])
    assert running.stored_bytes() == before


def test_force_delete_of_a_repository_deletes_all_data(
    client: Client, running: Running, ecr: Any
) -> None:
    ecr.create_repository(repositoryName="app")
    client.push("app", "v1", secrets.token_bytes(5000))
    client.upload("app", secrets.token_bytes(5000))
    with pytest.raises(ClientError, match="RepositoryNotEmptyException"):
        ecr.delete_repository(repositoryName="app")
    ecr.delete_repository(repositoryName="app", force=True)
    assert running.stored_bytes() == 0
    ecr.create_repository(repositoryName="app")
    assert client.call("GET", "/v2/app/tags/list").json()["tags"] == []


def test_shared_layer_survives_deletion_of_one_repository(client: Client, ecr: Any) -> None:
    layer = secrets.token_bytes(5000)
    for name in ("one", "two"):
        ecr.create_repository(repositoryName=name)
        client.push(name, "v1", layer)
    ecr.delete_repository(repositoryName="one", force=True)
    assert client.call("GET", f"/v2/two/blobs/{digest_of(layer)}").content == layer


def test_lifecycle_policy_expires_images_beyond_its_count(
    client: Client, running: Running, ecr: Any
) -> None:
    ecr.create_repository(repositoryName="app")
    ecr.put_lifecycle_policy(
        repositoryName="app",
        lifecyclePolicyText=json.dumps(
            {
                "rules": [
                    {
                        "rulePriority": 1,
                        "selection": {
                            "tagStatus": "untagged",
                            "countType": "imageCountMoreThan",
                            "countNumber": 1,
                        },
                        "action": {"type": "expire"},
                    }
                ]
            }
        ),
    )
    digests = [client.push("app", "main", secrets.token_bytes(3000)) for _ in range(4)]
    assert {image["imageDigest"] for image in _images(ecr, "app")} == set(digests[2:])
    assert running.stored_bytes() < 3 * 3000


def test_put_image_adds_a_second_tag(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    digest = client.push("app", "v1")
    [image] = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    ecr.put_image(repositoryName="app", imageManifest=image["imageManifest"], imageTag="prod")
    assert client.call("HEAD", "/v2/app/manifests/prod").headers["Docker-Content-Digest"] == digest
    with pytest.raises(ClientError, match="ImageAlreadyExistsException"):
        ecr.put_image(repositoryName="app", imageManifest=image["imageManifest"], imageTag="prod")
    other = client.push("app", "v2")
    [second] = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": other}])[
        "images"
    ]
    with pytest.raises(ClientError, match="ImageTagAlreadyExistsException"):
        ecr.put_image(repositoryName="app", imageManifest=second["imageManifest"], imageTag="prod")
    with pytest.raises(ClientError, match="ImageDigestDoesNotMatchException"):
        ecr.put_image(
            repositoryName="app",
            imageManifest=second["imageManifest"],
            imageTag="v3",
            imageDigest=digest,
        )


def layer(files: dict[str, bytes]) -> bytes:
    """A compressed layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue())


def scan(ecr: Any, tag: str) -> dict[str, Any]:
    """The result of a scan, which takes a moment."""
    for _ in range(100):
        result: dict[str, Any] = ecr.describe_image_scan_findings(
            repositoryName="app", imageId={"imageTag": tag}
        )
        if result["imageScanStatus"]["status"] != "IN_PROGRESS":
            return result
        time.sleep(0.05)
    raise AssertionError(result)


def test_scan_compares_the_packages_of_the_layers_with_the_advisories(
    client: Client, ecr: Any, running: Running
) -> None:
    ecr.create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    metadata = "opt/lib/flask-3.1.dist-info/METADATA"
    client.push("app", "v1", layer({metadata: b"Name: Flask\nVersion: 3.1\n"}))
    result = scan(ecr, "v1")
    assert result["imageScanStatus"]["status"] == "COMPLETE"
    assert result["imageScanFindings"]["findings"] == []
    advisory = {"id": "CVE-2026-1", "package": "pkg:pypi/flask", "severity": "HIGH"}
    other_version = {**advisory, "id": "CVE-2026-2", "versions": ["3.0"]}
    advisories = running.directory / "advisories.json"
    advisories.write_text(json.dumps([advisory, other_version]))
    result = scan(ecr, "v1")
    assert result["imageScanFindings"]["findingSeverityCounts"] == {"HIGH": 1}
    [finding] = result["imageScanFindings"]["findings"]
    assert finding["name"] == "CVE-2026-1"
    assert {"key": "package_version", "value": "3.1"} in finding["attributes"]
    assert _images(ecr, "app")[0]["imageScanStatus"]["status"] == "COMPLETE"
    advisories.write_text('[{"id": "CVE-2026-1"}]')
    with pytest.raises(ClientError, match="must be a list of objects with id, package"):
        scan(ecr, "v1")


def test_image_without_packages_is_not_scanned(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    client.push("app", "v1")
    assert scan(ecr, "v1")["imageScanStatus"]["status"] == "UNSUPPORTED_IMAGE"


def test_pull_is_recorded(client: Client, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app")
    client.push("app", "v1")
    assert "lastRecordedPullTime" not in _images(ecr, "app")[0]
    client.call("GET", "/v2/app/manifests/v1")
    assert "lastRecordedPullTime" in _images(ecr, "app")[0]


def test_images_and_address_survive_a_restart(client: Client, running: Running, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
    ecr.create_repository(repositoryName="lost")
    manifest = client.manifest("app", [secrets.token_bytes(100)])
    client.put("app", "v1", manifest)
    client.push("app", "v2")
    client.push("lost", "v1", secrets.token_bytes(9000))
    before = _images(ecr, "app")
    running.stop()
    ecr.delete_repository(
        repositoryName="app", force=True
    )  # what a fresh process starts with, before the replay
    ecr.delete_repository(repositoryName="lost", force=True)
    ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")  # the replay
    assert running.start() == client.host
    assert _images(ecr, "app") == before
    assert client.call("GET", "/v2/app/manifests/v1").content == manifest
    assert client.put("app", "v1", manifest).status_code == 400
    assert running.stored_bytes() < 9000


def test_deletion_survives_a_restart(client: Client, running: Running, ecr: Any) -> None:
    ecr.create_repository(repositoryName="app")
    gone, remaining = client.push("app", "gone"), client.push("app", "kept")
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": gone}])
    running.stop()
    ecr.delete_repository(repositoryName="app", force=True)
    ecr.create_repository(repositoryName="app")
    running.start()
    assert [image["imageDigest"] for image in _images(ecr, "app")] == [remaining]


def _images(ecr: Any, repository: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = ecr.describe_images(repositoryName=repository)["imageDetails"]
    return images
