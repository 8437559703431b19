"""Pushes images to a registry on this machine, over the OCI distribution API."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urljoin

import requests

from sandbox.images.archive import MANIFEST, OciImage, digest_of
from sandbox.images.build_request import BuildError

TIMEOUT = 120
_LOOPBACK = ("localhost", "127.0.0.1")
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Destination:
    """A repository of a registry on loopback, with the credentials for it."""

    def __init__(self, repository: str, username: str, password: str) -> None:
        """`repository` is "localhost:PORT/name". Raises BuildError for any other host: the sandbox pushes nowhere else."""
        self.host, _, self.name = repository.partition("/")
        if self.host.partition(":")[0] not in _LOOPBACK:
            raise BuildError(
                f"the image name '{repository}' is not in the sandbox's registry, and the sandbox pushes nowhere else; "
                "use the URL of an ECR repository of the emulated account"
            )
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a .netrc has a part in loopback
        self._session.auth = (username, password)

    def push(self, image: OciImage, tag: str | None) -> str:
        """Push what the registry doesn't have yet, then the manifest; returns its digest as the registry has it."""
        for layer in image.layers:
            self._blob(layer.digest, layer.path)
        self._blob(digest_of(image.config), image.config)
        return self._manifest(image.manifest, tag or image.digest)

    def attach(self, subject: OciImage, kind: str, content: bytes) -> str:
        """Store `content` as an artifact about `subject` (OCI 1.1), found by the registry's referrers API."""
        for blob in (EMPTY, content):
            self._blob(digest_of(blob), blob)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": kind,
                "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
                "layers": [{"mediaType": kind, "digest": digest_of(content), "size": len(content)}],
                "subject": {"mediaType": MANIFEST, "digest": subject.digest, "size": len(subject.manifest)},
            },
            sort_keys=True,
        ).encode()
        return self._manifest(manifest, digest_of(manifest))

    def holds(self, reference: str) -> str | None:
        """Return the digest that a tag or digest has in the repository, None when it has none."""
        answer = self._call("HEAD", f"/v2/{self.name}/manifests/{reference}", accept=(200, 404))
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None

    def _blob(self, digest: str, content: Path | bytes) -> None:
        if self._call("HEAD", f"/v2/{self.name}/blobs/{digest}", accept=(200, 404)).status_code == 200:
            return
        location = self._call("POST", f"/v2/{self.name}/blobs/uploads/", accept=(202,)).headers["Location"]
        if isinstance(content, bytes):
            self._call("PUT", location, accept=(201,), params={"digest": digest}, data=content)
        else:
            with content.open("rb") as file:
                self._call("PUT", location, accept=(201,), params={"digest": digest}, data=file)

    def _manifest(self, manifest: bytes, reference: str) -> str:
        path = f"/v2/{self.name}/manifests/{reference}"
        answer = self._call("PUT", path, accept=(201,), data=manifest, headers={"Content-Type": MANIFEST})
        return answer.headers["Docker-Content-Digest"]

    def _call(self, method: str, path: str, *, accept: tuple[int, ...], **options: object) -> requests.Response:
        url = urljoin(f"http://{self.host}", path)
        try:
            answer = self._session.request(method, url, timeout=TIMEOUT, **options)  # type: ignore[arg-type]
        except requests.RequestException as error:
            raise BuildError(f"the registry at {self.host} does not answer ({type(error).__name__})") from None
        if answer.status_code not in accept:
            raise BuildError(f"the registry refused {self.host}/{self.name}: {_reason(answer)}")
        return answer


def _reason(answer: requests.Response) -> str:
    try:
        [error, *_] = answer.json()["errors"]
        return f"{str(error['code']).lower().replace('_', ' ')}: {error['message']}"
    except (ValueError, KeyError):
        return f"HTTP status {answer.status_code}"
