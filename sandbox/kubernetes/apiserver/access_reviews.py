"""Access reviews: the questions behind `kubectl auth can-i` and `kubectl auth whoami`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.kubernetes.apiserver.auth import Gate, Request, User
from sandbox.kubernetes.storage.object_store import Json


def answer(gate: Gate, user: User, kind: str, body: Mapping[str, Any]) -> Json:
    """Answer a review of the given kind."""
    spec: Mapping[str, Any] = body.get("spec") or {}
    status: Json
    if kind == "SelfSubjectReview":
        group, status = "authentication.k8s.io", {"userInfo": {"username": user.name, "groups": list(user.groups)}}
    elif kind == "SelfSubjectRulesReview":
        group, status = "authorization.k8s.io", _rules(gate, user, spec.get("namespace", ""))
    else:
        group = "authorization.k8s.io"
        if kind == "SubjectAccessReview":
            user = User(name=spec.get("user", ""), groups=tuple(spec.get("groups") or ()))
        allowed = gate.allows(user, _request(spec))
        status = {"allowed": allowed, **({} if allowed else {"reason": "no access policy or RBAC rule allows it"})}
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, "spec": dict(spec), "status": status}


def _request(spec: Mapping[str, Any]) -> Request:
    if spec.get("nonResourceAttributes"):
        wanted = spec["nonResourceAttributes"]
        return Request(verb=wanted.get("verb", ""), path=wanted.get("path", ""))
    wanted = spec.get("resourceAttributes") or {}
    return Request(
        verb=wanted.get("verb", ""),
        group=wanted.get("group", ""),
        resource=wanted.get("resource", ""),
        subresource=wanted.get("subresource", ""),
        namespace=wanted.get("namespace", ""),
        name=wanted.get("name", ""),
    )


def _rules(gate: Gate, user: User, namespace: str) -> Json:
    resources: list[Json] = []
    urls: list[Json] = []
    for rule in gate.rules(user, namespace):
        (urls if rule.urls else resources).append(rule.document())
    return {"resourceRules": resources, "nonResourceRules": urls, "incomplete": False}
