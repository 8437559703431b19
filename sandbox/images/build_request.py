"""What is asked of a builder, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class BuildError(Exception):
    """A build or push that was tried and failed: which step, and the builder's last words."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One image to build: paths are absolute, `platform` is "linux/amd64" or alike, `epoch` dates every new file."""

    context: Path
    dockerfile: Path
    platform: str
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    network: str | None = None
    hosts: Sequence[str] = ()
    cache_from: Sequence[str] = ()
    epoch: int = 0

    @property
    def architecture(self) -> str:
        """The platform's architecture in Docker's spelling."""
        return self.platform.split("/")[1]


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A file that a build may read and that stays out of the image."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`digest` is the pushed manifest's ("sha256:…"), or the context's when `not_built` says why nothing was built."""

    digest: str
    builder: str
    not_built: str | None = None
    notes: Sequence[str] = ()
