"""Validation rules of pod specs that the OpenAPI schema lacks, for pods and pod templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.kubernetes.apimachinery.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from sandbox.kubernetes.apimachinery.quantities import RULE, is_quantity, parse
from sandbox.kubernetes.validation.metadata import DNS_LABEL, LABEL_RULE
from sandbox.kubernetes.validation.scheduling import validate_scheduling
from sandbox.kubernetes.validation.volumes import validate_volumes

_PORT_NAME = re.compile(r"^(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_ENV_NAME = re.compile(r"^[ -<>-~]+$")
# Fields of a pod that an environment variable can contain.
_ENV_FIELDS = re.compile(
    r"metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['.+'\]|spec\.(nodeName|"
    r"serviceAccountName)|status\.(hostIP|hostIPs|podIP|podIPs)"
)


def validate_port(value: Any, path: str) -> Iterator[Cause]:
    """Validate a port number."""
    if not isinstance(value, int) or not 1 <= value <= 65535:
        yield invalid_value(path, value, "must be between 1 and 65535, inclusive")


def validate_port_reference(value: Any, path: str) -> Iterator[Cause]:
    """Validate a port number or name; None is skipped."""
    if isinstance(value, int):
        yield from validate_port(value, path)
    elif isinstance(value, str) and (
        len(value) > 15 or not _PORT_NAME.match(value) or "--" in value
    ):
        yield invalid_value(
            path,
            value,
            "must be no more than 15 characters"
            if len(value) > 15
            else "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        )


def validate_protocol(value: Any, path: str) -> Iterator[Cause]:
    """Validate a transport protocol."""
    if value not in {"TCP", "UDP", "SCTP"}:
        yield unsupported(path, value, ["SCTP", "TCP", "UDP"])


def validate_pod_spec(spec: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Validate the pod spec at `path`."""
    if spec.get("restartPolicy") not in {"Always", "OnFailure", "Never"}:
        yield unsupported(
            f"{path}.restartPolicy", spec.get("restartPolicy"), ["Always", "OnFailure", "Never"]
        )
    if spec.get("dnsPolicy") not in {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}:
        yield unsupported(
            f"{path}.dnsPolicy",
            spec.get("dnsPolicy"),
            ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
        )
    volumes = yield from validate_volumes(spec.get("volumes") or (), f"{path}.volumes")
    names: set[str] = set()
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for part in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(part) or ()):
            field = f"{path}.{part}[{index}]"
            if container.get("name") in names:
                yield duplicate(f"{field}.name", container["name"])
            names.add(container.get("name", ""))
            yield from _container(container, field, volumes)
    yield from validate_scheduling(spec, path)
    user = (spec.get("securityContext") or {}).get("runAsUser")
    yield from _validate_user(user, f"{path}.securityContext.runAsUser")
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        field = f"{path}.topologySpreadConstraints[{index}]"
        if constraint.get("maxSkew", 0) < 1:
            yield invalid_value(
                f"{field}.maxSkew", constraint.get("maxSkew"), "must be greater than zero"
            )
        if constraint.get("whenUnsatisfiable") not in {"DoNotSchedule", "ScheduleAnyway"}:
            yield unsupported(
                f"{field}.whenUnsatisfiable",
                constraint.get("whenUnsatisfiable"),
                ["DoNotSchedule", "ScheduleAnyway"],
            )
        if (
            constraint.get("minDomains") is not None
            and constraint.get("whenUnsatisfiable") != "DoNotSchedule"
        ):
            yield invalid_value(
                f"{field}.minDomains",
                constraint["minDomains"],
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule",
            )


def _validate_user(user: Any, path: str) -> Iterator[Cause]:
    if user is not None and not 0 <= user < 2**31:
        yield invalid_value(path, user, "must be between 0 and 2147483647, inclusive")


