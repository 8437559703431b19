"""What a registry has to ask its owner (here: ECR) before and after it stores an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class RefusedError(Exception):
    """A request that the registry answers with an error of the OCI distribution specification.

    `code` is the specification's (NAME_UNKNOWN, TAG_INVALID, …), `status` the HTTP status, the text what the client shows.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class PushedImage:
    """A manifest that has arrived: `size` is config plus layers in bytes, `pushed_at` seconds since the epoch.

    `artifact_type` and `subject` (the digest that this manifest refers to) are those of OCI 1.1; None where absent.
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
class HeldImage:
    """An image as the owner of the repository holds it now; `manifest` are its exact bytes."""

    digest: str
    media_type: str
    manifest: bytes = field(repr=False)
    tags: tuple[str, ...]


class RepositoryRules(Protocol):
    """The owner of the repositories. Its images are the truth; the registry's files follow it. Any thread may call."""

    def attach(self, host: str, directory: Path) -> None:
        """The registry at `host` ("localhost:PORT"), which stores under `directory`, is now this owner's."""
        ...

    def detach(self) -> None:
        """The registry has stopped."""
        ...

    def authorize(self, username: str, password: str) -> None:
        """Raise RefusedError unless these credentials may use the registry."""
        ...

    def repositories(self) -> list[str]:
        """Return the names of all repositories, sorted."""
        ...

    def require(self, repository: str) -> None:
        """Raise RefusedError (NAME_UNKNOWN) unless the repository exists."""
        ...

    def admit(self, repository: str, tag: str) -> None:
        """Raise RefusedError when `tag` may not be pushed now, as when it is taken and immutable."""
        ...

    def register(self, image: PushedImage) -> None:
        """Take over an image whose data is stored; a tag that another image had moves to this one."""
        ...

    def pulled(self, repository: str, digest: str) -> None:
        """Note that somebody has pulled the image just now."""
        ...

    def images(self, repository: str) -> Mapping[str, HeldImage]:
        """Return what the repository holds, by digest; empty when there is no such repository."""
        ...

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` after every change that may have taken images or repositories away, until detach()."""
        ...
