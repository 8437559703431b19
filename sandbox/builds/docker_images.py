"""The images of a build without a Docker engine, its registry credentials, and registry copies."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sandbox.images.archive import OciImage
from sandbox.images.build_request import BuildError
from sandbox.images.push import TIMEOUT, Destination

_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    *_INDEX_TYPES,
)


@dataclass(frozen=True)
class Reference:
    """An image's name: repository with its registry ("host/name"), and tag or digest."""

    repository: str
    reference: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a name."""
        name, at, digest = text.partition("@")
        head, colon, tag = name.rpartition(":")
        if colon and "/" not in tag:
            name = head
        else:
            tag = "latest"
        return cls(name, digest if at else tag)

    @property
    def host(self) -> str:
        """The registry's host and port."""
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        separator = "@" if ":" in self.reference else ":"
        return f"{self.repository}{separator}{self.reference}"


class Credentials:
    """Docker's own file of credentials, in the build's HOME."""

    def __init__(self, home: Path) -> None:
        self._path = home / ".docker" / "config.json"

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return content

    def store(self, host: str, username: str, password: str) -> None:
        """Store credentials of a registry; docker's own command line reads them too."""
        content = self._read()
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        content.setdefault("auths", {})[host] = {"auth": token}
        self._write(content)

    def remove(self, host: str) -> None:
        """Forget the credentials of a registry."""
        content = self._read()
        content.get("auths", {}).pop(host, None)
        self._write(content)

    def of(self, host: str) -> tuple[str, str]:
        """Return user name and password, which are empty without a login."""
        entry = self._read().get("auths", {}).get(host)
        if entry is None:
            return "", ""
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return username, password

    def _write(self, content: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(content))


class Registry:
    """A registry's API, for copies within it. Raises BuildError."""

    def __init__(self, host: str, credentials: tuple[str, str]) -> None:
        self.host = host
        self._session = requests.Session()
        self._session.trust_env = False
        if credentials != ("", ""):
            self._session.auth = credentials

    def check(self) -> None:
        """Check the credentials."""
        self._request("GET", "/v2/", "")

    def manifest(self, reference: Reference) -> tuple[bytes, str, str]:
        """Return a manifest, its media type and its digest."""
        name = reference.repository.partition("/")[2]
        response = self._request(
            "GET",
            f"/v2/{name}/manifests/{reference.reference}",
            str(reference),
            headers={"Accept": ", ".join(_MANIFEST_TYPES)},
        )
        media_type = response.headers["Content-Type"].partition(";")[0]
        return response.content, media_type, response.headers["Docker-Content-Digest"]

    def copy(self, source: Reference, target: Reference) -> str:
        """Copy an image, with the manifests of an index, to another name; return its digest."""
        content, media_type, digest = self.manifest(source)
        document = json.loads(content)
        source_name = source.repository.partition("/")[2]
        target_name = target.repository.partition("/")[2]
        for entry in document.get("manifests", ()):
            child = Reference(source.repository, entry["digest"])
            self.copy(child, Reference(target.repository, entry["digest"]))
        blobs = [document["config"], *document["layers"]] if "layers" in document else []
        for blob in blobs:
            if source_name != target_name:
                self._mount(blob["digest"], source_name, target_name, str(target))
        self._request(
            "PUT",
            f"/v2/{target_name}/manifests/{target.reference}",
            str(target),
            data=content,
            headers={"Content-Type": media_type},
        )
        return digest

    def _mount(self, digest: str, source: str, target: str, subject: str) -> None:
        response = self._request(
            "POST",
            f"/v2/{target}/blobs/uploads/",
            subject,
            params={"mount": digest, "from": source},
        )
        if response.status_code == 201:
            return
        content = self._request("GET", f"/v2/{source}/blobs/{digest}", subject).content
        self._request(
            "PUT", response.headers["Location"], subject, params={"digest": digest}, data=content
        )

    def _request(self, method: str, path: str, subject: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, f"http://{self.host}{path}", timeout=TIMEOUT, **options
            )
        except requests.RequestException as error:
            name = type(error).__name__
            raise BuildError(f"the registry {self.host} does not respond ({name})") from None
        if response.status_code >= 400:
            try:
                message = response.json()["errors"][0]["message"]
            except (ValueError, KeyError, IndexError):
                message = f"HTTP status {response.status_code}"
            raise BuildError(f"{subject or self.host}: {message}")
        return response


class LocalImages:
    """Images of a build by name: built ones with their layers in the builder's cache, and pulled
    ones by their name in the registry.
    """

    def __init__(self, directory: Path, layers: Path) -> None:
        self._directory, self._layers = directory, layers
        self._index = directory / "images.json"

    def names(self) -> dict[str, dict[str, str]]:
        """Return digest, and for a pulled image its source, by name."""
        try:
            content: dict[str, dict[str, str]] = json.loads(self._index.read_text())
        except FileNotFoundError:
            return {}
        return content

    def add(self, name: Reference, image: OciImage) -> None:
        """Store a built image under a name."""
        self._directory.mkdir(parents=True, exist_ok=True)
        image.save(self._record(image.digest))
        self._set(name, {"digest": image.digest})

    def add_pulled(self, name: Reference, digest: str) -> None:
        """Store a name of an image in the registry."""
        self._directory.mkdir(parents=True, exist_ok=True)
        source = Reference(name.repository, digest)
        self._set(name, {"digest": digest, "source": str(source)})

    def tag(self, name: Reference, target: Reference) -> None:
        """Give an image another name. Raises BuildError."""
        self._set(target, self.find(name))

    def remove(self, name: Reference) -> None:
        """Remove a name. Raises BuildError."""
        self.find(name)
        names = self.names()
        del names[str(name)]
        self._index.write_text(json.dumps(names))

    def find(self, name: Reference) -> dict[str, str]:
        """Return an image by its name or digest. Raises BuildError."""
        names = self.names()
        image = names.get(str(name)) or next(
            (item for item in names.values() if item["digest"] == name.repository), None
        )
        if image is None:
            raise BuildError(f"No such image: {name}")
        return image

    def push(self, name: Reference, destination: Destination, registry: Registry) -> str:
        """Push an image under its name; return its digest. Raises BuildError."""
        entry = self.find(name)
        if "source" in entry:
            return registry.copy(Reference.parse(entry["source"]), name)
        image = OciImage.load(self._record(entry["digest"]), self._layers)
        if image is None:
            raise BuildError(f"the layers of {name} were deleted from the builder's cache")
        return destination.push(image, name.reference)

    def _set(self, name: Reference, entry: dict[str, str]) -> None:
        self._index.write_text(json.dumps({**self.names(), str(name): entry}, indent=1))

    def _record(self, digest: str) -> Path:
        return self._directory / f"{digest.removeprefix('sha256:')}.json"
