"""Nodes of a started control plane, whose kubelets kwok simulates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from sandbox.contracts.cluster_host import ClusterFacts, NodeFacts
from sandbox.kubernetes.apimachinery import custom_resources
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.controllers.nodes import AUTO, NODE_GROUP, node_object
from sandbox.kubernetes.upstream.kubeconfig import Json, StatusError, Upstream

_NODES = "/api/v1/nodes"
_MERGE = "application/merge-patch+json"


def set_node_group(upstream: Upstream, group: str, nodes: Sequence[NodeFacts]) -> None:
    """Make `nodes` the only nodes of a group. Raises StatusError, UpstreamError."""
    live = {
        item["metadata"]["name"]
        for item in upstream.request("GET", _NODES)["items"]
        if (item["metadata"].get("annotations") or {}).get(NODE_GROUP) == group
    }
    for name in live - {facts.name for facts in nodes}:
        upstream.request("DELETE", f"{_NODES}/{name}")
    for facts in nodes:
        _ensure(upstream, node_object(facts, group))


def prepare_auto_mode(upstream: Upstream, facts: ClusterFacts) -> None:
    """Create the kinds of EKS Auto Mode, and one node per zone and architecture.

    Nodes on demand would need EKS's controllers. Raises StatusError, UpstreamError.
    """
    for kind in custom_resources.auto_mode_kinds():
        with suppress(StatusError):  # it exists
            upstream.request(
                "POST",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                _definition(kind),
            )
    for node in _auto_mode_nodes(facts):
        _ensure(upstream, node_object(node, "", {AUTO: "auto"}))


def _ensure(upstream: Upstream, node: Json) -> None:
    node = {"apiVersion": "v1", "kind": "Node", **node}
    try:
        upstream.request("POST", _NODES, node)
    except StatusError as error:
        if error.code != 409:
            raise
        change = {"metadata": {"labels": node["metadata"]["labels"]}, "spec": node["spec"]}
        upstream.request("PATCH", f"{_NODES}/{node['metadata']['name']}", change, _MERGE)


def _auto_mode_nodes(facts: ClusterFacts) -> Iterator[NodeFacts]:
    for number, (architecture, family) in enumerate((("amd64", "c6a"), ("arm64", "c6g"))):
        for index, zone in enumerate("abc"):
            name = f"i-{number}{index}".ljust(19, "0")
            yield NodeFacts(
                name=name,
                instance_id=name,
                instance_type=f"{family}.2xlarge",
                architecture=architecture,
                zone=f"{facts.region}{zone}",
                capacity_type="ON_DEMAND",
                version=facts.version,
                private_ip=f"10.0.{number}.{10 + index}",
            )


def _definition(kind: Kind) -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind,
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "listKind": f"{kind.kind}List",
            },
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "x-kubernetes-preserve-unknown-fields": True,
                        }
                    },
                }
            ],
        },
    }
