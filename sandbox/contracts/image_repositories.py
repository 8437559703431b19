"""Protocol between the registry and the owner of its repositories (ECR)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class RegistryError(Exception):
    """An error of the OCI distribution specification.

    `code` is the specification's (NAME_UNKNOWN, TAG_INVALID, …), `status` the HTTP status.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class PushedImage:
    """A pushed manifest: `size` is config plus layers in bytes, `pushed_at` seconds since the
    epoch.

    `artifact_type` and `subject` (the digest that it refers to) are those of OCI 1.1, or None.
    """

    repository: str
    digest: str
    media_type: str
    manifest: bytes
    size: int
    pushed_at: float
    tags: tuple[str, ...] = ()
    artifact_type: str | None = None
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image of a repository; `manifest` has its exact bytes."""

    digest: str
    media_type: str
    manifest: bytes = field(repr=False)
    tags: tuple[str, ...]


def blob_path(directory: Path, digest: str) -> Path:
    """Return the file of a layer, config or manifest in the registry's directory."""
    value = digest.removeprefix("sha256:")
    return directory / "blobs" / "sha256" / value[:2] / value


class ImageRepositories(Protocol):
    """Owns the repositories and decides which images exist; the registry's files follow.
    Thread-safe.
    """

    def attach(self, host: str, directory: Path) -> None:
        """Connect the registry at `host` ("localhost:PORT") with its data in `directory`."""
        ...

    def detach(self) -> None:
        """Disconnect the registry."""
        ...

    def authorize(self, username: str, password: str) -> str:
        """Validate credentials; return the caller's access key. Raises RegistryError."""
        ...

    def permit(self, access_key: str, action: str, repository: str) -> None:
        """Raise RegistryError (DENIED) unless the key's permissions allow an action of ECR."""
        ...

    def repositories(self) -> list[str]:
        """Return the names of all repositories, sorted."""
        ...

    def require(self, repository: str) -> None:
        """Raise RegistryError (NAME_UNKNOWN) unless the repository exists."""
        ...

    def check_tag(self, repository: str, tag: str) -> None:
        """Raise RegistryError if the tag may not be pushed, such as a taken immutable one."""
        ...

    def register(self, image: PushedImage) -> None:
        """Record an image whose data is stored; its tags move from other images."""
        ...

    def record_pull(self, repository: str, digest: str) -> None:
        """Record a pull of the image."""
        ...

    def images(self, repository: str) -> Mapping[str, StoredImage]:
        """Return the repository's images by digest; empty for an unknown repository."""
        ...

    def on_removal(self, changed: Callable[[], None]) -> None:
        """Call `changed` after images or repositories may have been removed, until detach()."""
        ...
