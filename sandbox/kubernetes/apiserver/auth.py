"""Who asks, and may they: EKS tokens, access entries and policies, and Kubernetes RBAC."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.contracts.cluster_host import Grant, PrincipalLookup, UnknownPrincipalError
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.storage.object_store import Json, Key, Store

TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - a prefix, not a secret
_TOKEN_MEMORY = 60.0
_POLICY_ARN = "arn:aws:eks::aws:cluster-access-policy/"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Rule:
    """What some resources may be used for; `*` stands for all."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, request: Request) -> bool:
        """Say whether the rule covers a request."""
        if not ({"*", request.verb} & set(self.verbs)):
            return False
        if request.path:
            return any(
                url in {"*", request.path} or (url.endswith("*") and request.path.startswith(url[:-1]))
                for url in self.urls
            )
        wanted = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        fits = {"*", wanted} | ({f"*/{request.subresource}"} if request.subresource else set())
        return (
            bool({"*", request.group} & set(self.groups))
            and bool(fits & set(self.resources))
            and (not self.names or request.name in self.names)
        )

    def document(self) -> Json:
        """Return it as a rule of a Role."""
        found: Json = {"verbs": list(self.verbs)}
        if self.urls:
            return {**found, "nonResourceURLs": list(self.urls)}
        found |= {"apiGroups": list(self.groups), "resources": list(self.resources)}
        return {**found, "resourceNames": list(self.names)} if self.names else found


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: a verb on a resource, or (with `path`) on a URL that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class User:
    """An authenticated caller with what its access entry grants."""

    name: str
    groups: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    principal: str = ""


