"""Kinds of CustomResourceDefinitions, and the custom kinds of EKS Auto Mode.

Objects follow the common metadata rules; the schema in a CustomResourceDefinition is not applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.kinds import Kind

CUSTOM_RESOURCE_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def served_kinds(definition: Mapping[str, Any]) -> Iterator[Kind]:
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
                subresources=tuple(
                    name for name in ("status",) if name in (version.get("subresources") or {})
                ),
            )


def auto_mode_kinds() -> Iterator[Kind]:
    """Yield the custom kinds of a cluster with EKS Auto Mode."""
    for group, kind, plural, namespaced in (
        ("eks.amazonaws.com", "IngressClassParams", "ingressclassparams", False),
        ("eks.amazonaws.com", "NodeClass", "nodeclasses", False),
        ("eks.amazonaws.com", "TargetGroupBinding", "targetgroupbindings", True),
        ("karpenter.sh", "NodePool", "nodepools", False),
        ("karpenter.sh", "NodeClaim", "nodeclaims", False),
    ):
        yield Kind(
            group=group,
            version="v1",
            kind=kind,
            plural=plural,
            namespaced=namespaced,
            subresources=("status",),
        )
