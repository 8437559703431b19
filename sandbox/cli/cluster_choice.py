"""`--kubernetes`: chooses what serves the Kubernetes API of a stack's EKS cluster."""

from __future__ import annotations

import time
from pathlib import Path

from sandbox.cli.output import DONE
from sandbox.engine import Result
from sandbox.engine.request import Kind
from sandbox.engine.state.backend import Backend
from sandbox.kubernetes.upstream import preflight
from sandbox.kubernetes.upstream.kubeconfig import Upstream, UpstreamError
from sandbox.runtime import kubernetes_build
from sandbox.runtime.cluster_backends import (
    CONTROL_PLANE,
    EMULATED,
    ClusterBackend,
    StackBackends,
    parse,
)
from sandbox.runtime.home import Home
from sandbox.runtime.waiting import announced

_DELETION_SECONDS = 180.0
_CLUSTER = "aws:eks/cluster:Cluster"
_LIMITS = {
    "control-plane": "the cluster is a control plane with simulated nodes and pods: no container "
    "runs, and no URL answers.",
    "kubeconfig": "EKS's nodes, add-ons, Pod Identity and ingress controllers do not exist in the "
    "cluster of --kubernetes; its nodes must be able to pull the image.",
}


class ClusterChoiceError(Exception):
    """The choice cannot be used; nothing was changed, and the message names the remedy."""


class ClusterChoice:
    """The choice of one stack: the value of `--kubernetes`, or the stored one without a value."""

    def __init__(self, home: Home, project: str, stack: str, value: str | None) -> None:
        self._home, self._project, self._stack = home, project, stack
        self._backends = StackBackends(home.kubernetes)
        self._stored = self._backends.of_stack(self._name)
        self.backend = parse(value, self._name) if value else self._stored

    @property
    def _name(self) -> str:
        return f"{self._project}/{self._stack}"

    def check(self, kind: Kind, *, abandon: bool = False) -> None:
        """Refuse a choice that the operation cannot use. Raises ClusterChoiceError."""
        stack = self._stack
        if self.backend != self._stored and self._has_cluster():
            raise ClusterChoiceError(
                f"the cluster of stack {stack} has --kubernetes {self._stored or EMULATED}, which "
                f"cannot change while it exists. Destroy it first: `sandbox destroy {stack}`."
            )
        if kind == "up" and self._backends.deleting(self._name):
            raise ClusterChoiceError(
                f"the objects of the last cluster of stack {stack} are still being deleted "
                f"({self._stored or 'another API server'}). Wait until that ends; "
                f"{self._home.daemon_log} says what prevents it."
            )
        if self.backend is None or abandon:
            return
        try:
            _check(self.backend)
        except UpstreamError as error:
            remedy = ""
            if kind == "destroy":
                remedy = (
                    " If the cluster no longer exists, add --abandon-objects, which deletes "
                    "everything else."
                )
            raise ClusterChoiceError(f"{error}{remedy}") from None

    def begin(self, kind: Kind, *, abandon: bool = False) -> None:
        """Store the choice for later commands; `abandon` leaves the cluster's objects alone."""
        if kind == "up":
            self._backends.choose(self._name, self.backend)
        if abandon:
            self._backends.abandon(self._name)

    def end(self, result: Result, *, whole: bool) -> list[str]:
        """After a destroy, wait until the objects are deleted; return notes for the user."""
        if self.backend is None or result.exit_code != DONE:
            return []
        if result.kind == "destroy" and whole:
            return self._forget()
        return [_LIMITS[self.backend.kind]] if result.kind == "up" else []

    def _forget(self) -> list[str]:
        self._backends.choose(self._name, None)
        deadline = time.monotonic() + _DELETION_SECONDS
        with announced(f"Deleting the Kubernetes objects of stack {self._stack}."):
            while self._backends.deleting(self._name):
                if time.monotonic() > deadline:
                    return [
                        f"objects in {self.backend} are still being deleted; the background "
                        f"process continues, and {self._home.daemon_log} says what prevents it."
                    ]
                time.sleep(0.2)
        return []

    def _has_cluster(self) -> bool:
        backend = Backend(self._home.state)
        if not backend.exists(self._project, self._stack):
            return False
        resources = backend.read(self._project, self._stack).get("resources") or []
        return any(item["type"] == _CLUSTER for item in resources)


def _check(backend: ClusterBackend) -> None:
    """Raise UpstreamError for a backend that cannot be used."""
    if backend.kind == CONTROL_PLANE:
        if kubernetes_build.built() is None:
            raise UpstreamError(
                "--kubernetes control-plane needs kube-apiserver, etcd and kwok, which are not "
                "built. Build them once: `make kubernetes`."
            )
        return
    preflight.check(Upstream(Path(backend.path), backend.context))
