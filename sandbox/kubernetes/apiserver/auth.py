"""Authentication by EKS tokens; authorization by access entries, access policies and RBAC."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sandbox.contracts.cluster_host import (
    CallerIdentity,
    Grant,
    PrincipalLookup,
    UnknownPrincipalError,
)
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.storage.object_store import Json, Key, ObjectStore

TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - a prefix, not a secret
_TOKEN_CACHE_SECONDS = 60.0
_POLICY_ARN = "arn:aws:eks::aws:cluster-access-policy/"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Rule:
    """Allowed verbs on resources or URLs; `*` stands for all."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()

    def allows(self, request: RequestAttributes) -> bool:
        """Return whether the rule allows a request."""
        if not ({"*", request.verb} & set(self.verbs)):
            return False
        if request.path:
            return any(
                url in {"*", request.path}
                or (url.endswith("*") and request.path.startswith(url[:-1]))
                for url in self.urls
            )
        resource = (
            f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        )
        fits = {"*", resource} | ({f"*/{request.subresource}"} if request.subresource else set())
        return (
            bool({"*", request.group} & set(self.groups))
            and bool(fits & set(self.resources))
            and (not self.names or request.name in self.names)
        )

    def document(self) -> Json:
        """Return the rule as an entry of a Role."""
        rule: Json = {"verbs": list(self.verbs)}
        if self.urls:
            return {**rule, "nonResourceURLs": list(self.urls)}
        rule |= {"apiGroups": list(self.groups), "resources": list(self.resources)}
        return {**rule, "resourceNames": list(self.names)} if self.names else rule


@dataclass(frozen=True, kw_only=True)
class RequestAttributes:
    """The verb of a request on a resource, or on a non-resource URL (`path`)."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class User:
    """An authenticated caller with the grants of its access entry."""

    name: str
    groups: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    principal: str = ""


def _rule(group: str, resources: str, verbs: tuple[str, ...]) -> Rule:
    return Rule((group,), tuple(resources.split()), verbs)


ANONYMOUS = User(name="system:anonymous", groups=("system:unauthenticated",))
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_VIEW = (
    _rule(
        "", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods", _READ
    ),
    _rule("", "pods/log pods/status replicationcontrollers replicationcontrollers/scale", _READ),
    _rule("", "serviceaccounts services services/status bindings events limitranges", _READ),
    _rule("", "namespaces namespaces/status resourcequotas resourcequotas/status", _READ),
    _rule("discovery.k8s.io", "endpointslices", _READ),
    _rule("apps", "controllerrevisions daemonsets daemonsets/status deployments", _READ),
    _rule("apps", "deployments/scale deployments/status replicasets replicasets/scale", _READ),
    _rule("apps", "replicasets/status statefulsets statefulsets/scale statefulsets/status", _READ),
    _rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", _READ),
    _rule("batch", "cronjobs cronjobs/status jobs jobs/status", _READ),
    _rule("networking.k8s.io", "ingresses ingresses/status networkpolicies", _READ),
    _rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", _READ),
)
_EDIT = (
    *_VIEW,
    _rule("", "secrets", _READ),
    _rule("", "pods/attach pods/exec pods/portforward pods/proxy", (*_READ, "create")),
    _rule("", "services/proxy", (*_READ, "create")),
    _rule("", "serviceaccounts", ("impersonate",)),
    _rule("", "pods configmaps persistentvolumeclaims replicationcontrollers secrets", _WRITE),
    _rule(
        "", "replicationcontrollers/scale serviceaccounts services services/proxy events", _WRITE
    ),
    _rule("", "pods/eviction serviceaccounts/token", ("create",)),
    _rule("apps", "daemonsets deployments deployments/rollback deployments/scale", _WRITE),
    _rule("apps", "replicasets replicasets/scale statefulsets statefulsets/scale", _WRITE),
    _rule("autoscaling", "horizontalpodautoscalers", _WRITE),
    _rule("batch", "cronjobs jobs", _WRITE),
    _rule("networking.k8s.io", "ingresses networkpolicies", _WRITE),
    _rule("policy", "poddisruptionbudgets", _WRITE),
    _rule("coordination.k8s.io", "leases", (*_READ, *_WRITE)),
)
_ADMIN = (
    *_EDIT,
    _rule(_RBAC, "roles rolebindings", (*_READ, *_WRITE)),
    _rule("authorization.k8s.io", "localsubjectaccessreviews", ("create",)),
)
_CLUSTER_ADMIN = (_rule("*", "*", ("*",)), Rule((), (), ("*",), urls=("*",)))
_ADMIN_VIEW = (_rule("*", "*", _READ), Rule((), (), ("get",), urls=("*",)))
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
_AUTHENTICATED = (
    Rule((), (), ("get",), urls=_DISCOVERY),
    Rule(
        ("authorization.k8s.io",),
        ("selfsubjectaccessreviews", "selfsubjectrulesreviews"),
        ("create",),
    ),
    _rule("authentication.k8s.io", "selfsubjectreviews", ("create",)),
)
CLUSTER_ROLES: Mapping[str, tuple[Rule, ...]] = {
    "cluster-admin": _CLUSTER_ADMIN,
    "admin": _ADMIN,
    "edit": _EDIT,
    "view": _VIEW,
    "system:discovery": (_AUTHENTICATED[0],),
    "system:basic-user": _AUTHENTICATED[1:],
    "system:public-info-viewer": _PUBLIC,
}
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
POLICIES: Mapping[str, tuple[Rule, ...]] = {
    "AmazonEKSClusterAdminPolicy": _CLUSTER_ADMIN,
    "AmazonEKSAdminPolicy": _ADMIN,
    "AmazonEKSAdminViewPolicy": _ADMIN_VIEW,
    "AmazonEKSEditPolicy": _EDIT,
    "AmazonEKSViewPolicy": _VIEW,
    "AmazonEKSSecretReaderPolicy": (_rule("", "secrets", _READ),),
}


@dataclass
class AccessControl:
    """Authenticates and authorizes the requests to one cluster.

    `store` has the objects of RBAC; without one, another API server evaluates these.
    """

    arn: str
    cluster_name: str
    principals: PrincipalLookup
    store: ObjectStore | None = None
    _cached_callers: dict[str, tuple[float, CallerIdentity]] = field(default_factory=dict)

    def user(self, authorization: str) -> User:
        """Authenticate an `Authorization` header. Raises Unauthorized."""
        if not authorization:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.startswith(TOKEN_PREFIX):
            raise errors.unauthorized()
        caller = self._caller(token)
        grants = self.principals.grants(self.arn, caller.principal)
        if not grants:
            # EKS does not distinguish a principal without an access entry from an unknown one.
            raise errors.unauthorized()
        groups = {group for grant in grants for group in grant.groups}
        return User(
            name=_substitute(grants[0].username, caller.session) or caller.principal,
            groups=(*sorted(groups), "system:authenticated"),
            grants=tuple(grants),
            principal=caller.principal,
        )

    def _caller(self, token: str) -> CallerIdentity:
        cached = self._cached_callers.get(token)
        if cached and cached[0] > time.monotonic():
            return cached[1]
        encoded = token.removeprefix(TOKEN_PREFIX)
        try:
            url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            caller = self.principals.identity(url, cluster_name=self.cluster_name)
        except (binascii.Error, UnicodeDecodeError, UnknownPrincipalError):
            raise errors.unauthorized() from None
        if len(self._cached_callers) > 500:
            self._cached_callers.clear()
        self._cached_callers[token] = (time.monotonic() + _TOKEN_CACHE_SECONDS, caller)
        return caller

    def allows(self, user: User, request: RequestAttributes) -> bool:
        """Return whether any rule allows the request."""
        return any(rule.allows(request) for rule in self.rules(user, request.namespace))

    def rules(self, user: User, namespace: str) -> Iterable[Rule]:
        """Yield each rule that applies to a user in a namespace ("" for the cluster)."""
        yield from _PUBLIC
        if "system:authenticated" in user.groups:
            yield from _AUTHENTICATED
        if "system:masters" in user.groups:
            yield from _CLUSTER_ADMIN
        for grant in user.grants:
            if grant.policy_arn and (
                grant.namespaces is None
                or (namespace and _matches_any(namespace, grant.namespaces))
            ):
                yield from POLICIES.get(grant.policy_arn.removeprefix(_POLICY_ARN), ())
        if self.store is not None:
            yield from _bound_rules(self.store, user, namespace)

    def check(self, user: User, request: RequestAttributes) -> None:
        """Authorize a request. Raises Forbidden in the API server's words."""
        if self.allows(user, request):
            return
        if request.path:
            raise errors.ApiError(
                403,
                "Forbidden",
                f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"',
                {},
            )
        resource = (
            f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        )
        scope = (
            f' in the namespace "{request.namespace}"'
            if request.namespace
            else " at the cluster scope"
        )
        group_resource = (
            f"{request.resource}.{request.group}" if request.group else request.resource
        )
        subject = f'{group_resource} "{request.name}"' if request.name else group_resource
        raise errors.ApiError(
            403,
            "Forbidden",
            f'{subject} is forbidden: User "{user.name}" cannot {request.verb} resource '
            f'"{resource}" '
            f'in API group "{request.group}"{scope}',
            {"name": request.name, "group": request.group, "kind": request.resource},
        )


