"""Services outside the cluster, and protocols for image pulls and load balancers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from sandbox.contracts.container_runtime import ContainerRuntime, PodIdentity
from sandbox.contracts.service_proxy import Listener, ServiceProxy

# Takes an image reference and the node's architecture. Returns None if the image can be pulled,
# else the reason in the kubelet's words.
ImageCheck = Callable[[str, str], str | None]


def accept_any_image(image: str, architecture: str) -> str | None:  # noqa: ARG001 - the signature of ImageCheck
    """Accept each image: the default without a registry."""
    return None


@dataclass(frozen=True, kw_only=True)
class LoadBalancerSpec:
    """The load balancer that a Service or Ingress requires.

    `scheme` is internet-facing or internal, `type` network or application. `source_ranges` are the
    CIDRs that may connect; empty allows all. `targets` are address and port of the ready pods
    behind each Service and port of the listeners' routes.
    """

    cluster: str
    cluster_arn: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    scheme: str
    listeners: tuple[Listener, ...]
    source_ranges: tuple[str, ...] = ()
    targets: Mapping[tuple[str, int], tuple[tuple[str, int], ...]] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> list[int]:
        """Return the listeners' ports."""
        return [listener.port for listener in self.listeners]


class LoadBalancerError(Exception):
    """A load balancer cannot be created or deleted; the message becomes the controller's event."""


class LoadBalancers(Protocol):
    """Creates and deletes load balancers; both calls are idempotent."""

    def ensure(self, spec: LoadBalancerSpec) -> str:
        """Create or update the object's load balancer and return its DNS name."""
        ...

    def remove(self, spec: LoadBalancerSpec) -> None:
        """Delete the object's load balancer, if any."""
        ...

    def certificate_names(self, cluster_arn: str, certificate: str) -> tuple[str, ...]:
        """Return the host names of a certificate, by its ARN."""
        ...


class NullLoadBalancers:
    """Host names without load balancers."""

    def ensure(self, spec: LoadBalancerSpec) -> str:
        """Return a name of ELBv2's form."""
        region = spec.cluster_arn.split(":")[3] if spec.cluster_arn.count(":") > 3 else "us-east-1"
        digest = sha256(spec.uid.encode()).hexdigest()[:16]
        service = "elb" if spec.type == "network" else ""
        name = f"k8s-{spec.namespace[:8]}-{spec.name[:8]}-{digest[:10]}"
        zone = f"{service}.{region}" if service else f"{region}.elb"
        return f"{name}-{digest}.{zone}.amazonaws.com"

    def remove(self, spec: LoadBalancerSpec) -> None:
        """Do nothing."""

    def certificate_names(self, cluster_arn: str, certificate: str) -> tuple[str, ...]:  # noqa: ARG002 - the protocol's signature
        """Return no name: there is no account."""
        return ()


def _set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass(kw_only=True)
class ExternalServices:
    """Services outside the cluster.

    Without `runtime`, no pod runs. `host_names` returns the names that pods resolve besides those
    of Services; `pod_directory` holds the pods' volumes. No container starts before `available` is
    set: pods need the account and the databases.
    """

    runtime: ContainerRuntime | None = None
    service_proxy: ServiceProxy | None = None
    pod_identity: PodIdentity | None = None
    host_names: Callable[[], Mapping[str, str]] = dict
    pod_directory: Path = Path(".sandbox/pods/volumes")
    available: threading.Event = field(default_factory=_set_event)
    image_check: ImageCheck = accept_any_image
    load_balancers: LoadBalancers = field(default_factory=NullLoadBalancers)


def annotations_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an object's annotations."""
    annotations: Mapping[str, str] = document["metadata"].get("annotations") or {}
    return annotations
