"""Build request and result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


class BuildError(Exception):
    """A failed build or push: the step, and the last lines of the builder's output."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """One image to build.

    Paths are absolute, `platform` has the form "linux/amd64", `epoch` (seconds) dates new files.
    """

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
class BuildSecret:
    """A file that is mounted during a build and never part of the image."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class BuildResult:
    """The pushed manifest's digest ("sha256:…"), or the context's and why in `not_built`."""

    digest: str
    builder: str
    not_built: str | None = None
    notes: Sequence[str] = ()
