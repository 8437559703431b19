"""One emulated cluster: its objects, access control and initial system objects."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.contracts.cluster_host import ClusterFacts, NodeFacts, PrincipalLookup
from sandbox.kubernetes.apimachinery import custom_resources, schema
from sandbox.kubernetes.apiserver import auth
from sandbox.kubernetes.apiserver.verbs import Api, WriteOptions
from sandbox.kubernetes.controllers.controller_manager import ControllerManager
from sandbox.kubernetes.ports import ExternalServices
from sandbox.kubernetes.storage.cluster_state import ClusterState
from sandbox.kubernetes.storage.object_store import Event, Json, Key, ObjectStore

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RBAC = "rbac.authorization.k8s.io/v1"


class Cluster:
    """API server and controllers of one cluster; `apiserver.http_server` serves it."""

    def __init__(
        self,
        facts: ClusterFacts,
        directory: Path,
        principals: PrincipalLookup,
        external: ExternalServices,
    ) -> None:
        self.facts = facts
        self.schema = schema.load(facts.version)
        self.store = ObjectStore(directory / "objects.sqlite")
        self.state = ClusterState(self.store, facts.service_cidr)
        self.api = Api(self.schema, self.store, self.state)
        self.api.graceful_deletion = external.runtime is not None
        self._serve_custom_kinds()
        self.store.listen(self._custom_kind_changed)
        self.access = auth.AccessControl(
            arn=facts.arn, cluster_name=facts.name, principals=principals, store=self.store
        )
        self._bootstrap()
        self.controllers = ControllerManager(self.api, facts, external)
        self.controllers.start()

    def configure(self, facts: ClusterFacts) -> None:
        """Apply a new configuration or Kubernetes version; objects and watches stay."""
        with self.store.lock:
            self.facts = self.controllers.facts = facts
            self.schema = self.api.schema = schema.load(facts.version)
            self.api.kinds = self.schema.kinds()
            self._serve_custom_kinds()
        self.controllers.wake()

    def set_nodes(self, group: str, nodes: Sequence[NodeFacts]) -> None:
        """Make `nodes` the only nodes of a group; pods of removed nodes are deleted."""
        self.controllers.set_nodes(group, nodes)

    def _serve_custom_kinds(self) -> None:
        kinds = list(custom_resources.auto_mode_kinds()) if self.facts.auto_mode else []
        for definition in self.store.list_objects(custom_resources.CUSTOM_RESOURCE_DEFINITIONS):
            kinds += custom_resources.served_kinds(definition)
        for kind in kinds:
            self.api.kinds.add(kind)

    def _custom_kind_changed(self, event: Event) -> None:
        if event.key.resource == custom_resources.CUSTOM_RESOURCE_DEFINITIONS:
            for kind in custom_resources.served_kinds(event.before) if event.before else ():
                self.api.kinds.remove(kind)
            for kind in (
                custom_resources.served_kinds(event.object) if event.type != "DELETED" else ()
            ):
                self.api.kinds.add(kind)

    def _ensure(
        self, api_version: str, kind: str, name: str, namespace: str = "", **content: Any
    ) -> None:
        resource = self.api.kind(api_version, kind)
        if not self.store.exists(Key(resource.group_resource, namespace, name)):
            document: Json = {"metadata": {"name": name}, **content}
            self.api.create(resource, namespace, document, WriteOptions())

    def _bootstrap(self) -> None:
        for name in _NAMESPACES:
            self._ensure("v1", "Namespace", name)
            self._ensure("v1", "ServiceAccount", "default", name)
        for name, rules in auth.CLUSTER_ROLES.items():
            self._ensure(_RBAC, "ClusterRole", name, rules=[rule.document() for rule in rules])
        self._bind("cluster-admin", "Group", "system:masters")
        for name, value in (
            ("system-cluster-critical", 2_000_000_000),
            ("system-node-critical", 2_000_001_000),
        ):
            self._ensure("scheduling.k8s.io/v1", "PriorityClass", name, value=value)
        self._ensure(
            "v1",
            "Service",
            "kubernetes",
            "default",
            spec={
                "clusterIP": self._first_address(),
                "ports": [{"name": "https", "port": 443, "targetPort": 443, "protocol": "TCP"}],
            },
        )
        # EKS creates gp2 and, from 1.30 on, no longer makes it the default.
        self._ensure(
            "storage.k8s.io/v1",
            "StorageClass",
            "gp2",
            provisioner="kubernetes.io/aws-ebs",
            parameters={"type": "gp2", "fsType": "ext4"},
            volumeBindingMode="WaitForFirstConsumer",
        )

    def _bind(self, role: str, kind: str, subject: str) -> None:
        reference: Mapping[str, str] = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role,
        }
        subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": subject}]
        self._ensure(_RBAC, "ClusterRoleBinding", role, roleRef=dict(reference), subjects=subjects)

    def _first_address(self) -> str:
        return str(ipaddress.ip_network(self.facts.service_cidr).network_address + 1)

    def close(self, *, keep_pods: bool = False) -> None:
        """Stop the controllers, and the pods unless `keep_pods`, and close the store."""
        self.controllers.stop(keep_pods=keep_pods)
        self.store.close()
