"""Default values of pods and pod templates."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes.storage.object_store import Json


def set_missing(target: Json, **values: Any) -> None:
    """Set the values of absent keys."""
    for key, value in values.items():
        target.setdefault(key, value)


def set_pod_defaults(spec: Json, *, runs: bool = False) -> None:  # noqa: PLR0912 - one branch per part
    """Set defaults of a pod spec; `runs` for a pod's own, not a template's."""
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1  # as Kubernetes treats a negative one
    set_missing(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        if isinstance(container, dict):
            _container(container, runs=runs)
    for volume in spec.get("volumes") or ():
        if isinstance(volume.get("hostPath"), dict):
            set_missing(volume["hostPath"], type="")
        for item in (volume.get("downwardAPI") or {}).get("items") or ():
            _reference(item)
        for source in ("secret", "configMap", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                set_missing(volume[source], defaultMode=420)
        for entry in (volume.get("projected") or {}).get("sources") or ():
            for item in (entry.get("downwardAPI") or {}).get("items") or ():
                _reference(item)
            if "serviceAccountToken" in entry:
                set_missing(entry["serviceAccountToken"], expirationSeconds=3600)
    for constraint in spec.get("topologySpreadConstraints") or ():
        set_missing(constraint, whenUnsatisfiable="DoNotSchedule")


def _container(container: Json, *, runs: bool) -> None:
    image = str(container.get("image", ""))
    if image != image.strip():
        image = "unparsable:tag"  # Kubernetes takes its tag for a fixed one
    tag = image.rsplit("/", 1)[-1]
    latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
    set_missing(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    resources = container["resources"]
    if runs and resources.get("limits"):
        requests = resources.setdefault("requests", {})
        for name, value in resources["limits"].items():
            requests.setdefault(name, value)
    for port in container.get("ports") or ():
        set_missing(port, protocol="TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(probe), dict):
            set_missing(
                container[probe],
                timeoutSeconds=1,
                periodSeconds=10,
                successThreshold=1,
                failureThreshold=3,
            )
            if "grpc" in container[probe]:
                set_missing(container[probe]["grpc"], service="")
            if "httpGet" in container[probe]:
                set_missing(container[probe]["httpGet"], path="/", scheme="HTTP")
    for handler in (container.get("lifecycle") or {}).values():
        if isinstance(handler, dict) and "httpGet" in handler:
            set_missing(handler["httpGet"], path="/", scheme="HTTP")
    for entry in container.get("env") or ():
        _reference(entry.get("valueFrom") or {})


def _reference(source: Json) -> None:
    if "fieldRef" in source:
        set_missing(source["fieldRef"], apiVersion="v1")
    if "resourceFieldRef" in source:
        set_missing(source["resourceFieldRef"], divisor="0")
