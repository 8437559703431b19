"""The OCI distribution API over plain HTTP, as its specification says."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.registry.client import OCI_MANIFEST, Client, digest_of


@pytest.fixture(autouse=True)
def repository(ecr: Any) -> str:
    ecr.create_repository(repositoryName="team/app")
    ecr.create_repository(repositoryName="other")
    return "team/app"


def test_pushed_image_is_pulled_unchanged_by_tag_and_digest(client: Client) -> None:
    layer = secrets.token_bytes(1000)
    manifest = client.manifest("team/app", [layer])
    response = client.put("team/app", "v1", manifest)
    digest = digest_of(manifest)
    assert response.headers["Docker-Content-Digest"] == digest
    for reference in ("v1", digest):
        pulled = client.call("GET", f"/v2/team/app/manifests/{reference}")
        assert pulled.content == manifest
        assert pulled.headers["Content-Type"] == OCI_MANIFEST
        assert pulled.headers["Docker-Content-Digest"] == digest
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(layer)}").content == layer


def test_head_returns_size_and_digest_without_body(client: Client) -> None:
    layer = secrets.token_bytes(300)
    digest = client.push("team/app", "v1", layer)
    manifest = client.call("HEAD", "/v2/team/app/manifests/v1")
    assert (manifest.status_code, manifest.headers["Docker-Content-Digest"]) == (200, digest)
    blob = client.call("HEAD", f"/v2/team/app/blobs/{digest_of(layer)}")
    assert (blob.status_code, blob.headers["Content-Length"], blob.content) == (200, "300", b"")


def test_chunked_upload_reports_its_range(client: Client) -> None:
    data = secrets.token_bytes(5000)
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    first = client.call("PATCH", location, data=data[:2000], headers={"Content-Range": "0-1999"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-1999")
    assert client.call("GET", location).headers["Range"] == "0-1999"
    gap = client.call("PATCH", location, data=data[3000:], headers={"Content-Range": "3000-4999"})
    assert gap.status_code == 416
    client.call("PATCH", location, data=data[2000:], headers={"Content-Range": "2000-4999"})
    process = client.call("PUT", location, params={"digest": digest_of(data)})
    assert process.status_code == 201
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(data)}").content == data


def test_blob_is_uploaded_with_chunked_transfer_encoding(client: Client) -> None:
    parts = [secrets.token_bytes(70_000) for _ in range(5)]

    def stream() -> Iterator[bytes]:
        yield from parts

    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    sent = client.call("PATCH", location, data=stream())
    assert sent.headers["Range"] == "0-349999"
    process = client.call("PUT", location, params={"digest": digest_of(b"".join(parts))})
    assert process.status_code == 201


def test_blob_is_uploaded_in_a_single_post(client: Client) -> None:
    data = secrets.token_bytes(50)
    response = client.call(
        "POST", "/v2/team/app/blobs/uploads/", params={"digest": digest_of(data)}, data=data
    )
    assert response.status_code == 201
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(data)}").content == data


def test_blob_is_mounted_from_another_repository(client: Client) -> None:
    data = secrets.token_bytes(50)
    client.upload("team/app", data)
    query = {"mount": digest_of(data), "from": "team/app"}
    assert client.call("POST", "/v2/other/blobs/uploads/", params=query).status_code == 201
    assert client.call("GET", f"/v2/other/blobs/{digest_of(data)}").content == data


def test_mount_of_unknown_blob_starts_an_upload(client: Client) -> None:
    query = {"mount": digest_of(b"nobody has this"), "from": "team/app"}
    response = client.call("POST", "/v2/other/blobs/uploads/", params=query)
    assert response.status_code == 202
    assert "/v2/other/blobs/uploads/" in response.headers["Location"]


def test_blob_of_another_repository_is_unknown(client: Client) -> None:
    data = secrets.token_bytes(50)
    client.upload("team/app", data)
    status, code, _ = client.error("GET", f"/v2/other/blobs/{digest_of(data)}")
    assert (status, code) == (404, "BLOB_UNKNOWN")


def test_upload_with_wrong_digest_is_refused_and_stores_nothing(client: Client) -> None:
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    announced = digest_of(b"announced")
    status, code, message = client.error(
        "PUT", location, params={"digest": announced}, data=b"sent"
    )
    assert (status, code) == (400, "DIGEST_INVALID")
    assert digest_of(b"sent") in message
    assert client.call("HEAD", f"/v2/team/app/blobs/{announced}").status_code == 404
    assert client.error("GET", location)[1] == "BLOB_UPLOAD_UNKNOWN"


def test_upload_is_cancelled(client: Client) -> None:
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    assert client.call("DELETE", location).status_code == 204
    assert client.error("PATCH", location, data=b"late")[:2] == (404, "BLOB_UPLOAD_UNKNOWN")


def test_blob_is_read_by_range(client: Client) -> None:
    data = secrets.token_bytes(100)
    client.upload("team/app", data)
    part = client.call(
        "GET", f"/v2/team/app/blobs/{digest_of(data)}", headers={"Range": "bytes=10-19"}
    )
    assert (part.status_code, part.content) == (206, data[10:20])


def test_manifest_with_missing_layer_is_refused_by_digest(client: Client) -> None:
    manifest = json.loads(client.manifest("team/app", [b"layer"]))
    missing = digest_of(b"never sent")
    manifest["layers"][0]["digest"] = missing
    status, code, message = client.error(
        "PUT",
        "/v2/team/app/manifests/v1",
        data=json.dumps(manifest),
        headers={"Content-Type": OCI_MANIFEST},
    )
    assert (status, code) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert missing in message


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"schemaVersion": 1}', "schemaVersion 2"),
        (b'{"schemaVersion": 2, "mediaType": "text/plain"}', "'text/plain' are not supported"),
        (b'{"schemaVersion": 2, "mediaType": "%s"}' % OCI_MANIFEST.encode(), "no list 'layers'"),
        (
            b'{"schemaVersion": 2, "mediaType": "%s", "config": {}, "layers": []}'
            % OCI_MANIFEST.encode(),
            "without a digest",
        ),
    ],
)
def test_invalid_manifest_is_refused_with_the_reason(
    client: Client, body: bytes, reason: str
) -> None:
    status, code, message = client.error("PUT", "/v2/team/app/manifests/v1", data=body)
    assert (status, code) == (400, "MANIFEST_INVALID")
    assert reason in message


def test_manifest_above_four_mebibytes_is_refused(client: Client) -> None:
    status, code, _ = client.error(
        "PUT", "/v2/team/app/manifests/v1", data=b" " * (4 * 1024 * 1024 + 1)
    )
    assert (status, code) == (413, "MANIFEST_INVALID")


def test_manifest_with_wrong_digest_is_refused(client: Client) -> None:
    manifest = client.manifest("team/app", [b"layer"])
    invalid = digest_of(b"another")
    response = client.put("team/app", invalid, manifest)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert client.call("HEAD", f"/v2/team/app/manifests/{digest_of(manifest)}").status_code == 404


def test_tags_and_repositories_are_paginated(client: Client) -> None:
    for tag in ("a", "b", "c"):
        client.push("team/app", tag)
    first = client.call("GET", "/v2/team/app/tags/list", params={"n": 2})
    assert first.json() == {"name": "team/app", "tags": ["a", "b"]}
    following = first.links["next"]["url"]
    assert client.call("GET", following).json()["tags"] == ["c"]
    assert client.call("GET", "/v2/_catalog").json() == {"repositories": ["other", "team/app"]}


def test_image_index_requires_its_images_and_is_pulled_unchanged(client: Client) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    child = client.push("team/app", "amd64")
    entry = {
        "mediaType": OCI_MANIFEST,
        "digest": child,
        "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    assert client.put("team/app", "multi", index).status_code == 201
    assert client.call("GET", "/v2/team/app/manifests/multi").content == index
    entry["digest"] = digest_of(b"none")
    lonely = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    assert (
        client.put("team/app", "lonely", lonely).json()["errors"][0]["code"]
        == "MANIFEST_BLOB_UNKNOWN"
    )


def test_referrers_are_listed_and_filtered_by_type(client: Client) -> None:
    subject = client.push("team/app", "v1")
    described = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    sbom = client.manifest(
        "team/app", [b"{}"], subject=described, artifactType="application/spdx+json"
    )
    response = client.put("team/app", digest_of(sbom), sbom)
    assert response.headers["OCI-Subject"] == subject
    [referrer] = client.call("GET", f"/v2/team/app/referrers/{subject}").json()["manifests"]
    assert (referrer["digest"], referrer["artifactType"]) == (
        digest_of(sbom),
        "application/spdx+json",
    )
    filtered = client.call(
        "GET", f"/v2/team/app/referrers/{subject}", params={"artifactType": "x/y"}
    )
    assert filtered.json()["manifests"] == []
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"


def test_delete_is_refused_with_the_ecr_command(client: Client) -> None:
    digest = client.push("team/app", "v1")
    status, code, message = client.error("DELETE", f"/v2/team/app/manifests/{digest}")
    assert (status, code) == (405, "UNSUPPORTED")
    assert (
        f"aws ecr batch-delete-image --repository-name team/app --image-ids imageDigest={digest}"
        in message
    )


@pytest.mark.parametrize(
    "digest", ["sha256:short", "md5:" + "0" * 32, "sha256:" + "../" * 21 + "x"]
)
def test_malformed_digest_is_refused(client: Client, digest: str) -> None:
    assert client.call("GET", f"/v2/team/app/blobs/{digest}").status_code in {400, 404}
