"""Subresources, lists, watches, tables, discovery, deletion and admission."""

from __future__ import annotations

from typing import Any

from tests.kubernetes_conformance import objects as o
from tests.kubernetes_conformance.case import (
    JSON_PATCH,
    MERGE,
    Call,
    Case,
    Json,
    change,
    collection,
    create,
    delete,
    get,
    patch,
    path_of,
    read,
)

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
_MAPS = collection("ConfigMap")
_DEPLOYMENT = o.deployment(replicas=2)
_CONFIG = o.config_map()


def _post(path: str, body: Any) -> Call:
    return Call(method="POST", path=path, body=body)


def _scale(replicas: Any) -> Json:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "namespace": "{ns}"},
        "spec": {"replicas": replicas},
    }


def _eviction(name: str = "web", **content: Any) -> Json:
    return {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **content
    }  # fmt: skip


_LABELED = change(o.pod(), {"metadata.labels": {"app": "web"}})
_EVICT = f"{path_of(o.pod())}/eviction"
_SCALE = f"{path_of(_DEPLOYMENT)}/scale"
_SUBRESOURCES = [
    Case("scale: read", (create(_DEPLOYMENT), get(_SCALE))),
    Case("scale: replace", (
        create(_DEPLOYMENT), Call(method="PUT", path=_SCALE, body=_scale(5)), read(_DEPLOYMENT))),
    Case("scale: merge patch", (
        create(_DEPLOYMENT),
        patch(_DEPLOYMENT, {"spec": {"replicas": 4}}, MERGE, subresource="/scale"))),
    Case("scale: json patch", (
        create(_DEPLOYMENT),
        patch(_DEPLOYMENT, [{"op": "replace", "path": "/spec/replicas", "value": 1}], JSON_PATCH,
              subresource="/scale"))),
    Case("scale: negative", (
        create(_DEPLOYMENT), Call(method="PUT", path=_SCALE, body=_scale(-1)))),
    Case("scale: wrong type", (
        create(_DEPLOYMENT), Call(method="PUT", path=_SCALE, body=_scale("x")))),
    Case("scale: missing object", (get(_SCALE),)),
    Case("scale: of a config map", (create(_CONFIG), get(f"{path_of(_CONFIG)}/scale"))),
    Case("scale: stateful set", (create(o.stateful_set()), get(f"{path_of(o.stateful_set())}/scale"))),
    Case("eviction: pod that waits", (create(o.pod()), _post(_EVICT, _eviction()), read(o.pod()))),
    Case("eviction: dry run", (
        create(o.pod()), _post(_EVICT, _eviction(deleteOptions={"dryRun": ["All"]})), read(o.pod()))),
    Case("eviction: missing pod", (_post(_EVICT, _eviction()),)),
    Case("eviction: other name", (create(o.pod()), _post(_EVICT, _eviction("other")))),
    Case("eviction: budget", (
        create(_LABELED), create(o.budget()),
        patch(_LABELED, {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}]}}, MERGE, subresource="/status"),
        patch(o.budget(), {"status": {
            "observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1,
            "desiredHealthy": 1, "expectedPods": 1}}, MERGE, subresource="/status"),
        _post(_EVICT, _eviction()))),
    Case("eviction: budget permits", (
        create(_LABELED), create(o.budget()),
        patch(_LABELED, {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}]}}, MERGE, subresource="/status"),
        patch(o.budget(), {"status": {
            "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2,
            "desiredHealthy": 1, "expectedPods": 2}}, MERGE, subresource="/status"),
        _post(_EVICT, _eviction()))),
    Case("eviction: two budgets", (
        create(_LABELED), create(o.budget("a")), create(o.budget("b")),
        patch(_LABELED, {"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}]}}, MERGE, subresource="/status"),
        _post(_EVICT, _eviction()))),
    Case("status: replace", (
        create(o.deployment()),
        Call(method="PUT", path=f"{path_of(o.deployment())}/status",
             body={**o.deployment(replicas=7), "status": {"replicas": 3}}))),
    Case("status: read", (create(o.deployment()), read(o.deployment(), "/status"))),
    Case("status: of a config map", (create(_CONFIG), read(_CONFIG, "/status"))),
    Case("status: create", (create(o.deployment()), _post(f"{path_of(o.deployment())}/status", {}))),
    Case("subresource: unknown", (create(o.pod()), read(o.pod(), "/other"))),
    Case("namespace: finalize", (
        create(o.namespace()),
        Call(method="PUT", path=f"{path_of(o.namespace())}/finalize", body=o.namespace()))),
    Case("binding: pod", (
        create(o.pod()),
        _post(f"{path_of(o.pod())}/binding", {
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node-x"}}),
        read(o.pod()))),
]  # fmt: skip

_LABELS = tuple(
    create(change(o.config_map(name), {"metadata.labels": {"app": app, "n": str(n)}}))
    for n, (name, app) in enumerate((("a", "web"), ("b", "web"), ("c", "job")))
)


def _listed(name: str, query: str, *calls: Call) -> Case:
    return Case(f"list: {name}", (*(calls or _LABELS), get(f"{_MAPS}?{query}")))


_READING = [
    Case("read: missing object", (read(_CONFIG),)),
    Case("read: missing namespace", (get("/api/v1/namespaces/missing/configmaps/a"),)),
    Case("read: unknown resource", (get("/api/v1/namespaces/{ns}/widgets"),)),
    Case("read: unknown group", (get("/apis/other.example.com/v1/widgets"),)),
    Case("read: removed version", (get("/apis/autoscaling/v2beta2/horizontalpodautoscalers"),)),
    Case("read: unknown path", (get("/other"),)),
    Case("read: partial metadata", (create(_CONFIG), read(_CONFIG, accept=_PARTIAL))),
    Case("read: media type", (create(_CONFIG), read(_CONFIG, accept="application/xml"))),
    Case("method: delete of an unknown path", (Call(method="DELETE", path="/other"),)),
    Case("method: create at an object", (_post(path_of(_CONFIG), _CONFIG),)),
    Case("method: replace a collection", (Call(method="PUT", path=_MAPS, body=_CONFIG),)),
    Case("method: patch a collection", (
        Call(method="PATCH", path=_MAPS, body={}, content_type=MERGE),)),
    Case("method: create without namespace", (_post("/api/v1/configmaps", _CONFIG),)),
    Case("create: no body", (Call(method="POST", path=_MAPS),)),
    Case("create: list as body", (_post(_MAPS, []),)),
    Case("create: media type", (
        Call(method="POST", path=_MAPS, body=_CONFIG, content_type="text/plain"),)),
    Case("create: missing namespace", (_post("/api/v1/namespaces/missing/configmaps", _CONFIG),)),
    _listed("all", ""),
    _listed("empty", "labelSelector=none"),
    _listed("label", "labelSelector=app%3Dweb"),
    _listed("label set", "labelSelector=app+in+(web,job),n+notin+(1)"),
    _listed("label exists", "labelSelector=app,!other"),
    _listed("label is not", "labelSelector=app!%3Dweb"),
    _listed("invalid label selector", "labelSelector=app%3D%3D%3D"),
    _listed("invalid set selector", "labelSelector=app+among+(a)"),
    _listed("field", "fieldSelector=metadata.name%3Da"),
    _listed("unknown field", "fieldSelector=data.a%3D1"),
    _listed("limit", "limit=2"),
    _listed("old resource version", "resourceVersion=abc"),
    _listed("partial metadata", "", create(_CONFIG), get(_MAPS, _PARTIAL)),
    Case("list: pods by phase", (
        create(o.pod()), get(f"{collection('Pod')}?fieldSelector=status.phase%3DPending"),
        get(f"{collection('Pod')}?fieldSelector=spec.nodeName%3Da"),
        get(f"{collection('Pod')}?fieldSelector=spec.image%3Da"))),
    *(
        Case(f"table: {document['kind']}", (
            create(document), read(document, accept=_TABLE),
            get(collection(document["kind"]).replace("{ns}", "{ns}"), accept=_TABLE)))
        for document in (
            _CONFIG, o.secret(), o.service(), o.deployment(), o.replica_set(), o.stateful_set(),
            o.daemon_set(), o.job(), o.cron_job(), o.pod(), o.ingress(), o.network_policy(),
            o.autoscaler(), o.budget(), o.quota(), o.service_account(), o.role(), o.role_binding(),
            o.claim(), o.limit_range(),
        )
    ),
    Case("table: missing object", (read(_CONFIG, accept=_TABLE),)),
    Case("watch: changes", (
        create(_CONFIG), patch(_CONFIG, {"data": {"a": "2"}}, MERGE), delete(_CONFIG),
        create(o.config_map("b")), get(f"{_MAPS}?watch=true&timeoutSeconds=1"))),
    Case("watch: selector", (
        *_LABELS, get(f"{_MAPS}?watch=true&timeoutSeconds=1&labelSelector=app%3Djob"))),
    Case("watch: invalid resource version", (
        get(f"{_MAPS}?watch=true&timeoutSeconds=1&resourceVersion=abc"),)),
    Case("watch: invalid selector", (
        get(f"{_MAPS}?watch=true&timeoutSeconds=1&labelSelector=%3D%3D"),)),
    Case("watch: future resource version", (
        get(f"{_MAPS}?resourceVersion=99999999&resourceVersionMatch=Exact"),)),
]  # fmt: skip

_DISCOVERY = [
    Case("discovery: versions", (get("/api"),)),
    Case("discovery: unknown group", (get("/apis/other.example.com"),)),
    Case("discovery: unknown version", (get("/apis/apps/v2"),)),
    *(Case(f"discovery: {path}", (get(path),)) for path in (
        "/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/batch/v1", "/apis/policy/v1",
        "/apis/networking.k8s.io/v1", "/apis/autoscaling", "/apis/autoscaling/v2",
        "/apis/rbac.authorization.k8s.io/v1", "/apis/storage.k8s.io/v1",
        "/apis/scheduling.k8s.io/v1", "/apis/coordination.k8s.io/v1",
        "/apis/discovery.k8s.io/v1", "/apis/apiextensions.k8s.io/v1")),
    Case("discovery: health", (get("/healthz"), get("/readyz"), get("/livez"))),
]  # fmt: skip

_OWNER = "11111111-2222-3333-4444-555555555555"
_FINALIZED = change(_CONFIG, {"metadata.finalizers": ["a.example.com/x"]})
_DELETION = [
    Case("delete: object", (create(_CONFIG), delete(_CONFIG), read(_CONFIG))),
    Case("delete: missing object", (delete(_CONFIG),)),
    Case("delete: deployment", (create(o.deployment()), delete(o.deployment()))),
    Case("delete: pod", (create(o.pod()), delete(o.pod()), read(o.pod()))),
    Case("delete: foreground", (
        create(o.deployment()), delete(o.deployment(), "propagationPolicy=Foreground"),
        read(o.deployment()))),
    Case("delete: orphan", (
        create(o.deployment()), delete(o.deployment(), "propagationPolicy=Orphan"),
        read(o.deployment()))),
    Case("delete: background", (
        create(o.deployment()), delete(o.deployment(), "propagationPolicy=Background"),
        read(o.deployment()))),
    Case("delete: unknown propagation", (
        create(o.deployment()), delete(o.deployment(), "propagationPolicy=Later"))),
    Case("delete: options", (
        create(o.deployment()),
        delete(o.deployment(), body={
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}))),
    Case("delete: finalizer", (
        create(_FINALIZED), delete(_CONFIG), read(_CONFIG),
        patch(_CONFIG, {"metadata": {"finalizers": []}}, MERGE), read(_CONFIG))),
    Case("delete: finalizer is added later", (
        create(_FINALIZED), delete(_CONFIG),
        patch(_CONFIG, {"metadata": {"finalizers": ["a.example.com/x", "a.example.com/y"]}}, MERGE))),
    Case("delete: dry run", (create(_CONFIG), delete(_CONFIG, "dryRun=All"), read(_CONFIG))),
    Case("delete: precondition", (
        create(_CONFIG), delete(_CONFIG, body={
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": _OWNER}}))),
    Case("delete: version precondition", (
        create(_CONFIG), delete(_CONFIG, body={
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": "1"}}))),
    Case("delete: collection", (
        *_LABELS, Call(method="DELETE", path=f"{_MAPS}?labelSelector=app%3Dweb"), get(_MAPS))),
    Case("delete: twice with a finalizer", (create(_FINALIZED), delete(_CONFIG), delete(_CONFIG))),
    Case("delete: grace period", (
        create(o.pod()), patch(o.pod(), {"metadata": {"labels": {"a": "b"}}}, MERGE),
        delete(o.pod(), "gracePeriodSeconds=5"))),
    Case("delete: negative grace period", (create(o.pod()), delete(o.pod(), "gracePeriodSeconds=-5"))),
    Case("delete: create in a terminating namespace", (
        create(o.namespace()), delete(o.namespace()),
        _post("/api/v1/namespaces/{ns}-other/configmaps", _CONFIG))),
    Case("delete: default namespace", (delete(o.namespace("default")),)),
    Case("delete: system namespace", (delete(o.namespace("kube-system")),)),
]  # fmt: skip


def _namespaced(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Move calls to the namespace that the case created."""
    return tuple(
        Call(method=c.method, path=c.path.replace("/{ns}/", "/{ns}-other/"), body=c.body,
             content_type=c.content_type)
        for c in calls
    )  # fmt: skip


_ACCOUNT = o.service_account("default")


def _pod_security(name: str, labels: Json, *documents: Json) -> Case:
    prefix = "pod-security.kubernetes.io/"
    namespace = o.namespace("{ns}-other", **{prefix + key: value for key, value in labels.items()})
    calls = tuple(create(document) for document in (_ACCOUNT, *documents))
    return Case(f"pod security: {name}", (create(namespace), *_namespaced(calls)))


_SAFE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def _secured(**security: Any) -> Json:
    return o.pod(containers=[{"name": "app", "image": "app", "securityContext": security}])


_ADMISSION = [
    _pod_security("restricted refuses", {"enforce": "restricted"}, o.pod()),
    _pod_security("restricted permits", {"enforce": "restricted"}, _secured(**_SAFE)),
    _pod_security("restricted and root", {"enforce": "restricted"},
                  _secured(**_SAFE, runAsUser=0)),
    _pod_security("restricted and a capability", {"enforce": "restricted"},
                  _secured(**{**_SAFE, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}})),
    _pod_security("restricted and a volume", {"enforce": "restricted"},
                  change(_secured(**_SAFE), {"spec.volumes": [{"name": "h", "hostPath": {"path": "/"}}]})),
    _pod_security("restricted version", {"enforce": "restricted", "enforce-version": "v1.30"}, o.pod()),
    _pod_security("baseline permits", {"enforce": "baseline"}, o.pod()),
    _pod_security("baseline and privileged", {"enforce": "baseline"}, _secured(privileged=True)),
    _pod_security("baseline and the host", {"enforce": "baseline"},
                  o.pod(hostNetwork=True, hostPID=True)),
    _pod_security("baseline and a host port", {"enforce": "baseline"},
                  change(o.pod(), {"spec.containers.0.ports": [{"containerPort": 80, "hostPort": 80}]})),
    _pod_security("baseline and a capability", {"enforce": "baseline"},
                  _secured(capabilities={"add": ["SYS_ADMIN"]})),
    _pod_security("baseline and a host path", {"enforce": "baseline"},
                  o.pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}])),
    _pod_security("warning", {"warn": "restricted"}, o.pod(), o.deployment()),
    _pod_security("deployment in a restricted namespace", {"enforce": "restricted"}, o.deployment()),
    _pod_security("unknown level", {"enforce": "strict"}, o.pod()),
    Case("quota: pod without requests", (
        create(o.quota(**{"requests.cpu": "1"})),
        patch(o.quota(), {"status": {"hard": {"requests.cpu": "1"}, "used": {"requests.cpu": "0"}}},
              MERGE, subresource="/status"),
        create(o.pod()))),
    Case("quota: pod exceeds requests", (
        create(o.quota(**{"requests.cpu": "1"})),
        patch(o.quota(), {"status": {"hard": {"requests.cpu": "1"}, "used": {"requests.cpu": "0"}}},
              MERGE, subresource="/status"),
        create(change(o.pod(), {"spec.containers.0.resources": {"requests": {"cpu": "1500m"}}})))),
    Case("quota: two resources", (
        create(o.quota(pods="0", **{"requests.memory": "1Gi"})),
        patch(o.quota(), {"status": {
            "hard": {"pods": "0", "requests.memory": "1Gi"},
            "used": {"pods": "0", "requests.memory": "0"}}}, MERGE, subresource="/status"),
        create(change(o.pod(), {"spec.containers.0.resources": {"requests": {"memory": "2Gi"}}})))),
    Case("limit range: defaults", (create(o.limit_range()), create(o.pod()))),
    Case("limit range: maximum", (
        create(o.limit_range(max={"cpu": "1"})),
        create(change(o.pod(), {"spec.containers.0.resources": {"limits": {"cpu": "2"}}})))),
    Case("limit range: minimum", (
        create(o.limit_range(min={"cpu": "100m"})),
        create(change(o.pod(), {"spec.containers.0.resources": {"requests": {"cpu": "10m"}}})))),
    Case("limit range: ratio", (
        create(o.limit_range(maxLimitRequestRatio={"cpu": "2"})),
        create(change(o.pod(), {"spec.containers.0.resources": {
            "requests": {"cpu": "100m"}, "limits": {"cpu": "500m"}}})))),
    Case("priority class: applied", (
        create(o.priority_class()), create(o.pod(priorityClassName="{ns}-high")))),
    Case("size: body above 3 MiB", (
        create(o.config_map(data={"a": "x" * (3 * 1024 * 1024)})),)),
    Case("size: large list of small values", (
        create(o.config_map(data={f"k{n}": "x" * 1000 for n in range(1100)})),)),
]  # fmt: skip

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def _access(**attributes: str) -> Call:
    spec = {"resourceAttributes": attributes}
    kind = "SelfSubjectAccessReview"
    return _post(_REVIEW, {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec})


_REVIEWS = [
    Case("review: permitted", (_access(verb="create", resource="pods"),)),
    Case("review: without spec", (
        _post(_REVIEW, {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}),)),
    Case("review: self", (
        _post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),)),
]  # fmt: skip

CASES = [
    *_SUBRESOURCES, *_READING, *_DISCOVERY, *_DELETION, *_ADMISSION, *_REVIEWS
]  # fmt: skip
