"""Builds a Kubernetes control plane with etcd and kwok into the user's cache: `make kubernetes`.

`kubernetes_module/go.mod` pins the versions. Run as `python -m`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sandbox.runtime import go_build
from sandbox.runtime.go_build import BuildError, GoModule, say

MODULE = GoModule(
    directory=Path(__file__).with_name("kubernetes_module"), product="the Kubernetes control plane"
)
_KWOK_MODULE = GoModule(directory=Path(__file__).with_name("kwok_module"), product="kwok")
_KWOK = "sigs.k8s.io/kwok"
# Program and package. etcd's main package is the module's root, whose program is called `server`.
_PACKAGES = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "etcd": "go.etcd.io/etcd/server/v3",
}
_PROGRAMS = (*_PACKAGES, "kwok")
# kwok simulates nodes and pods by rules, which its module has as files.
STAGES = "kwok-stages.yaml"
_STAGE_FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def version() -> str:
    """Return the Kubernetes version that go.mod pins, such as `v1.35.4`."""
    return MODULE.required_version("k8s.io/kubernetes")


def directory() -> Path:
    """Return the directory of the built programs in the user's cache."""
    return go_build.cache_directory(f"kubernetes-{version()}")


def built() -> Path | None:
    """Return the directory of the programs if all were built, or None."""
    path = directory()
    programs = all(os.access(path / name, os.X_OK) for name in _PROGRAMS)
    return path if programs and (path / STAGES).is_file() else None


def build() -> Path:
    """Build the programs unless they exist, and return their directory."""
    target = directory()
    with go_build.locked(target):
        if built() is None:
            partial = target / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _compile(partial)
                for path in partial.iterdir():
                    path.replace(target / path.name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return target


def _compile(target: Path) -> None:
    go, pinned = MODULE.command(), version()
    say(
        f"Building the Kubernetes control plane {pinned}, once; without Go's cache this takes "
        "about 8 minutes on 2 cores."
    )
    major, minor = pinned.removeprefix("v").split(".")[:2]
    symbols = {"gitVersion": pinned, "gitMajor": major, "gitMinor": minor}
    flags = " ".join(
        f"-X k8s.io/component-base/version.{name}={value}" for name, value in symbols.items()
    )
    MODULE.build(
        list(_PACKAGES.values()), target, linker_flags=flags, environment={"CGO_ENABLED": "0"}
    )
    (target / "server").rename(target / "etcd")
    _KWOK_MODULE.build(
        [f"{_KWOK}/cmd/kwok"],
        target / "kwok",
        linker_flags="",
        environment={"CGO_ENABLED": "0"},
    )
    (target / STAGES).write_text(_stages(go))


def _stages(go: str) -> str:
    """Return kwok's rules for ready nodes and pods."""
    listed = subprocess.run(
        [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", _KWOK],
        cwd=_KWOK_MODULE.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    folder = Path(listed.stdout.strip()) / "kustomize" / "stage"
    if listed.returncode != 0 or not folder.is_dir():
        raise BuildError(f"The module {_KWOK} has no rules in kustomize/stage; check its version.")
    rules = [
        path.read_text()
        for name in _STAGE_FOLDERS
        for path in sorted((folder / name).glob("*.yaml"))
        if path.name != "kustomization.yaml"
    ]
    return "\n---\n".join(rules)


def main() -> int:
    """Build the programs and print their directory."""
    try:
        path = build()
    except (BuildError, OSError) as error:
        say(f"error: {error}")
        return 1
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
