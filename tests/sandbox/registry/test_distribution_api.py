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


def test_a_pushed_image_is_pulled_by_tag_and_by_digest_byte_for_byte(client: Client) -> None:
    layer = secrets.token_bytes(1000)
    manifest = client.manifest("team/app", [layer])
    answer = client.put("team/app", "v1", manifest)
    digest = digest_of(manifest)
    assert answer.headers["Docker-Content-Digest"] == digest
    for reference in ("v1", digest):
        pulled = client.call("GET", f"/v2/team/app/manifests/{reference}")
        assert pulled.content == manifest
        assert pulled.headers["Content-Type"] == OCI_MANIFEST
        assert pulled.headers["Docker-Content-Digest"] == digest
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(layer)}").content == layer


def test_head_answers_with_size_and_digest_and_no_body(client: Client) -> None:
    layer = secrets.token_bytes(300)
    digest = client.push("team/app", "v1", layer)
    manifest = client.call("HEAD", "/v2/team/app/manifests/v1")
    assert (manifest.status_code, manifest.headers["Docker-Content-Digest"]) == (200, digest)
    blob = client.call("HEAD", f"/v2/team/app/blobs/{digest_of(layer)}")
    assert (blob.status_code, blob.headers["Content-Length"], blob.content) == (200, "300", b"")


def test_a_blob_is_uploaded_in_chunks_and_the_range_says_how_far_it_is(client: Client) -> None:
    data = secrets.token_bytes(5000)
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    first = client.call("PATCH", location, data=data[:2000], headers={"Content-Range": "0-1999"})
    assert (first.status_code, first.headers["Range"]) == (202, "0-1999")
    assert client.call("GET", location).headers["Range"] == "0-1999"
    gap = client.call("PATCH", location, data=data[3000:], headers={"Content-Range": "3000-4999"})
    assert gap.status_code == 416
    client.call("PATCH", location, data=data[2000:], headers={"Content-Range": "2000-4999"})
    done = client.call("PUT", location, params={"digest": digest_of(data)})
    assert done.status_code == 201
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(data)}").content == data


def test_a_blob_is_streamed_with_chunked_transfer_encoding_as_docker_does(client: Client) -> None:
    parts = [secrets.token_bytes(70_000) for _ in range(5)]

    def stream() -> Iterator[bytes]:
        yield from parts

    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    sent = client.call("PATCH", location, data=stream())
    assert sent.headers["Range"] == "0-349999"
    done = client.call("PUT", location, params={"digest": digest_of(b"".join(parts))})
    assert done.status_code == 201


def test_a_blob_is_uploaded_in_a_single_post(client: Client) -> None:
    data = secrets.token_bytes(50)
    answer = client.call("POST", "/v2/team/app/blobs/uploads/", params={"digest": digest_of(data)}, data=data)
    assert answer.status_code == 201
    assert client.call("GET", f"/v2/team/app/blobs/{digest_of(data)}").content == data


def test_a_blob_is_mounted_from_another_repository_without_sending_it_again(client: Client) -> None:
    data = secrets.token_bytes(50)
    client.upload("team/app", data)
    query = {"mount": digest_of(data), "from": "team/app"}
    assert client.call("POST", "/v2/other/blobs/uploads/", params=query).status_code == 201
    assert client.call("GET", f"/v2/other/blobs/{digest_of(data)}").content == data


def test_a_mount_of_an_unknown_blob_starts_an_upload_instead(client: Client) -> None:
    query = {"mount": digest_of(b"nobody has this"), "from": "team/app"}
    answer = client.call("POST", "/v2/other/blobs/uploads/", params=query)
    assert answer.status_code == 202
    assert "/v2/other/blobs/uploads/" in answer.headers["Location"]


def test_a_blob_of_another_repository_is_unknown_here(client: Client) -> None:
    data = secrets.token_bytes(50)
    client.upload("team/app", data)
    status, code, _ = client.error("GET", f"/v2/other/blobs/{digest_of(data)}")
    assert (status, code) == (404, "BLOB_UNKNOWN")


