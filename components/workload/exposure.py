"""The way in: inside the cluster only, a network load balancer, or an Ingress; with TLS where a certificate is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as k8s

ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How callers reach the service."""

    kind: Literal["internal", "load-balancer", "ingress"]
    """`internal` stays in the cluster; `ingress` needs a controller for `ingress_class`: the cluster's, or its owner's."""
    allowed_cidrs: Sequence[str] = ()
    """Who may call from outside the VPC."""
    own_cidrs: Sequence[pulumi.Input[str]] = ()
    """Who may call besides, of the platform itself: a release is verified from there."""
    certificate_arn: str | None = None
    """ACM certificate for TLS; None answers in plain HTTP."""
    host: str | None = None
    """DNS name of the service; needed by an Ingress, and by a certificate to be believed."""
    ingress_class: str | None = None
    ingress_controller: str | None = None
    """Controller that the cluster has built in, for which `ingress_class` is made; None if the owner runs one and made it."""
    load_balancer_class: str | None = None
    """Controller that makes the load balancer; None for the one that every EKS cluster has built in."""

    @property
    def callers(self) -> list[pulumi.Input[str]]:
        """Every network outside the VPC that may call."""
        return [*self.allowed_cidrs, *self.own_cidrs]


def expose(
    name: str,
    exposure: Exposure,
    namespace_name: str,
    namespace: pulumi.Input[str],
    selector: Mapping[str, str],
    port: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Make the Service, and the Ingress where asked for; return the URL."""
    secure = exposure.certificate_arn is not None
    scheme, front = ("https", 443) if secure else ("http", 80)
    balanced = exposure.kind == "load-balancer"
    spec: Any = {
        "type": "LoadBalancer" if balanced else "ClusterIP",
        "selector": dict(selector),
        "ports": [{"name": "http", "port": front if balanced else 80, "target_port": port, "protocol": "TCP"}],
    }
    if balanced:
        spec["load_balancer_source_ranges"] = exposure.callers
        if exposure.load_balancer_class:
            spec["load_balancer_class"] = exposure.load_balancer_class
    service = k8s.core.v1.Service(
        name,
        metadata={
            "name": name,
            "namespace": namespace,
            "annotations": _annotations(exposure) if balanced else {},
        },
        spec=spec,
        opts=opts,
    )
    if exposure.kind == "ingress":
        _ingress(
            name, exposure, namespace, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[service]))
        )
    if exposure.host:
        return pulumi.Output.from_input(f"{scheme}://{exposure.host}")
    if balanced:
        return pulumi.Output.concat(scheme, "://", service.status.load_balancer.ingress[0].apply(_address))
    return pulumi.Output.from_input(f"http://{name}.{namespace_name}.svc.cluster.local")


def _annotations(exposure: Exposure) -> dict[str, str]:
    """For the controller built into EKS and for Auto Mode's alike
    (https://kubernetes.io/docs/concepts/services-networking/service/, section on AWS).
    """
    annotations = {f"{ANNOTATION}type": "nlb", f"{ANNOTATION}scheme": "internet-facing"}
    if exposure.certificate_arn:
        annotations |= {
            f"{ANNOTATION}ssl-cert": exposure.certificate_arn,
            f"{ANNOTATION}ssl-ports": "443",
            f"{ANNOTATION}backend-protocol": "tcp",
        }
    return annotations


def _ingress(name: str, exposure: Exposure, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    annotations: dict[str, pulumi.Input[str]] = {
        "alb.ingress.kubernetes.io/scheme": "internet-facing",
        "alb.ingress.kubernetes.io/target-type": "ip",
        "alb.ingress.kubernetes.io/healthcheck-path": "/readyz",
        "alb.ingress.kubernetes.io/inbound-cidrs": pulumi.Output.all(*exposure.callers).apply(",".join),
    }
    if exposure.certificate_arn:
        annotations |= {
            "alb.ingress.kubernetes.io/certificate-arn": exposure.certificate_arn,
            "alb.ingress.kubernetes.io/listen-ports": '[{"HTTP":80},{"HTTPS":443}]',
            "alb.ingress.kubernetes.io/ssl-redirect": "443",
        }
    if exposure.ingress_controller:
        # EKS Auto Mode brings the controller, and no class for it
        # (https://docs.aws.amazon.com/eks/latest/userguide/auto-configure-alb.html).
        ingress_class = k8s.networking.v1.IngressClass(
            name,
            metadata={"name": exposure.ingress_class},
            spec={"controller": exposure.ingress_controller},
            opts=opts,
        )
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[ingress_class]))
    else:
        # The owner can't install a controller before there is a cluster: the first `up` must not wait for it.
        annotations["pulumi.com/skipAwait"] = "true"
    backend: Any = {"service": {"name": name, "port": {"name": "http"}}}
    k8s.networking.v1.Ingress(
        name,
        metadata={"name": name, "namespace": namespace, "annotations": annotations},
        spec={
            "ingress_class_name": exposure.ingress_class,
            "rules": [
                {"host": exposure.host, "http": {"paths": [{"path": "/", "path_type": "Prefix", "backend": backend}]}}
            ],
        },
        opts=opts,
    )


def _address(ingress: Any) -> str:
    """A load balancer has a name on AWS and may have an address elsewhere."""
    return str(ingress.hostname or ingress.ip)
