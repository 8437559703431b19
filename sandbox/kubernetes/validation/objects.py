"""Rules that the OpenAPI schema lacks: names, immutable fields, ranges, references inside an object."""

# ruff: noqa: ARG001 -- the checks of a table share one signature
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.admission.chain import Context
from sandbox.kubernetes.apimachinery import errors
from sandbox.kubernetes.apimachinery.errors import Cause, forbidden_field, invalid_value, required, unsupported
from sandbox.kubernetes.apimachinery.kinds import Kind
from sandbox.kubernetes.apimachinery.quantities import RULE, is_quantity, parse
from sandbox.kubernetes.apimachinery.selectors import from_object, selects
from sandbox.kubernetes.validation import pod as pods

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_LABEL_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_LABEL_KINDS = frozenset({"Namespace", "Service"})
_PATH_NAMED = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
IMMUTABLE = "field is immutable"
_WORKLOADS = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})


def check(kind: Kind, new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> list[Cause]:
    """Return everything that is wrong with an object, or with the change from `live` to it."""
    found = list(metadata(kind, new))
    spec = new.get("spec") or {}
    old = (live or {}).get("spec") or {} if live is not None else None
    if kind.kind in _WORKLOADS:
        found += _workload(kind.kind, spec, old)
    elif kind.kind == "Pod":
        found += pods.pod(spec, "spec")
        if live is not None:
            found += pods.pod_update(spec, old or {})
    elif kind.kind == "Job":
        found += _job(spec, old)
    elif kind.kind == "CronJob":
        found += pods.pod(
            spec["jobTemplate"]["spec"]["template"].get("spec") or {}, "spec.jobTemplate.spec.template.spec"
        )
        if len(str(spec.get("schedule", "")).split()) != 5 and not str(spec.get("schedule", "")).startswith("@"):
            found.append(invalid_value("spec.schedule", spec.get("schedule"), "expected exactly 5 fields"))
    elif kind.kind in _CHECKS:
        found += _CHECKS[kind.kind](new, live, context)
    return found


def metadata(kind: Kind, document: Mapping[str, Any]) -> Iterator[Cause]:
    """Check name, labels and annotations."""
    meta = document["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.kind in _PATH_NAMED or not kind.definition:
        if "/" in name or "%" in name or name in {".", ".."}:
            yield invalid_value("metadata.name", name, "may not contain '/' or '%'")
    elif kind.kind in _LABEL_KINDS and not (_LABEL.match(name) and len(name) <= 63):
        yield invalid_value(
            "metadata.name", name, LABEL_RULE if len(name) <= 63 else "must be no more than 63 characters"
        )
    elif kind.kind == "Service" and not name[0].isalpha():
        yield invalid_value("metadata.name", name, "a DNS-1035 label must start with an alphabetic character")
    elif not (_SUBDOMAIN.match(name) and len(name) <= 253):
        yield invalid_value("metadata.name", name, SUBDOMAIN_RULE)
    yield from _labels(meta.get("labels") or {}, "metadata.labels")
    for key in meta.get("annotations") or {}:
        if not _qualified(key):
            yield invalid_value(
                "metadata.annotations", key, "name part must consist of alphanumeric characters, '-', '_' or '.'"
            )
    for finalizer in meta.get("finalizers") or ():
        if not _qualified(finalizer):
            yield invalid_value(
                "metadata.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"
            )


def _qualified(key: str) -> bool:
    prefix, _, name = key.rpartition("/")
    return bool(_LABEL_NAME.match(name)) and len(name) <= 63 and (not prefix or bool(_SUBDOMAIN.match(prefix)))


def _labels(labels: Mapping[str, str], path: str) -> Iterator[Cause]:
    for key, value in labels.items():
        if not _qualified(key):
            yield invalid_value(path, key, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        if not _LABEL_VALUE.match(value) or len(value) > 63:
            yield invalid_value(
                path, value,
                "must be no more than 63 characters" if len(value) > 63 else
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
                "start and end with an alphanumeric character",
            )  # fmt: skip


def _not_negative(spec: Mapping[str, Any], *names: str) -> Iterator[Cause]:
    for name in names:
        value = spec.get(name)
        if isinstance(value, int) and value < 0:
            yield invalid_value(f"spec.{name}", value, "must be greater than or equal to 0")


def _workload(kind: str, spec: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    yield from _not_negative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from _labels(labels, "spec.template.metadata.labels")
    requirements = from_object(spec.get("selector"))
    if requirements is not None:
        if not requirements:
            yield invalid_value("spec.selector", {}, f"empty selector is invalid for {kind.lower()}")
        elif not selects(requirements, {"metadata": {"labels": labels}}):
            yield invalid_value(
                "spec.template.metadata.labels", dict(labels), "`selector` does not match template `labels`"
            )
    pod = template.get("spec") or {}
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ["Always"])
    yield from pods.pod(pod, "spec.template.spec")
    if old is not None and old.get("selector") != spec.get("selector"):
        yield invalid_value("spec.selector", spec.get("selector"), IMMUTABLE)
    if kind == "Deployment":
        yield from _strategy(spec.get("strategy") or {})
        if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
            yield invalid_value(
                "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds"
            )
    if kind == "StatefulSet" and old is not None:
        free = {
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
            "revisionHistoryLimit",
        }
        if any(spec.get(name) != old.get(name) for name in (spec.keys() | old.keys()) - free - {"selector"}):
            yield forbidden_field(
                "spec",
                "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
                "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
            )


def _strategy(strategy: Mapping[str, Any]) -> Iterator[Cause]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if kind not in {"RollingUpdate", "Recreate"}:
        yield unsupported("spec.strategy.type", kind, ["Recreate", "RollingUpdate"])
    elif kind == "Recreate" and rolling is not None:
        yield forbidden_field("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif rolling is not None:
        values = [rolling.get("maxSurge"), rolling.get("maxUnavailable")]
        for name, value in zip(("maxSurge", "maxUnavailable"), values, strict=True):
            yield from percent(value, f"spec.strategy.rollingUpdate.{name}")
        if all(value in {0, "0%"} for value in values):
            yield invalid_value("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")


def percent(value: Any, path: str) -> Iterator[Cause]:
    """Check a count or percentage."""
    if isinstance(value, str) and not re.fullmatch(r"\d+%", value):
        yield invalid_value(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        )
    elif isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")


def _job(spec: Mapping[str, Any], old: Mapping[str, Any] | None) -> Iterator[Cause]:
    yield from _not_negative(
        spec, "parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"
    )
    pod = (spec.get("template") or {}).get("spec") or {}
    if pod.get("restartPolicy") not in {"OnFailure", "Never"}:
        cause = unsupported("spec.template.spec.restartPolicy", pod.get("restartPolicy"), ["OnFailure", "Never"])
        yield (
            required("spec.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
            if not pod.get("restartPolicy")
            else cause
        )
    yield from pods.pod(pod, "spec.template.spec")
    if old is not None:
        for name in ("template", "selector", "completionMode"):
            if old.get(name) != spec.get(name):
                yield invalid_value(f"spec.{name}", spec.get(name), IMMUTABLE)
        if old.get("completions") != spec.get("completions") and spec.get("completionMode") != "Indexed":
            yield invalid_value("spec.completions", spec.get("completions"), IMMUTABLE)


def _service(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    spec = new["spec"]
    allowed = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    if spec.get("type") not in allowed:
        yield unsupported("spec.type", spec.get("type"), allowed)
    if spec.get("type") == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if spec.get("sessionAffinity") not in {"None", "ClientIP"}:
        yield unsupported("spec.sessionAffinity", spec.get("sessionAffinity"), ["ClientIP", "None"])
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{path}.name")
        elif name and not _LABEL.match(name):
            yield invalid_value(f"{path}.name", name, LABEL_RULE)
        if name and name in seen:
            yield errors.duplicate(f"{path}.name", name)
        seen.add(name)
        yield from pods.port_number(port.get("port"), f"{path}.port")
        yield from pods.port_reference(port.get("targetPort"), f"{path}.targetPort")
        yield from pods.protocol(port.get("protocol"), f"{path}.protocol")
        node_port = port.get("nodePort")
        if node_port and not 30000 <= node_port <= 32767:
            yield invalid_value(
                f"{path}.nodePort",
                node_port,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            )
    yield from _labels(spec.get("selector") or {}, "spec.selector")
    old = ((live or {}).get("spec") or {}).get("clusterIP")
    if old and old != spec.get("clusterIP"):
        yield invalid_value("spec.clusterIPs[0]", spec.get("clusterIP"), "may not change once set")
    address = spec.get("clusterIP")
    if live is None and address and address != "None" and address in context.cluster_ips():
        yield invalid_value("spec.clusterIPs", [address], "failed to allocate IP: provided IP is already allocated")


def _autoscaler(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    spec = new["spec"]
    low, high = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if low < 1:
        yield invalid_value("spec.minReplicas", low, "must be greater than or equal to 1")
    if high < 1:
        yield invalid_value("spec.maxReplicas", high, "must be greater than 0")
    elif high < low:
        yield invalid_value("spec.maxReplicas", high, "must be greater than or equal to `minReplicas`")
    for index, metric in enumerate(spec.get("metrics") or ()):
        kinds = ["ContainerResource", "External", "Object", "Pods", "Resource"]
        if metric.get("type") not in kinds:
            yield unsupported(f"spec.metrics[{index}].type", metric.get("type"), kinds)
        elif not metric.get(metric["type"][0].lower() + metric["type"][1:]):
            yield required(
                f"spec.metrics[{index}].{metric['type'][0].lower() + metric['type'][1:]}",
                "must populate information for the given metric source",
            )


def _disruption_budget(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid_value(
            "spec",
            {k: spec[k] for k in ("minAvailable", "maxUnavailable")},
            "minAvailable and maxUnavailable cannot be both set",
        )
    for name in ("minAvailable", "maxUnavailable"):
        yield from percent(spec.get(name), f"spec.{name}")


def _ingress(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    spec = new.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", {}, "either `defaultBackend` or `rules` must be specified")
    for index, rule in enumerate(spec.get("rules") or ()):
        host = str(rule.get("host", ""))
        if host and not _SUBDOMAIN.match(host.removeprefix("*.")):
            yield invalid_value(f"spec.rules[{index}].host", host, SUBDOMAIN_RULE)
        for number, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            where = f"spec.rules[{index}].http.paths[{number}]"
            kinds = ["Exact", "ImplementationSpecific", "Prefix"]
            if not path.get("pathType"):
                yield required(f"{where}.pathType", "pathType must be specified")
            elif path["pathType"] not in kinds:
                yield unsupported(f"{where}.pathType", path["pathType"], kinds)
            elif path["pathType"] != "ImplementationSpecific" and not str(path.get("path", "")).startswith("/"):
                yield invalid_value(f"{where}.path", path.get("path", ""), "must be an absolute path")
            port = ((path.get("backend") or {}).get("service") or {}).get("port") or {}
            if "service" in (path.get("backend") or {}) and bool(port.get("name")) == bool(port.get("number")):
                yield required(
                    f"{where}.backend",
                    "port name or number is required" if not port else "cannot set both port name & port number",
                )


def _network_policy(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    import ipaddress  # noqa: PLC0415 - only here

    spec = new.get("spec") or {}
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            for number, peer in enumerate(rule.get(peers) or ()):
                where = f"spec.{direction}[{index}].{peers}[{number}]"
                if not peer:
                    yield required(where, "must specify a peer")
                elif "ipBlock" in peer:
                    if len(peer) > 1:
                        yield forbidden_field(where, "may not specify both ipBlock and another peer")
                    try:
                        ipaddress.ip_network(peer["ipBlock"].get("cidr", ""))
                    except ValueError:
                        yield invalid_value(
                            f"{where}.ipBlock.cidr",
                            peer["ipBlock"].get("cidr"),
                            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                        )
            for number, port in enumerate(rule.get("ports") or ()):
                yield from pods.protocol(
                    port.get("protocol", "TCP"), f"spec.{direction}[{index}].ports[{number}].protocol"
                )
                yield from pods.port_reference(port.get("port"), f"spec.{direction}[{index}].ports[{number}].port")


def _quota(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    for name, value in ((new.get("spec") or {}).get("hard") or {}).items():
        if not is_quantity(value):
            yield invalid_value(f"spec.hard[{name}]", value, RULE)
        elif parse(value) < 0:
            yield invalid_value(f"spec.hard[{name}]", value, "must be greater than or equal to 0")


def _frozen(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    """ConfigMap and Secret: `immutable` objects, key names, and the Secret's type."""
    for name in {**(new.get("data") or {}), **(new.get("binaryData") or {})}:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", name) or len(name) > 253:
            yield invalid_value(
                f"data[{name}]", name, "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            )
    if live is None:
        return
    if live.get("type") != new.get("type"):
        yield invalid_value("type", new.get("type"), IMMUTABLE)
    if live.get("immutable"):
        for part in ("data", "binaryData", "immutable"):
            if live.get(part) != new.get(part):
                yield forbidden_field(part, "field is immutable when `immutable` is set")


def _binding(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    if live is not None and live.get("roleRef") != new.get("roleRef"):
        yield invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")
    for index, subject in enumerate(new.get("subjects") or ()):
        if subject.get("kind") not in {"User", "Group", "ServiceAccount"}:
            yield unsupported(f"subjects[{index}].kind", subject.get("kind"), ["Group", "ServiceAccount", "User"])
        elif subject["kind"] == "ServiceAccount" and not subject.get("namespace"):
            yield required(f"subjects[{index}].namespace")


def _claim(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    spec = new["spec"]
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if size is None:
        yield required("spec.resources[storage]")
    elif not is_quantity(size):
        yield invalid_value("spec.resources.requests.storage", size, RULE)
    if live is not None:
        for name in ("accessModes", "storageClassName", "volumeMode", "selector"):
            if live["spec"].get(name) != spec.get(name):
                yield forbidden_field(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
                )
                return


def _storage_class(new: Mapping[str, Any], live: Mapping[str, Any] | None, context: Context) -> Iterator[Cause]:
    for name in ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode") if live is not None else ():
        if live is not None and live.get(name) != new.get(name):
            yield forbidden_field(name, f"updates to {name} are forbidden.")


_CHECKS = {
    "Service": _service, "HorizontalPodAutoscaler": _autoscaler, "PodDisruptionBudget": _disruption_budget,
    "Ingress": _ingress, "NetworkPolicy": _network_policy, "ResourceQuota": _quota, "ConfigMap": _frozen,
    "Secret": _frozen, "RoleBinding": _binding, "ClusterRoleBinding": _binding, "PersistentVolumeClaim": _claim,
    "StorageClass": _storage_class,
}  # fmt: skip