def test_an_upload_whose_bytes_have_another_digest_is_refused_and_leaves_nothing(client: Client) -> None:
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    announced = digest_of(b"announced")
    status, code, message = client.error("PUT", location, params={"digest": announced}, data=b"sent")
    assert (status, code) == (400, "DIGEST_INVALID")
    assert digest_of(b"sent") in message
    assert client.call("HEAD", f"/v2/team/app/blobs/{announced}").status_code == 404
    assert client.error("GET", location)[1] == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_can_be_cancelled(client: Client) -> None:
    location = client.call("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    assert client.call("DELETE", location).status_code == 204
    assert client.error("PATCH", location, data=b"late")[:2] == (404, "BLOB_UPLOAD_UNKNOWN")


def test_a_part_of_a_blob_is_read_by_range(client: Client) -> None:
    data = secrets.token_bytes(100)
    client.upload("team/app", data)
    part = client.call("GET", f"/v2/team/app/blobs/{digest_of(data)}", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])


def test_a_manifest_that_refers_to_a_missing_layer_is_refused_by_name(client: Client) -> None:
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
            b'{"schemaVersion": 2, "mediaType": "%s", "config": {}, "layers": []}' % OCI_MANIFEST.encode(),
            "without a digest",
        ),
    ],
)
def test_a_broken_manifest_is_refused_with_the_reason(client: Client, body: bytes, reason: str) -> None:
    status, code, message = client.error("PUT", "/v2/team/app/manifests/v1", data=body)
    assert (status, code) == (400, "MANIFEST_INVALID")
    assert reason in message


def test_a_manifest_larger_than_four_mebibytes_is_refused(client: Client) -> None:
    status, code, _ = client.error("PUT", "/v2/team/app/manifests/v1", data=b" " * (4 * 1024 * 1024 + 1))
    assert (status, code) == (413, "MANIFEST_INVALID")


def test_a_manifest_is_refused_under_the_digest_of_another(client: Client) -> None:
    manifest = client.manifest("team/app", [b"layer"])
    wrong = digest_of(b"another")
    answer = client.put("team/app", wrong, manifest)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert client.call("HEAD", f"/v2/team/app/manifests/{digest_of(manifest)}").status_code == 404


def test_tags_and_repositories_are_listed_in_pages(client: Client) -> None:
    for tag in ("a", "b", "c"):
        client.push("team/app", tag)
    first = client.call("GET", "/v2/team/app/tags/list", params={"n": 2})
    assert first.json() == {"name": "team/app", "tags": ["a", "b"]}
    following = first.links["next"]["url"]
    assert client.call("GET", following).json()["tags"] == ["c"]
    assert client.call("GET", "/v2/_catalog").json() == {"repositories": ["other", "team/app"]}


def test_a_list_of_images_needs_its_images_and_is_pulled_as_it_was_pushed(client: Client) -> None:
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
    assert client.put("team/app", "lonely", lonely).json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


def test_what_refers_to_an_image_is_found_by_it_and_filtered_by_type(client: Client) -> None:
    subject = client.push("team/app", "v1")
    described = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    sbom = client.manifest("team/app", [b"{}"], subject=described, artifactType="application/spdx+json")
    answer = client.put("team/app", digest_of(sbom), sbom)
    assert answer.headers["OCI-Subject"] == subject
    [found] = client.call("GET", f"/v2/team/app/referrers/{subject}").json()["manifests"]
    assert (found["digest"], found["artifactType"]) == (digest_of(sbom), "application/spdx+json")
    filtered = client.call("GET", f"/v2/team/app/referrers/{subject}", params={"artifactType": "x/y"})
    assert filtered.json()["manifests"] == []
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"


def test_deleting_over_the_registry_is_refused_with_the_ecr_command_that_does_it(client: Client) -> None:
    digest = client.push("team/app", "v1")
    status, code, message = client.error("DELETE", f"/v2/team/app/manifests/{digest}")
    assert (status, code) == (405, "UNSUPPORTED")
    assert f"aws ecr batch-delete-image --repository-name team/app --image-ids imageDigest={digest}" in message


@pytest.mark.parametrize("digest", ["sha256:short", "md5:" + "0" * 32, "sha256:" + "../" * 21 + "x"])
def test_a_digest_that_is_none_is_refused(client: Client, digest: str) -> None:
    assert client.call("GET", f"/v2/team/app/blobs/{digest}").status_code in {400, 404}
