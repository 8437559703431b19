"""Builds Pulumi's Kubernetes provider into the user's cache, once; `module/go.mod` pins it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from sandbox.runtime import go_build
from sandbox.runtime.go_build import GoModule, say

MODULE = GoModule(
    directory=Path(__file__).with_name("module"), product="Pulumi's Kubernetes provider"
)
_NAME = "github.com/pulumi/pulumi-kubernetes/provider/v4"
# The packages of `pulumi_kubernetes` have their own version; the module's tag has none.
_VERSION = "4.24.0"
_EMBEDDED = ("schema.json", "terraform-mapping.json")


def version() -> str:
    """Return the module's version."""
    return MODULE.required_version(_NAME)


def _program() -> Path:
    return go_build.cache_directory(f"pulumi-kubernetes-{version()}") / "provider"


def built() -> Path | None:
    """Return the program if it was built, or None."""
    return path if os.access(path := _program(), os.X_OK) else None


def build() -> Path:
    """Build the program unless it exists, and return its path. Raises BuildError."""
    target = _program()
    with go_build.locked(target.parent):
        if built() is None:
            _compile(target)
    return target


def _compile(target: Path) -> None:
    say("Building Pulumi's Kubernetes provider, once; this takes about 6 minutes on 2 cores.")
    with tempfile.TemporaryDirectory() as folder:
        module = replace(MODULE, directory=Path(folder) / "module")
        shutil.copytree(MODULE.directory, module.directory)
        # `go list` reports no directory for a module that has not been downloaded.
        result = subprocess.run(
            [module.command(), "mod", "download", "-json", _NAME],
            cwd=module.directory,
            capture_output=True,
            text=True,
            check=True,
        )
        sources = Path(json.loads(result.stdout)["Dir"]) / "cmd" / "pulumi-resource-kubernetes"
        for name in _EMBEDDED:
            shutil.copyfile(sources / name, module.directory / name)
        partial = Path(folder) / "provider"
        module.build(["."], partial, linker_flags=f"-X {_NAME}/pkg/version.Version={_VERSION}")
        shutil.copy2(partial, target)
