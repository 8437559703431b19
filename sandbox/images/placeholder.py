"""Digests that only name a build's context, because no image could be built: the cluster is told of them, so that it
doesn't look for an image that was never promised."""

from __future__ import annotations

from pathlib import Path


def remember(home: Path, digest: str, reason: str) -> None:
    """Record that `digest` ("sha256:…") stands for an image that wasn't built."""
    folder = home / "unbuilt"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest.removeprefix("sha256:")).write_text(reason)


def known(home: Path, digest: str) -> bool:
    """Tell whether `digest` stands for an image that wasn't built."""
    return (home / "unbuilt" / digest.removeprefix("sha256:")).is_file()