def _container(container: Mapping[str, Any], path: str, volumes: set[str]) -> Iterator[Cause]:  # noqa: PLR0912 - one per rule
    name = container.get("name", "")
    if name and (not DNS_LABEL.match(name) or len(name) > 63):
        yield invalid_value(f"{path}.name", name, LABEL_RULE)
    image = container.get("image", "")
    if not image:
        yield required(f"{path}.image")
    if container.get("imagePullPolicy") not in {"Always", "IfNotPresent", "Never"}:
        yield unsupported(
            f"{path}.imagePullPolicy",
            container.get("imagePullPolicy"),
            ["Always", "IfNotPresent", "Never"],
        )
    yield from _ports(container, path)
    for index, entry in enumerate(container.get("env") or ()):
        if entry.get("name") and not _ENV_NAME.match(entry["name"]):
            yield invalid_value(
                f"{path}.env[{index}].name",
                entry["name"],
                "a valid environment variable name must consist only of printable ASCII "
                "characters other than '='",
            )
        source = entry.get("valueFrom")
        if source is not None and entry.get("value"):
            yield invalid_value(
                f"{path}.env[{index}].valueFrom",
                "",
                "may not be specified when `value` is not empty",
            )
        elif source is not None and len(source) != 1:
            yield invalid_value(
                f"{path}.env[{index}].valueFrom",
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
                "`secretKeyRef` or `fileKeyRef`",
            )
        elif source is not None and "fieldRef" in source:
            field_path = str(source["fieldRef"].get("fieldPath", ""))
            if not _ENV_FIELDS.fullmatch(field_path):
                yield invalid_value(
                    f"{path}.env[{index}].valueFrom.fieldRef.fieldPath",
                    field_path,
                    f"error converting fieldPath: field label not supported: {field_path}",
                )
    mounts: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            yield Cause(
                reason="FieldValueNotFound",
                field=f"{path}.volumeMounts[{index}].name",
                message=f'Not found: "{mount.get("name", "")}"',
            )
        if mount.get("mountPath") in mounts:
            yield invalid_value(
                f"{path}.volumeMounts[{index}].mountPath", mount["mountPath"], "must be unique"
            )
        mounts.add(mount.get("mountPath", ""))
    yield from validate_resources(container.get("resources") or {}, f"{path}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            yield from _probe(container[probe], f"{path}.{probe}", probe)
    for name, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, Mapping) and not handler:
            yield required(f"{path}.lifecycle.{name}", "must specify a handler type")
    context = container.get("securityContext") or {}
    yield from _validate_user(context.get("runAsUser"), f"{path}.securityContext.runAsUser")
    if context.get("privileged") and context.get("allowPrivilegeEscalation") is False:
        yield invalid_value(
            f"{path}.securityContext",
            {},
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        )


def _ports(container: Mapping[str, Any], path: str) -> Iterator[Cause]:
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or ()):
        field = f"{path}.ports[{index}]"
        if port.get("containerPort") == 0:
            yield required(f"{field}.containerPort")
        else:
            yield from validate_port(port.get("containerPort"), f"{field}.containerPort")
        yield from validate_protocol(port.get("protocol"), f"{field}.protocol")
        if port.get("name"):
            yield from validate_port_reference(port["name"], f"{field}.name")
            if port["name"] in names:
                yield duplicate(f"{field}.name", port["name"])
            names.add(port["name"])


def validate_resources(value: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Validate requests and limits: quantities, each request at most its limit."""
    for part in ("limits", "requests"):
        for name, amount in (value.get(part) or {}).items():
            if not is_quantity(amount):
                yield invalid_value(f"{path}.{part}[{name}]", amount, RULE)
                continue
            if parse(amount) < 0:
                yield invalid_value(
                    f"{path}.{part}[{name}]", amount, "must be greater than or equal to 0"
                )
            if (
                name not in {"cpu", "memory", "ephemeral-storage"}
                and "/" not in name
                and not name.startswith("hugepages-")
            ):
                yield invalid_value(
                    f"{path}.{part}[{name}]",
                    name,
                    "must be a standard resource type or fully qualified",
                )
                yield invalid_value(
                    f"{path}.{part}[{name}]", name, "must be a standard resource for containers"
                )
    for name, amount in (value.get("requests") or {}).items():
        limit = (value.get("limits") or {}).get(name)
        if (
            limit is not None
            and is_quantity(amount)
            and is_quantity(limit)
            and parse(amount) > parse(limit)
        ):
            yield invalid_value(
                f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}"
            )


def _probe(probe: Mapping[str, Any], path: str, kind: str) -> Iterator[Cause]:
    handlers = [name for name in ("httpGet", "exec", "tcpSocket", "grpc") if name in probe]
    if not handlers:
        yield required(path, "must specify a handler type")
    elif len(handlers) > 1:
        yield forbidden_field(f"{path}.{handlers[1]}", "may not specify more than 1 handler type")
    for name in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        if probe.get(name, 1) < 0:
            yield invalid_value(f"{path}.{name}", probe[name], "must be greater than or equal to 0")
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    for name in ("httpGet", "tcpSocket"):
        if name in probe:
            yield from validate_port_reference(probe[name].get("port", 0), f"{path}.{name}.port")
    if "httpGet" in probe and probe["httpGet"].get("scheme") not in {"HTTP", "HTTPS"}:
        yield unsupported(
            f"{path}.httpGet.scheme", probe["httpGet"].get("scheme"), ["HTTP", "HTTPS"]
        )


def validate_pod_update(new: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[Cause]:
    """Refuse changes of a pod beyond those that Kubernetes allows."""

    def fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
        rest = {
            k: v
            for k, v in spec.items()
            if k
            not in {
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
                "nodeName",
            }
        }
        for part in ("containers", "initContainers"):
            if part in rest:
                rest[part] = [{k: v for k, v in c.items() if k != "image"} for c in rest[part]]
        return rest

    if fixed(new) != fixed(old):
        yield forbidden_field(
            "spec",
            "pod updates may not change fields other than "
            "`spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
            "tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
            "negative)",
        )
