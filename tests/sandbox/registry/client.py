"""A minimal registry client over HTTP, and a registry that can be restarted."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests
from moto.ecr.models import ecr_backends
from moto.server import ThreadedMotoServer

from sandbox.account.services.ecr.images import EcrRepositories
from sandbox.registry import Registry

ACCOUNT = "123456789012"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Client:
    """Pushes and pulls over HTTP."""

    host: str
    auth: tuple[str, str] | None
    session: requests.Session = field(default_factory=requests.Session)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        return self.session.request(method, url, auth=self.auth, timeout=120, **options)

    def upload(self, repository: str, data: bytes) -> requests.Response:
        location = self.call("POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        return self.call("PUT", location, params={"digest": digest_of(data)}, data=data)

    def manifest(self, repository: str, layers: Sequence[bytes], **extra: Any) -> bytes:
        """Upload config and layers; return the image's manifest."""
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "nonce": secrets.token_hex(4)}
        ).encode()
        for blob in (config, *layers):
            assert self.upload(repository, blob).status_code == 201
        described = [
            {"mediaType": OCI_LAYER, "digest": digest_of(it), "size": len(it)} for it in layers
        ]
        top = {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)}
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": top,
                "layers": described,
                **extra,
            }
        ).encode()

    def put(self, repository: str, reference: str, manifest: bytes) -> requests.Response:
        headers = {"Content-Type": json.loads(manifest)["mediaType"]}
        return self.call(
            "PUT", f"/v2/{repository}/manifests/{reference}", data=manifest, headers=headers
        )

    def push(self, repository: str, tag: str, *layers: bytes) -> str:
        """Push an image and return its digest."""
        response = self.put(
            repository, tag, self.manifest(repository, layers or (secrets.token_bytes(100),))
        )
        assert response.status_code == 201, response.text
        return response.headers["Docker-Content-Digest"]

    def error(self, method: str, path: str, **options: Any) -> tuple[int, str, str]:
        response = self.call(method, path, **options)
        [error] = response.json()["errors"]
        return response.status_code, error["code"], error["message"]


@dataclass
class Running:
    """A registry that can be restarted on the same directory."""

    directory: Path
    repositories: EcrRepositories = field(init=False)
    registry: Registry = field(init=False)
    host: str = ""

    def start(self) -> str:
        self.repositories = EcrRepositories(ACCOUNT)
        self.registry = Registry(self.directory, self.repositories)
        self.host = self.registry.start()
        return self.host

    def stop(self) -> None:
        self.registry.stop()

    def stored_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.directory.glob("blobs/sha256/*/*"))


def credentials(ecr: Any) -> tuple[str, str]:
    [datum] = ecr.get_authorization_token()["authorizationData"]
    user, _, password = base64.b64decode(datum["authorizationToken"]).decode().partition(":")
    return user, password


@contextmanager
def emulated_ecr() -> Iterator[str]:
    """Serve moto's ECR."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def emptied_ecr(endpoint: str) -> Any:
    """Empty moto's ECR and return a client."""
    for backend in ecr_backends[ACCOUNT].values():
        backend.reset()
    return ecr_client(endpoint)


def ecr_client(endpoint: str) -> Any:
    return boto3.client(
        "ecr",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
