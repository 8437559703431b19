"""The Deployment: pods that may do little, start when they are ready, and leave when they have answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

if TYPE_CHECKING:
    from components.workload import WorkloadArgs

USER_ID = 10001  # numeric, so that Kubernetes can tell it isn't root without reading the image
RELEASE = "release.platform"
"""Prefix of the pod annotations that the pipeline sets with each release: digest, version, commit."""

LOCKED: dict[str, Any] = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "read_only_root_filesystem": True,
}


def deployment(
    name: str,
    args: WorkloadArgs,
    *,
    namespace: pulumi.Input[str],
    service_account: pulumi.Input[str],
    secret: k8s.core.v1.Secret | None,
    opts: pulumi.ResourceOptions,
) -> k8s.apps.v1.Deployment:
    """The Deployment `name`; Pulumi sets its image once and never again (docs/decisions/the-pipeline-owns-the-image.md)."""
    labels = {"app.kubernetes.io/name": name}
    main = _container(name, args, secret)
    migration = [{**main, "name": "migrate", "command": list(args.migration)}] if args.migration else []
    service = {
        **main,
        "ports": [{"name": "http", "container_port": args.port}],
        **_probes(),
    }
    released = [
        "spec.template.metadata.annotations",
        "spec.template.spec.containers[0].image",
        *(["spec.template.spec.initContainers[0].image"] if migration else []),
    ]
    spec: Any = {
        "selector": {"match_labels": labels},
        "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
        "progress_deadline_seconds": 300,
        "revision_history_limit": 10,
        "template": {
            "metadata": {"labels": labels, "annotations": {f"{RELEASE}/digest": args.image}},
            "spec": {
                "node_selector": {"kubernetes.io/arch": args.architecture},
                "service_account_name": service_account,
                "automount_service_account_token": False,
                "enable_service_links": False,
                # Load balancers learn late that a pod is leaving; the service itself goes on answering meanwhile.
                "termination_grace_period_seconds": 45,
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
                        # Each release is spread by itself: pods that are on their way out don't count.
                        "match_label_keys": ["pod-template-hash"],
                    }
                    for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                ],
                **({"init_containers": migration} if migration else {}),
                "containers": [service],
                "volumes": [{"name": "tmp", "empty_dir": {"size_limit": "64Mi"}}],
            },
        },
    }
    if args.minimum == args.maximum:
        spec["replicas"] = args.minimum  # otherwise the autoscaler's, and Pulumi would fight it
    return k8s.apps.v1.Deployment(
        name,
        metadata={"name": name, "namespace": namespace, "labels": labels},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=released)),
    )


def _container(name: str, args: WorkloadArgs, secret: k8s.core.v1.Secret | None) -> dict[str, Any]:
    told = {
        "POD_NAME": "metadata.name",
        "APP_IMAGE_DIGEST": f"metadata.annotations['{RELEASE}/digest']",
        "APP_VERSION": f"metadata.annotations['{RELEASE}/version']",
        "APP_COMMIT": f"metadata.annotations['{RELEASE}/commit']",
    }
    environment: list[dict[str, Any]] = [{"name": key, "value": value} for key, value in args.environment.items()]
    environment += [{"name": key, "value_from": {"field_ref": {"field_path": path}}} for key, path in told.items()]
    return {
        "name": name,
        "image": args.image,
        "env": environment,
        "env_from": [{"secret_ref": {"name": secret.metadata.name}}] if secret else [],
        "resources": {
            "requests": {"cpu": f"{args.cpu_millicores}m", "memory": f"{args.memory_mib}Mi"},
            "limits": {"memory": f"{args.memory_mib}Mi"},
        },
        "security_context": LOCKED,
        "volume_mounts": [{"name": "tmp", "mount_path": "/tmp"}],  # noqa: S108 - a mount of the pod's own
    }


def _probes() -> dict[str, Any]:
    """Three questions. Started? Alive, whatever it depends on? Ready for a request, database included?

    Liveness is slow to judge, because a restart heals a hung process and harms a busy one.
    """
    return {
        "startup_probe": {
            "http_get": {"path": "/livez", "port": "http"},
            "period_seconds": 1,
            "failure_threshold": 60,
        },
        "liveness_probe": {
            "http_get": {"path": "/livez", "port": "http"},
            "period_seconds": 10,
            "timeout_seconds": 5,
            "failure_threshold": 6,
        },
        "readiness_probe": {
            "http_get": {"path": "/readyz", "port": "http"},
            "period_seconds": 5,
            "timeout_seconds": 3,
            "failure_threshold": 2,
        },
    }
