"""What serves the Kubernetes API of a stack's EKS cluster: the emulation or another API server.

A choice is stored per stack by `up`, copied to the cluster's directory when the provider creates
the cluster, and forgotten by `destroy`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from sandbox.runtime.damage import DamagedFileError

EMULATED, CONTROL_PLANE, KUBECONFIG = "emulated", "control-plane", "kubeconfig"
_FILE = "backend.json"
# Marks a cluster that EKS has deleted while its objects are still being deleted.
DELETING = "deleting"
_ABANDONED = "abandoned"


class BackendSyntaxError(Exception):
    """A value of `--kubernetes` is invalid; the message lists the valid ones."""


@dataclass(frozen=True, kw_only=True)
class ClusterBackend:
    """An API server beside the emulation: a started control plane, or that of a kubeconfig.

    `context` is empty for the kubeconfig's current one. `stack` is PROJECT/STACK.
    """

    kind: Literal["control-plane", "kubeconfig"]
    path: str = ""
    context: str = ""
    stack: str = ""

    def __str__(self) -> str:
        if self.kind == CONTROL_PLANE:
            return self.kind
        return f"{self.kind}:{self.path}" + (f"#{self.context}" if self.context else "")


def parse(value: str, stack: str) -> ClusterBackend | None:
    """Parse a value of `--kubernetes`; None is the emulation. Raises BackendSyntaxError."""
    kind, colon, rest = value.partition(":")
    if value == EMULATED:
        return None
    if value == CONTROL_PLANE:
        return ClusterBackend(kind="control-plane", stack=stack)
    path, _, context = rest.partition("#")
    if kind != KUBECONFIG or not colon or not path:
        raise BackendSyntaxError(
            f"--kubernetes {value} is invalid. Use emulated, control-plane, or "
            "kubeconfig:PATH#CONTEXT (without #CONTEXT: the file's current context)."
        )
    absolute = str(Path(path).expanduser().absolute())
    return ClusterBackend(kind="kubeconfig", path=absolute, context=context, stack=stack)


class StackBackends:
    """The choices of stacks, named PROJECT/STACK, in the clusters' directory of a home."""

    def __init__(self, kubernetes: Path) -> None:
        self._kubernetes = kubernetes

    def of_stack(self, stack: str) -> ClusterBackend | None:
        """Return the stored choice; None is the emulation."""
        return _read(self._file(stack))

    def choose(self, stack: str, backend: ClusterBackend | None) -> None:
        """Store a choice."""
        _write(self._file(stack), backend)

    def assign(self, urn: str, arn: str) -> None:
        """Give a cluster, before it is created, the choice of the stack in its resource's URN."""
        stack, project = urn.split(":")[2], urn.split(":")[4]
        backend = self.of_stack(f"{project}/{stack}")
        _write(cluster_directory(self._kubernetes, arn) / _FILE, backend)

    def abandon(self, stack: str) -> None:
        """Leave the objects in the stack's clusters where they are when EKS deletes these."""
        for directory in self._clusters(stack):
            (directory / _ABANDONED).touch()

    def deleting(self, stack: str) -> bool:
        """Return whether objects of the stack's deleted clusters still exist."""
        return any((directory / DELETING).exists() for directory in self._clusters(stack))

    def in_use(self) -> list[ClusterBackend]:
        """Return the backends of all clusters."""
        files = sorted(self._kubernetes.glob(f"clusters/*/{_FILE}"))
        return [backend for file in files if (backend := _read(file)) is not None]

    def _clusters(self, stack: str) -> list[Path]:
        return [
            file.parent
            for file in sorted(self._kubernetes.glob(f"clusters/*/{_FILE}"))
            if (backend := _read(file)) is not None and backend.stack == stack
        ]

    def _file(self, stack: str) -> Path:
        return self._kubernetes / "backends" / f"{stack.replace('/', '.')}.json"


def of_cluster(directory: Path) -> ClusterBackend | None:
    """Return the backend of the cluster with this directory; None is the emulation."""
    return _read(directory / _FILE)


def is_abandoned(directory: Path) -> bool:
    """Return whether the objects of the cluster with this directory are left where they are."""
    return (directory / _ABANDONED).exists()


def cluster_key(arn: str) -> str:
    """Return the name of a cluster's directory, in the form of EKS's endpoint names."""
    return sha256(arn.encode()).hexdigest()[:32].upper()


def cluster_directory(kubernetes: Path, arn: str) -> Path:
    """Return the directory of a cluster."""
    return kubernetes / "clusters" / cluster_key(arn)


def _read(file: Path) -> ClusterBackend | None:
    try:
        fields: dict[str, Any] = json.loads(file.read_text())
        return ClusterBackend(**fields)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DamagedFileError(file, error) from error


def _write(file: Path, backend: ClusterBackend | None) -> None:
    if backend is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(backend)))
    temporary.replace(file)
