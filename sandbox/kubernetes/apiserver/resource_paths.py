"""The paths of objects and collections in the Kubernetes API."""

from __future__ import annotations

from dataclasses import dataclass

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, kw_only=True)
class ResourcePath:
    """The path of an object, of its subresource, or of a collection (without a name).

    `is_too_long` if segments follow the subresource, as in the path of a proxied request.
    """

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str
    is_too_long: bool

    def object_path(self, name: str = "") -> str:
        """Return the path of the object, or of one with this name in the collection."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{scope}/{self.plural}/{name or self.name}"


def parse(path: str) -> ResourcePath | None:
    """Parse a decoded path; None for discovery and other documents."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = (*rest, "", "")[:3]
    return ResourcePath(
        group=group,
        version=version,
        namespace=namespace,
        plural=plural,
        name=name,
        subresource=subresource,
        is_too_long=len(rest) > 3,
    )


def verb(method: str, path: ResourcePath, *, watching: bool) -> str:
    """Return the verb that authorization checks for a request."""
    if method == "GET":
        return "watch" if watching else "get" if path.name else "list"
    if method == "DELETE" and not path.name:
        return "deletecollection"
    return _VERBS.get(method, method.lower())
