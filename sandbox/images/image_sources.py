"""Sources of built images by digest, from which pods run without a container engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path

from sandbox.images.build_context import context_files
from sandbox.images.build_request import BuildRequest


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """A copy of a build context and its Dockerfile, with the build arguments."""

    context: Path
    dockerfile: Path
    args: Mapping[str, str]


def record(home: Path, digest: str, request: BuildRequest) -> None:
    """Copy the sources of the image `digest` ("sha256:…"); an existing copy stays."""
    directory = _directory(home, digest)
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".new-") as temporary:
        copy = Path(temporary) / "source"
        (copy / "context").mkdir(parents=True)
        for name in context_files(request.context, request.dockerfile):
            target = copy / "context" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(request.context / name, target, follow_symlinks=False)
        shutil.copy2(request.dockerfile, copy / "Dockerfile")
        (copy / "args.json").write_text(dumps(dict(request.args)))
        copy.rename(directory)


def find(home: Path, digest: str) -> ImageSource | None:
    """Return the sources of an image, or None if the sandbox did not build it."""
    directory = _directory(home, digest)
    if not directory.is_dir():
        return None
    return ImageSource(
        context=directory / "context",
        dockerfile=directory / "Dockerfile",
        args=loads((directory / "args.json").read_text()),
    )


def _directory(home: Path, digest: str) -> Path:
    return home / "sources" / digest.removeprefix("sha256:")
