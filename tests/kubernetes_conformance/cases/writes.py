"""Patches of every type, and server-side apply with its conflicts."""

from __future__ import annotations

from tests.kubernetes_conformance import objects as o
from tests.kubernetes_conformance.case import (
    APPLY,
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    Call,
    Case,
    apply,
    change,
    create,
    patch,
    path_of,
    read,
)

_DEPLOYMENT = o.deployment(replicas=2)
_CONFIG = o.config_map()
_POD = o.pod(containers=[
    {"name": "app", "image": "registry/app:1", "env": [{"name": "A", "value": "1"}]},
    {"name": "side", "image": "registry/side:1"},
])  # fmt: skip
_FIRST = "/spec/template/spec/containers/0"


def _patched(name: str, body: object, content_type: str = STRATEGIC) -> Case:
    return Case(f"patch: {name}", (create(_DEPLOYMENT), patch(_DEPLOYMENT, body, content_type)))


_PATCHES = [
    _patched("json replace", [{"op": "replace", "path": "/spec/replicas", "value": 3}], JSON_PATCH),
    _patched("json add", [
        {"op": "add", "path": f"{_FIRST}/env", "value": [{"name": "A", "value": "1"}]}], JSON_PATCH),
    _patched("json remove", [{"op": "remove", "path": "/spec/replicas"}], JSON_PATCH),
    _patched("json move", [
        {"op": "add", "path": "/metadata/labels", "value": {"a": "1"}},
        {"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/b"}], JSON_PATCH),
    _patched("json test", [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 4}], JSON_PATCH),
    _patched("json test fails", [{"op": "test", "path": "/spec/replicas", "value": 9}], JSON_PATCH),
    _patched("json path is missing", [{"op": "remove", "path": "/spec/other/x"}], JSON_PATCH),
    _patched("json unknown operation", [{"op": "increment", "path": "/spec/replicas"}], JSON_PATCH),
    _patched("json is an object", {"op": "remove"}, JSON_PATCH),
    _patched("json invalid result", [
        {"op": "replace", "path": "/spec/replicas", "value": -1}], JSON_PATCH),
    _patched("json unknown field", [{"op": "add", "path": "/spec/replica", "value": 1}], JSON_PATCH),
    _patched("json wrong type", [
        {"op": "replace", "path": "/spec/replicas", "value": "x"}], JSON_PATCH),
    _patched("merge", {"spec": {"replicas": 3, "minReadySeconds": 1}}, MERGE),
    _patched("merge removes", {"spec": {"replicas": None}}, MERGE),
    _patched("merge replaces a list", {"spec": {"template": {"spec": {"containers": [
        {"name": "other", "image": "other"}]}}}}, MERGE),
    _patched("merge is a list", [1], MERGE),
    _patched("merge unknown field", {"spec": {"replica": 1}}, MERGE),
    _patched("merge changes the name", {"metadata": {"name": "other"}}, MERGE),
    _patched("merge old resource version", {"metadata": {"resourceVersion": "1"}}, MERGE),
    _patched("strategic", {"spec": {"replicas": 3}}),
    _patched("strategic merges containers", {"spec": {"template": {"spec": {"containers": [
        {"name": "app", "image": "registry/app:2"}, {"name": "side", "image": "side"}]}}}}),
    _patched("strategic without merge key", {"spec": {"template": {"spec": {"containers": [
        {"image": "registry/app:2"}]}}}}),
    _patched("strategic deletes", {"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side"}, {"name": "app", "$patch": "delete"}]}}}}),
    _patched("strategic replaces", {"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "side"}, {"$patch": "replace"}]}}}}),
    _patched("strategic retains keys", {"spec": {"strategy": {
        "$retainKeys": ["type"], "type": "Recreate"}}}),
    _patched("strategic order", {"spec": {"template": {"spec": {
        "$setElementOrder/containers": [{"name": "side"}, {"name": "app"}],
        "containers": [{"name": "side", "image": "side"}]}}}}),
    _patched("strategic unknown field", {"spec": {"replica": 1}}),
    _patched("strategic wrong type", {"spec": {"replicas": "x"}}),
    _patched("strategic changes nothing", {"spec": {"replicas": 2}}),
    _patched("unknown type", {"spec": {}}, "application/xml"),
    _patched("type json", {"spec": {}}, "application/json"),
    Case("patch: finalizers of a primitive list", (
        create(change(_CONFIG, {"metadata.finalizers": ["a.example.com/x", "a.example.com/y"]})),
        patch(_CONFIG, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.example.com/x"]}},
              STRATEGIC),
        patch(_CONFIG, {"metadata": {"finalizers": None}}, MERGE))),
    Case("patch: missing object", (patch(o.config_map("missing"), {"data": {}}, MERGE),)),
    Case("patch: dry run", (
        create(_CONFIG),
        patch(_CONFIG, {"data": {"a": "2"}}, MERGE, query="fieldManager=test&dryRun=All"),
        read(_CONFIG))),
    Case("patch: pod", (
        create(_POD), patch(_POD, {"spec": {"containers": [
            {"name": "app", "image": "registry/app:2"}]}}, STRATEGIC))),
    Case("patch: pod field that is fixed", (
        create(_POD), patch(_POD, {"spec": {"hostNetwork": True}}, STRATEGIC))),
    Case("patch: service ports", (
        create(o.service()),
        patch(o.service(), {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}, STRATEGIC),
        patch(o.service(), {"spec": {"ports": [{"name": "b", "port": 81}]}}, STRATEGIC))),
    Case("patch: status through the object", (
        create(o.deployment()), patch(o.deployment(), {"status": {"replicas": 5}}, MERGE))),
    Case("patch: status", (
        create(o.deployment()),
        patch(o.deployment(), {"status": {"replicas": 5, "observedGeneration": 1},
                               "spec": {"replicas": 9}}, MERGE, subresource="/status"))),
    Case("patch: secret strings", (
        create(o.secret()), patch(o.secret(), {"stringData": {"b": "2"}}, STRATEGIC),
        patch(o.secret(), {"data": {"a": None}}, MERGE))),
]  # fmt: skip

_CONFIG_2 = o.config_map(data={"a": "2"})
_TWO = o.config_map(data={"a": "1", "b": "1"})
_SMALL = {k: v for k, v in o.deployment().items() if k != "spec"}


def _container(**fields: object) -> dict[str, object]:
    containers = [{"name": "app", "image": "registry/app:1", **fields}]
    return change(o.deployment(), {"spec.template.spec.containers": containers})


_APPLIES = [
    Case("apply: creates", (apply(_DEPLOYMENT),)),
    Case("apply: twice", (apply(_DEPLOYMENT), apply(_DEPLOYMENT))),
    Case("apply: changes", (apply(_CONFIG), apply(_CONFIG_2))),
    Case("apply: removes what is no longer applied", (apply(_TWO), apply(_CONFIG))),
    Case("apply: conflict with a manager", (apply(_CONFIG), apply(_CONFIG_2, "other"))),
    Case("apply: conflict with an update", (create(_CONFIG), apply(_CONFIG_2, "other"))),
    Case("apply: conflicts in two fields", (
        apply(_TWO), apply(o.config_map(data={"a": "2", "b": "2"}), "other"))),
    Case("apply: conflicts with two managers", (
        apply(_CONFIG, "one"), apply(o.config_map(data={"b": "1"}), "two"),
        apply(o.config_map(data={"a": "2", "b": "2"}), "three"))),
    Case("apply: force", (apply(_CONFIG), apply(_CONFIG_2, "other", "&force=true"), apply(_CONFIG))),
    Case("apply: same value is shared", (apply(_CONFIG), apply(_CONFIG, "other"))),
    Case("apply: shared value remains", (
        apply(_TWO), apply(_TWO, "other"), apply(_CONFIG), apply(_CONFIG, "other"))),
    Case("apply: conflict in a list", (
        apply(_container()), apply(_container(image="registry/app:2"), "other"))),
    Case("apply: entry of another manager", (
        apply(_container(env=[{"name": "A", "value": "1"}])),
        apply(_container(env=[{"name": "B", "value": "1"}]), "other"),
        apply(_container()))),
    Case("apply: replicas belong to the autoscaler", (
        apply(o.deployment(replicas=2)),
        patch(o.deployment(), {"spec": {"replicas": 5}}, MERGE, subresource="/scale",
              query="fieldManager=autoscaler"),
        apply(o.deployment(replicas=2)), apply(o.deployment()))),
    Case("apply: no manager", (
        Call(method="PATCH", path=path_of(_CONFIG), body=_CONFIG, content_type=APPLY),)),
    Case("apply: long manager", (apply(_CONFIG, "m" * 129),)),
    Case("apply: managed fields are set", (
        apply(change(_CONFIG, {"metadata.managedFields": [{"manager": "x"}]})),)),
    Case("apply: unknown field", (apply(change(_DEPLOYMENT, {"spec.replica": 1})),)),
    Case("apply: wrong type", (apply(change(_DEPLOYMENT, {"spec.replicas": "x"})),)),
    Case("apply: invalid value", (apply(change(_DEPLOYMENT, {"spec.replicas": -1})),)),
    Case("apply: no kind", (Call(
        method="PATCH", path=f"{path_of(_CONFIG)}?fieldManager=test",
        body={"metadata": {"name": "settings"}}, content_type=APPLY),)),
    Case("apply: other kind", (Call(
        method="PATCH", path=f"{path_of(_CONFIG)}?fieldManager=test",
        body={**_CONFIG, "kind": "Secret"}, content_type=APPLY),)),
    Case("apply: other name", (Call(
        method="PATCH", path=f"{path_of(_CONFIG)}?fieldManager=test",
        body=o.config_map("other"), content_type=APPLY),)),
    Case("apply: duplicate entries", (apply(_container(env=[
        {"name": "A", "value": "1"}, {"name": "A", "value": "2"}])),)),
    Case("apply: entry without key", (apply(_container(env=[{"value": "1"}])),)),
    Case("apply: duplicate ports", (apply(_container(ports=[
        {"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}])),)),
    Case("apply: dry run", (apply(_CONFIG, query="&dryRun=All"), read(_CONFIG))),
    Case("apply: no spec", (apply(_SMALL),)),
    Case("apply: update after it", (
        apply(_CONFIG), patch(_CONFIG, {"data": {"a": "3"}}, MERGE, query="fieldManager=editor"),
        apply(_CONFIG))),
    Case("apply: managed fields are cleared", (
        apply(_CONFIG), patch(_CONFIG, {"metadata": {"managedFields": [{}]}}, MERGE),
        apply(_CONFIG_2, "other"))),
    Case("apply: status", (
        apply(_DEPLOYMENT),
        apply(change(_SMALL, {"status": {"replicas": 3}}), "controller", subresource="/status"))),
    Case("apply: service ports", (
        apply(o.service()), apply(o.service(ports=[{"port": 80}, {"port": 81, "name": "b"}])),
        apply(o.service(ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b"}])))),
    Case("apply: finalizers", (
        apply(change(_CONFIG, {"metadata.finalizers": ["a.example.com/x"]})),
        apply(change(_CONFIG, {"metadata.finalizers": ["a.example.com/y"]}), "other"),
        apply(_CONFIG))),
    Case("apply: labels of two managers", (
        apply(change(_CONFIG, {"metadata.labels": {"a": "1"}})),
        apply(change(_CONFIG, {"metadata.labels": {"b": "1"}}), "other"), apply(_CONFIG))),
    Case("apply: quantities are equal", (
        apply(_container(resources={"limits": {"cpu": "1"}})),
        apply(_container(resources={"limits": {"cpu": "1000m"}}), "other"))),
    Case("apply: old resource version", (
        apply(_CONFIG), apply(change(_CONFIG_2, {"metadata.resourceVersion": "1"})))),
    Case("apply: missing namespace", (Call(
        method="PATCH", path="/api/v1/namespaces/missing/configmaps/a?fieldManager=test",
        body=o.config_map("a"), content_type=APPLY),)),
]  # fmt: skip

CASES = [*_PATCHES, *_APPLIES]
