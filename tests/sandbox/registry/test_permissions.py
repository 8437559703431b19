"""Requests need the permissions of the token's caller."""

from __future__ import annotations

import secrets
from typing import Any

from tests.sandbox.registry.client import Client, Running

ARN = "arn:aws:ecr:us-east-1:123456789012:repository/app"


class Permissions:
    """Records what is checked, and denies one action."""

    def __init__(self) -> None:
        self.used: set[tuple[str, str]] = set()
        self.denied = ""

    def check(self, _key: str, _region: str, action: str, arn: str) -> None:
        self.used.add((action, arn))
        if action == self.denied:
            raise PermissionError(f"not authorized to perform: {action} on resource: {arn}")


def test_push_and_pull_need_the_permissions_of_ecr(
    client: Client, running: Running, ecr: Any
) -> None:
    ecr.create_repository(repositoryName="app")
    permissions = Permissions()
    running.repositories.permission_check = permissions.check
    client.push("app", "v1", secrets.token_bytes(100))
    pushed = {
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
        "ecr:PutImage",
    }
    assert permissions.used == {(action, ARN) for action in pushed}
    permissions.used.clear()
    manifest = client.call("GET", "/v2/app/manifests/v1").json()
    layer = manifest["layers"][0]["digest"]
    assert client.call("HEAD", f"/v2/app/blobs/{layer}").status_code == 200
    assert client.call("GET", f"/v2/app/blobs/{layer}").status_code == 200
    pulled = {"ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer"}
    assert permissions.used == {(action, ARN) for action in pulled}
    for denied, method, path in (
        ("ecr:PutImage", "PUT", "/v2/app/manifests/v2"),
        ("ecr:InitiateLayerUpload", "POST", "/v2/app/blobs/uploads/"),
        ("ecr:BatchGetImage", "GET", "/v2/app/manifests/v1"),
        ("ecr:GetDownloadUrlForLayer", "GET", f"/v2/app/blobs/{layer}"),
    ):
        permissions.denied = denied
        status, code, message = client.error(method, path)
        assert (status, code) == (403, "DENIED")
        assert f"not authorized to perform: {denied} on resource: {ARN}" in message


def test_layer_of_an_unreadable_repository_is_uploaded_instead_of_mounted(
    client: Client, running: Running, ecr: Any
) -> None:
    for name in ("app", "other"):
        ecr.create_repository(repositoryName=name)
    layer = client.upload("other", b"layer").headers["Docker-Content-Digest"]
    permissions = Permissions()
    running.repositories.permission_check = permissions.check
    mount = {"mount": layer, "from": "other"}
    assert client.call("POST", "/v2/app/blobs/uploads/", params=mount).status_code == 201
    permissions.denied = "ecr:GetDownloadUrlForLayer"
    assert client.call("POST", "/v2/app/blobs/uploads/", params=mount).status_code == 202
