"""Ingress for an application load balancer."""

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.workload.args import ExposureSettings

TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"  # TLS 1.2 and 1.3
ANNOTATION = "alb.ingress.kubernetes.io/"


def ingress(
    name: str,
    exposure: ExposureSettings,
    *,
    caller_cidrs: Sequence[pulumi.Input[str]],
    controller: str | None,
    namespace: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Create the Ingress, and its class where the cluster has the controller built in."""
    annotations: dict[str, pulumi.Input[str]] = {
        f"{ANNOTATION}scheme": "internet-facing",
        f"{ANNOTATION}target-type": "ip",
        f"{ANNOTATION}healthcheck-path": "/readyz",
        f"{ANNOTATION}inbound-cidrs": pulumi.Output.all(*caller_cidrs).apply(",".join),
    }
    if exposure.certificate_arn:
        annotations |= {
            f"{ANNOTATION}certificate-arn": exposure.certificate_arn,
            f"{ANNOTATION}listen-ports": '[{"HTTP":80},{"HTTPS":443}]',
            f"{ANNOTATION}ssl-policy": TLS_POLICY,
            f"{ANNOTATION}ssl-redirect": "443",
        }
    if controller:
        # EKS Auto Mode has the controller, but no class for it
        # (https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html).
        ingress_class = k8s.networking.v1.IngressClass(
            name,
            metadata={"name": exposure.ingress_class},
            spec={"controller": controller},
            opts=opts,
        )
        opts = pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(depends_on=[ingress_class])
        )
    else:
        # The owner installs the controller after the first `up`, which must not wait for it.
        annotations["pulumi.com/skipAwait"] = "true"
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    path: Any = {"path": "/", "path_type": "Prefix", "backend": backend}
    k8s.networking.v1.Ingress(
        name,
        metadata={"name": name, "namespace": namespace, "annotations": annotations},
        spec={
            "ingress_class_name": exposure.ingress_class,
            "rules": [{"host": exposure.host, "http": {"paths": [path]}}],
        },
        opts=opts,
    )
