"""Access reviews, which `kubectl auth can-i` and `kubectl auth whoami` create."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apiserver.auth import AccessControl, RequestAttributes, User
from sandbox.kubernetes.storage.object_store import Json


def review(access: AccessControl, user: User, kind: str, body: Mapping[str, Any]) -> Json:
    """Return a review of the given kind with its status."""
    spec: Mapping[str, Any] = body.get("spec") or {}
    status: Json
    if kind == "SelfSubjectReview":
        group, status = (
            "authentication.k8s.io",
            {"userInfo": {"username": user.name, "groups": list(user.groups)}},
        )
    elif kind == "SelfSubjectRulesReview":
        group, status = "authorization.k8s.io", _rules(access, user, spec.get("namespace", ""))
    else:
        group = "authorization.k8s.io"
        if ("resourceAttributes" in spec) == ("nonResourceAttributes" in spec):
            raise _without_attributes()
        if kind == "SubjectAccessReview":
            user = User(name=spec.get("user", ""), groups=tuple(spec.get("groups") or ()))
        allowed = access.allows(user, _request(spec))
        status = {
            "allowed": allowed,
            **({} if allowed else {"reason": "no access policy or RBAC rule allows it"}),
        }
    return {
        "kind": kind,
        "apiVersion": f"{group}/v1",
        "metadata": {},
        **({"spec": dict(spec)} if spec else {}),
        "status": status,
    }


def _without_attributes() -> errors.ApiError:
    text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    cause = errors.invalid_value("spec.resourceAttributes", None, text)
    detail = {"reason": cause.reason, "message": cause.message, "field": cause.field}
    return errors.ApiError(
        422,
        "Invalid",
        f'.authorization.k8s.io "" is invalid: {cause}',
        {"group": "authorization.k8s.io", "causes": [detail]},
    )


def _request(spec: Mapping[str, Any]) -> RequestAttributes:
    if spec.get("nonResourceAttributes"):
        attributes = spec["nonResourceAttributes"]
        return RequestAttributes(verb=attributes.get("verb", ""), path=attributes.get("path", ""))
    attributes = spec.get("resourceAttributes") or {}
    return RequestAttributes(
        verb=attributes.get("verb", ""),
        group=attributes.get("group", ""),
        resource=attributes.get("resource", ""),
        subresource=attributes.get("subresource", ""),
        namespace=attributes.get("namespace", ""),
        name=attributes.get("name", ""),
    )


def _rules(access: AccessControl, user: User, namespace: str) -> Json:
    resources: list[Json] = []
    urls: list[Json] = []
    for rule in access.rules(user, namespace):
        (urls if rule.urls else resources).append(rule.document())
    return {"resourceRules": resources, "nonResourceRules": urls, "incomplete": False}
