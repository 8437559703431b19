"""Deployment, HorizontalPodAutoscaler and PodDisruptionBudget of the service."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.workload import quantities
from components.workload.args import Architecture, WorkloadSettings

MIGRATION = "migrate"
"""Init container of the migration."""
USER_ID = 10001  # numeric, so that Kubernetes can verify `runAsNonRoot` without the image
RELEASE_ANNOTATION = "release.platform"
"""Prefix of the pod annotations that the pipeline sets: digest, version, commit."""
PRE_STOP_SECONDS = 5  # the service closes connections at SIGTERM; load balancers lag behind
TERMINATION_SECONDS = 45  # the preStop hook, then the requests in progress

# /tmp and the container's logs, which the kubelet rotates at five files of 10 MiB.
EPHEMERAL_STORAGE = {"request": "64Mi", "limit": "256Mi"}

RESTRICTED: dict[str, Any] = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}


def deployment(
    name: str,
    settings: WorkloadSettings,
    *,
    image: pulumi.Input[str],
    architecture: Architecture,
    environment: Mapping[str, pulumi.Input[str]],
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    service_account: pulumi.Input[str],
    secret: k8s.core.v1.Secret | None,
    opts: pulumi.ResourceOptions,
) -> k8s.apps.v1.Deployment:
    """Create the Deployment; Pulumi sets its image once, later the pipeline does.

    See docs/decisions/0001-the-pipeline-owns-the-image.md.
    """
    container = _container(name, settings, image, environment, secret)
    init_containers = []
    if settings.migration:
        init_containers = [
            {**container, "name": MIGRATION, "command": list(settings.migration)},
        ]
    owned_by_pipeline = [
        "spec.template.metadata.annotations",
        "spec.template.spec.containers[0].image",
        *(["spec.template.spec.initContainers[0].image"] if init_containers else []),
    ]
    service = {
        **container,
        "ports": [{"name": "http", "container_port": settings.port}],
        "lifecycle": {"pre_stop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        **_probes(),
    }
    annotations = {f"{RELEASE_ANNOTATION}/digest": image}
    spec: Any = {
        "selector": {"match_labels": labels},
        "strategy": {
            "type": "RollingUpdate",
            "rolling_update": {"max_unavailable": 0, "max_surge": 1},
        },
        "progress_deadline_seconds": 300,
        "revision_history_limit": 10,
        "template": {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {
                "node_selector": {"kubernetes.io/arch": architecture},
                "service_account_name": service_account,
                "automount_service_account_token": False,
                "enable_service_links": False,
                "termination_grace_period_seconds": TERMINATION_SECONDS,
                "security_context": {
                    "run_as_non_root": True,
                    "run_as_user": USER_ID,
                    "run_as_group": USER_ID,
                    "fs_group": USER_ID,
                    "seccomp_profile": {"type": "RuntimeDefault"},
                },
                "topology_spread_constraints": [
                    {
                        "max_skew": 1,
                        "topology_key": key,
                        "when_unsatisfiable": "ScheduleAnyway",
                        "label_selector": {"match_labels": labels},
                        # Each release is spread by itself, without pods that terminate.
                        "match_label_keys": ["pod-template-hash"],
                    }
                    for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                ],
                **({"init_containers": init_containers} if init_containers else {}),
                "containers": [service],
                "volumes": [{"name": "tmp", "empty_dir": {"size_limit": "64Mi"}}],
            },
        },
    }
    if settings.minimum == settings.maximum:
        spec["replicas"] = settings.minimum  # otherwise the autoscaler owns them
    return k8s.apps.v1.Deployment(
        name,
        metadata={"name": name, "namespace": namespace, "labels": labels},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(ignore_changes=owned_by_pipeline)
        ),
    )


def autoscaler(
    name: str,
    settings: WorkloadSettings,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Scale the Deployment on CPU between minimum and maximum."""
    target: Any = {"type": "Utilization", "average_utilization": settings.cpu_target_percent}
    k8s.autoscaling.v2.HorizontalPodAutoscaler(
        name,
        metadata={"name": name, "namespace": namespace},
        spec={
            "scale_target_ref": {"api_version": "apps/v1", "kind": "Deployment", "name": name},
            "min_replicas": settings.minimum,
            "max_replicas": settings.maximum,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
        opts=opts,
    )


def disruption_budget(
    name: str,
    labels: Mapping[str, str],
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Allow one pod to be evicted at a time."""
    k8s.policy.v1.PodDisruptionBudget(
        name,
        metadata={"name": name, "namespace": namespace},
        spec={
            "max_unavailable": 1,
            "selector": {"match_labels": labels},
            # A pod that is not ready serves no requests and must not block a node's drain.
            "unhealthy_pod_eviction_policy": "AlwaysAllow",
        },
        opts=opts,
    )


def _container(
    name: str,
    settings: WorkloadSettings,
    image: pulumi.Input[str],
    environment: Mapping[str, pulumi.Input[str]],
    secret: k8s.core.v1.Secret | None,
) -> dict[str, Any]:
    annotation = f"metadata.annotations['{RELEASE_ANNOTATION}/"
    field_paths = {
        "POD_NAME": "metadata.name",
        "APP_IMAGE_DIGEST": f"{annotation}digest']",
        "APP_VERSION": f"{annotation}version']",
        "APP_COMMIT": f"{annotation}commit']",
    }
    # Without it, the service ignores the scheme and the client's address that an ALB forwards.
    proxies = {"APP_TRUSTED_PROXIES": "1"} if settings.exposure.kind == "ingress" else {}
    variables: list[dict[str, Any]] = [
        {"name": "APP_PORT", "value": str(settings.port)},
        *({"name": key, "value": value} for key, value in {**proxies, **environment}.items()),
        *(
            {"name": key, "value_from": {"field_ref": {"field_path": field_path}}}
            for key, field_path in field_paths.items()
        ),
    ]
    memory = quantities.memory(settings.memory_mib)
    return {
        "name": name,
        "image": image,
        "env": variables,
        # The API server drops an empty list, which a refresh would report.
        **({"env_from": [{"secret_ref": {"name": secret.metadata.name}}]} if secret else {}),
        "resources": {
            "requests": {
                "cpu": quantities.cpu(settings.cpu_millicores),
                "memory": memory,
                "ephemeral-storage": EPHEMERAL_STORAGE["request"],
            },
            "limits": {"memory": memory, "ephemeral-storage": EPHEMERAL_STORAGE["limit"]},
        },
        "security_context": RESTRICTED,
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - the pod's volume
    }


def _probes() -> dict[str, Any]:
    """Startup, liveness (without dependencies) and readiness (with the database).

    The liveness probe fails slowly: a restart fixes a hung process and harms a busy one.
    """

    def probe(path: str, **timing: int) -> dict[str, Any]:
        return {"http_get": {"path": path, "port": "http"}, **timing}

    return {
        "startup_probe": probe("/livez", period_seconds=1, failure_threshold=60),
        "liveness_probe": probe(
            "/livez", period_seconds=10, timeout_seconds=5, failure_threshold=6
        ),
        "readiness_probe": probe(
            "/readyz", period_seconds=5, timeout_seconds=3, failure_threshold=2
        ),
    }
