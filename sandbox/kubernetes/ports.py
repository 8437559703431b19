"""What the cluster asks of the world outside: are images there, and who makes load balancers.

Both have an in-memory default, so that the cluster works alone; the account side supplies the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

# Takes an image reference and the node's architecture; returns None when the image can be pulled, else the reason
# in the words that a kubelet would use.
ImageCheck = Callable[[str, str], str | None]


def accept_any_image(image: str, architecture: str) -> str | None:  # noqa: ARG001 - the signature of ImageCheck
    """Find every image: the default, where no registry stands behind the cluster."""
    return None


@dataclass(frozen=True, kw_only=True)
class LoadBalancerFacts:
    """What a Service or Ingress wants of its load balancer.

    `scheme` is internet-facing or internal, `type` network or application; `ports` are listener ports, `source_ranges` the CIDRs that may reach them (none: all).
    """

    cluster: str
    cluster_arn: str
    kind: str
    namespace: str
    name: str
    uid: str
    type: str
    scheme: str
    ports: tuple[int, ...]
    source_ranges: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


class LoadBalancerError(Exception):
    """A load balancer can't be made or removed (yet); the text is what the controller's event says."""


class LoadBalancers(Protocol):
    """Makes and removes load balancers; both calls may be repeated."""

    def ensure(self, wanted: LoadBalancerFacts) -> str:
        """Return the DNS name of the object's load balancer, which is made, and brought to what is wanted, if need be."""
        ...

    def remove(self, wanted: LoadBalancerFacts) -> None:
        """Remove the object's load balancer; none is no error."""
        ...


class ImaginaryLoadBalancers:
    """Host names without load balancers behind them."""

    def ensure(self, wanted: LoadBalancerFacts) -> str:
        """Return a name of the form that ELBv2 gives."""
        region = wanted.cluster_arn.split(":")[3] if wanted.cluster_arn.count(":") > 3 else "us-east-1"
        digest = sha256(wanted.uid.encode()).hexdigest()[:16]
        service = "elb" if wanted.type == "network" else ""
        name = f"k8s-{wanted.namespace[:8]}-{wanted.name[:8]}-{digest[:10]}"
        zone = f"{service}.{region}" if service else f"{region}.elb"
        return f"{name}-{digest}.{zone}.amazonaws.com"

    def remove(self, wanted: LoadBalancerFacts) -> None:
        """Nothing is there to remove."""


@dataclass(kw_only=True)
class Hooks:
    """The cluster's connections to the world outside."""

    image_check: ImageCheck = accept_any_image
    load_balancers: LoadBalancers = field(default_factory=ImaginaryLoadBalancers)


def annotations_of(document: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an object's annotations."""
    found: Mapping[str, str] = document["metadata"].get("annotations") or {}
    return found
