"""Pushes images to a registry on this machine over the OCI distribution API."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urljoin

import requests

from sandbox.images.archive import MANIFEST, OciImage, digest_of
from sandbox.images.build_request import BuildError

TIMEOUT = 120
_LOOPBACK = ("localhost", "127.0.0.1")
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Destination:
    """A repository of a registry on loopback, with its credentials."""

    def __init__(self, repository: str, username: str, password: str) -> None:
        """`repository` is "localhost:PORT/name". Raises BuildError for any other host."""
        self.host, _, self.name = repository.partition("/")
        if self.host.partition(":")[0] not in _LOOPBACK:
            raise BuildError(
                f"the image name '{repository}' is not in the sandbox's registry, and the sandbox "
                "pushes nowhere else; use the URL of an ECR repository of the emulated account"
            )
        self._session = requests.Session()
        self._session.trust_env = False  # loopback needs neither proxy nor .netrc
        self._session.auth = (username, password)

    def push(self, image: OciImage, tag: str | None) -> str:
        """Push missing blobs, then the manifest; return the digest that the registry reports."""
        for layer in image.layers:
            self._push_blob(layer.digest, layer.path)
        self._push_blob(digest_of(image.config), image.config)
        return self._push_manifest(image.manifest, tag or image.digest)

    def attach(self, subject: OciImage, media_type: str, content: bytes) -> str:
        """Store `content` as an artifact that refers to `subject` (OCI 1.1 referrers)."""
        for blob in (_EMPTY, content):
            self._push_blob(digest_of(blob), blob)
        config = {"mediaType": _EMPTY_TYPE, "digest": digest_of(_EMPTY), "size": len(_EMPTY)}
        layer = {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}
        size = len(subject.manifest)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": media_type,
                "config": config,
                "layers": [layer],
                "subject": {"mediaType": MANIFEST, "digest": subject.digest, "size": size},
            },
            sort_keys=True,
        ).encode()
        return self._push_manifest(manifest, digest_of(manifest))

    def _push_blob(self, digest: str, content: Path | bytes) -> None:
        path = f"/v2/{self.name}/blobs"
        if self._request("HEAD", f"{path}/{digest}", accept=(200, 404)).status_code == 200:
            return
        location = self._request("POST", f"{path}/uploads/", accept=(202,)).headers["Location"]
        digest_parameter = {"digest": digest}
        if isinstance(content, bytes):
            self._request("PUT", location, accept=(201,), params=digest_parameter, data=content)
        else:
            with content.open("rb") as file:
                self._request("PUT", location, accept=(201,), params=digest_parameter, data=file)

    def _push_manifest(self, manifest: bytes, reference: str) -> str:
        path = f"/v2/{self.name}/manifests/{reference}"
        headers = {"Content-Type": MANIFEST}
        response = self._request("PUT", path, accept=(201,), data=manifest, headers=headers)
        return response.headers["Docker-Content-Digest"]

    def _request(
        self, method: str, path: str, *, accept: tuple[int, ...], **options: object
    ) -> requests.Response:
        url = urljoin(f"http://{self.host}", path)
        try:
            response = self._session.request(method, url, timeout=TIMEOUT, **options)  # type: ignore[arg-type]
        except requests.RequestException as error:
            name = type(error).__name__
            raise BuildError(f"the registry at {self.host} does not respond ({name})") from None
        if response.status_code not in accept:
            reason = _error_message(response)
            raise BuildError(f"the registry refused {self.host}/{self.name}: {reason}")
        return response


def _error_message(response: requests.Response) -> str:
    try:
        [error, *_] = response.json()["errors"]
        return f"{str(error['code']).lower().replace('_', ' ')}: {error['message']}"
    except (ValueError, KeyError):
        return f"HTTP status {response.status_code}"
