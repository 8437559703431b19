"""The objects and allocations that defaults, admission and validation depend on."""

from __future__ import annotations

from sandbox.kubernetes.storage.object_store import Json, Key, ObjectStore


class ClusterState:
    """Queries of defaults, admission and validation on a cluster's objects."""

    def __init__(self, store: ObjectStore, service_cidr: str) -> None:
        self.store, self.service_cidr = store, service_cidr

    def namespace(self, name: str) -> Json | None:
        """Return a namespace, or None."""
        return self.store.get(Key("namespaces", "", name))

    def get_object(self, resource: str, name: str, namespace: str = "") -> Json | None:
        """Return an object by its group resource, or None."""
        return self.store.get(Key(resource, namespace, name))

    def list_objects(self, resource: str, namespace: str = "") -> list[Json]:
        """Return the objects of a group resource."""
        return self.store.list_objects(resource, namespace)

    def cluster_ips(self) -> set[str]:
        """Return the allocated cluster IPs."""
        return {str(item["spec"].get("clusterIP")) for item in self.store.list_objects("services")}

    def node_ports(self) -> set[int]:
        """Return the allocated node ports."""
        return {
            port["nodePort"]
            for item in self.store.list_objects("services")
            for port in item["spec"].get("ports") or ()
            if port.get("nodePort")
        }

    def default_storage_class(self, claim: Json) -> None:
        """Set the default storage class, if any, on a claim without one."""
        if "storageClassName" in claim:
            return
        for item in self.store.list_objects("storageclasses.storage.k8s.io"):
            if (item["metadata"].get("annotations") or {}).get(
                "storageclass.kubernetes.io/is-default-class"
            ) == "true":
                claim["storageClassName"] = item["metadata"]["name"]