def _substitute(username: str, session: str) -> str:
    """Replace the variables of an access entry's user name.

    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html; the
    authenticator replaces `@`, which user names of RBAC may not have, in the first one.
    """
    replaced = username.replace("{{SessionName}}", session.replace("@", "-"))
    return replaced.replace("{{SessionNameRaw}}", session)


def _bound_rules(store: ObjectStore, user: User, namespace: str) -> Iterable[Rule]:
    for binding in store.list_objects(f"clusterrolebindings.{_RBAC}"):
        if _binds(binding, user):
            yield from _role(store, binding["roleRef"], "")
    if namespace:
        for binding in store.list_objects(f"rolebindings.{_RBAC}", namespace):
            if _binds(binding, user):
                yield from _role(store, binding["roleRef"], namespace)


def _role(store: ObjectStore, reference: Mapping[str, Any], namespace: str) -> list[Rule]:
    if reference["kind"] == "ClusterRole":
        role = store.get(Key(f"clusterroles.{_RBAC}", "", reference["name"]))
    else:
        role = store.get(Key(f"roles.{_RBAC}", namespace, reference["name"]))
    return [read_rule(item) for item in (role or {}).get("rules") or ()]


def _matches_any(namespace: str, patterns: Sequence[str]) -> bool:
    # EKS accepts a wildcard at the end of an access policy's namespace.
    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def read_rule(item: Mapping[str, Any]) -> Rule:
    """Parse a rule of a Role or ClusterRole."""
    return Rule(
        tuple(item.get("apiGroups") or ()),
        tuple(item.get("resources") or ()),
        tuple(item.get("verbs") or ()),
        tuple(item.get("resourceNames") or ()),
        tuple(item.get("nonResourceURLs") or ()),
    )


def _binds(binding: Mapping[str, Any], user: User) -> bool:
    return any(
        (subject["kind"] == "User" and subject["name"] == user.name)
        or (subject["kind"] == "Group" and subject["name"] in user.groups)
        for subject in binding.get("subjects") or ()
    )
