"""Placeholder digests: digests of build contexts whose images could not be built.

The cluster accepts them, because no registry has such an image.
"""

from __future__ import annotations

from pathlib import Path


def record(home: Path, digest: str, reason: str) -> None:
    """Record that `digest` ("sha256:…") stands for an image that was not built."""
    path = _path(home, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reason)


def exists(home: Path, digest: str) -> bool:
    """Return whether `digest` stands for an image that was not built."""
    return _path(home, digest).is_file()


def _path(home: Path, digest: str) -> Path:
    return home / "unbuilt" / digest.removeprefix("sha256:")
