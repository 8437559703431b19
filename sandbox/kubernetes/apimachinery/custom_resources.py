"""Custom resources: the kinds that CustomResourceDefinitions declare, and those that EKS Auto Mode brings along.

Their objects are stored with the common metadata rules; the schema inside a CustomResourceDefinition isn't applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def declared(definition: Mapping[str, Any]) -> Iterator[Kind]:
    """Yield the kinds of a CustomResourceDefinition, one per served version."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec.get("versions") or ():
        if version.get("served"):
            yield Kind(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                namespaced=spec.get("scope") == "Namespaced",
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(name for name in ("status",) if name in (version.get("subresources") or {})),
            )


def auto_mode() -> Iterator[Kind]:
    """Yield the kinds that a cluster with EKS Auto Mode has from the start."""
    for group, kind, plural, namespaced in (
        ("eks.amazonaws.com", "IngressClassParams", "ingressclassparams", False),
        ("eks.amazonaws.com", "NodeClass", "nodeclasses", False),
        ("eks.amazonaws.com", "TargetGroupBinding", "targetgroupbindings", True),
        ("karpenter.sh", "NodePool", "nodepools", False),
        ("karpenter.sh", "NodeClaim", "nodeclaims", False),
    ):
        yield Kind(group=group, version="v1", kind=kind, plural=plural, namespaced=namespaced, subresources=("status",))