ANONYMOUS = User(name="system:anonymous", groups=("system:unauthenticated",))
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_VIEWED = (
    Rule(("",), ("configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods", "pods/log", "pods/status", "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status", "bindings", "events", "limitranges", "namespaces", "namespaces/status", "resourcequotas", "resourcequotas/status"), _READ),
    Rule(("discovery.k8s.io",), ("endpointslices",), _READ),
    Rule(("apps",), ("controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale", "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets", "statefulsets/scale", "statefulsets/status"), _READ),
    Rule(("autoscaling",), ("horizontalpodautoscalers", "horizontalpodautoscalers/status"), _READ),
    Rule(("batch",), ("cronjobs", "cronjobs/status", "jobs", "jobs/status"), _READ),
    Rule(("networking.k8s.io",), ("ingresses", "ingresses/status", "networkpolicies"), _READ),
    Rule(("policy",), ("poddisruptionbudgets", "poddisruptionbudgets/status"), _READ),
)  # fmt: skip
_EDITED = (
    *_VIEWED,
    Rule(("",), ("secrets",), _READ),
    Rule(("",), ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy"), (*_READ, "create")),
    Rule(("",), ("serviceaccounts",), ("impersonate",)),
    Rule(("",), ("pods", "configmaps", "persistentvolumeclaims", "replicationcontrollers", "replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy", "events"), _WRITE),
    Rule(("",), ("pods/eviction", "serviceaccounts/token"), ("create",)),
    Rule(("apps",), ("daemonsets", "deployments", "deployments/rollback", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets", "statefulsets/scale"), _WRITE),
    Rule(("autoscaling",), ("horizontalpodautoscalers",), _WRITE),
    Rule(("batch",), ("cronjobs", "jobs"), _WRITE),
    Rule(("networking.k8s.io",), ("ingresses", "networkpolicies"), _WRITE),
    Rule(("policy",), ("poddisruptionbudgets",), _WRITE),
    Rule(("coordination.k8s.io",), ("leases",), (*_READ, *_WRITE)),
)  # fmt: skip
_ADMINISTERED = (
    *_EDITED,
    Rule((_RBAC,), ("roles", "rolebindings"), (*_READ, *_WRITE)),
    Rule(("authorization.k8s.io",), ("localsubjectaccessreviews",), ("create",)),
)
_EVERYTHING = (Rule(("*",), ("*",), ("*",)), Rule((), (), ("*",), urls=("*",)))
_READ_EVERYTHING = (Rule(("*",), ("*",), _READ), Rule((), (), ("get",), urls=("*",)))
_DISCOVERY = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
)
_PUBLIC = (Rule((), (), ("get",), urls=("/healthz", "/livez", "/readyz", "/version", "/version/")),)
_ANYONE = (
    Rule((), (), ("get",), urls=_DISCOVERY),
    Rule(("authorization.k8s.io",), ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), ("create",)),
    Rule(("authentication.k8s.io",), ("selfsubjectreviews",), ("create",)),
)
CLUSTER_ROLES: Mapping[str, tuple[Rule, ...]] = {
    "cluster-admin": _EVERYTHING,
    "admin": _ADMINISTERED,
    "edit": _EDITED,
    "view": _VIEWED,
    "system:discovery": (_ANYONE[0],),
    "system:basic-user": _ANYONE[1:],
    "system:public-info-viewer": _PUBLIC,
}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
POLICIES: Mapping[str, tuple[Rule, ...]] = {
    "AmazonEKSClusterAdminPolicy": _EVERYTHING,
    "AmazonEKSAdminPolicy": _ADMINISTERED,
    "AmazonEKSAdminViewPolicy": _READ_EVERYTHING,
    "AmazonEKSEditPolicy": _EDITED,
    "AmazonEKSViewPolicy": _VIEWED,
    "AmazonEKSSecretReaderPolicy": (Rule(("",), ("secrets",), _READ),),
}


@dataclass
class Gate:
    """Authenticates and authorizes the requests to one cluster."""

    arn: str
    cluster_name: str
    principals: PrincipalLookup
    store: Store
    _known: dict[str, tuple[float, str]] = field(default_factory=dict)

    def user(self, authorization: str) -> User:
        """Return who sends an `Authorization` header; raises Unauthorized for a token that is refused."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
            raise errors.unauthorized()
        principal = self._principal(token)
        grants = self.principals.grants(self.arn, principal)
        if not grants:
            # EKS answers a principal without an access entry like an unknown one.
            raise errors.unauthorized()
        groups = {group for grant in grants for group in grant.groups}
        return User(
            name=grants[0].username or principal,
            groups=(*sorted(groups), "system:authenticated"),
            grants=tuple(grants),
            principal=principal,
        )

    def _principal(self, token: str) -> str:
        known = self._known.get(token)
        if known and known[0] > time.monotonic():
            return known[1]
        encoded = token.removeprefix(TOKEN_PREFIX)
        try:
            url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            principal = self.principals.identity(url, cluster_name=self.cluster_name)
        except (binascii.Error, UnicodeDecodeError, UnknownPrincipalError):
            raise errors.unauthorized() from None
        if len(self._known) > 500:
            self._known.clear()
        self._known[token] = (time.monotonic() + _TOKEN_MEMORY, principal)
        return principal

    def allows(self, user: User, request: Request) -> bool:
        """Say whether anything lets the user do this."""
        return any(rule.allows(request) for rule in self.rules(user, request.namespace))

    def rules(self, user: User, namespace: str) -> Iterable[Rule]:
        """Yield every rule that holds for a user in a namespace ("" for the cluster)."""
        yield from _PUBLIC
        if "system:authenticated" in user.groups:
            yield from _ANYONE
        if "system:masters" in user.groups:
            yield from _EVERYTHING
        for grant in user.grants:
            if grant.policy_arn and (grant.namespaces is None or (namespace and _within(namespace, grant.namespaces))):
                yield from POLICIES.get(grant.policy_arn.removeprefix(_POLICY_ARN), ())
        for binding in self.store.listed(f"clusterrolebindings.{_RBAC}"):
            if _names(binding, user):
                yield from self._role(binding["roleRef"], "")
        if namespace:
            for binding in self.store.listed(f"rolebindings.{_RBAC}", namespace):
                if _names(binding, user):
                    yield from self._role(binding["roleRef"], namespace)

    def _role(self, reference: Mapping[str, Any], namespace: str) -> list[Rule]:
        if reference["kind"] == "ClusterRole":
            found = self.store.get(Key(f"clusterroles.{_RBAC}", "", reference["name"]))
        else:
            found = self.store.get(Key(f"roles.{_RBAC}", namespace, reference["name"]))
        return [read_rule(item) for item in (found or {}).get("rules") or ()]

    def check(self, user: User, request: Request) -> None:
        """Refuse with the API server's sentence unless the request is allowed."""
        if self.allows(user, request):
            return
        if request.path:
            raise errors.ApiError(
                403, "Forbidden", f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"', {}
            )
        resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        where = f' in the namespace "{request.namespace}"' if request.namespace else " at the cluster scope"
        qualified = f"{request.resource}.{request.group}" if request.group else request.resource
        subject = f'{qualified} "{request.name}"' if request.name else qualified
        raise errors.ApiError(
            403,
            "Forbidden",
            f'{subject} is forbidden: User "{user.name}" cannot {request.verb} resource "{resource}" '
            f'in API group "{request.group}"{where}',
            {"name": request.name, "group": request.group, "kind": request.resource},
        )


def _within(namespace: str, patterns: Sequence[str]) -> bool:
    from fnmatch import fnmatchcase  # noqa: PLC0415 - EKS lets a namespace of an access policy end with a wildcard

    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def read_rule(item: Mapping[str, Any]) -> Rule:
    """Read a rule of a Role or ClusterRole."""
    return Rule(
        tuple(item.get("apiGroups") or ()),
        tuple(item.get("resources") or ()),
        tuple(item.get("verbs") or ()),
        tuple(item.get("resourceNames") or ()),
        tuple(item.get("nonResourceURLs") or ()),
    )


def _names(binding: Mapping[str, Any], user: User) -> bool:
    return any(
        (subject["kind"] == "User" and subject["name"] == user.name)
        or (subject["kind"] == "Group" and subject["name"] in user.groups)
        for subject in binding.get("subjects") or ()
    )
