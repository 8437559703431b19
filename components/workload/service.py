"""Service, with a network load balancer or behind an Ingress."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.workload.args import ExposureSettings
from components.workload.ingress import TLS_POLICY, ingress

ANNOTATION = "service.beta.kubernetes.io/aws-load-balancer-"


def expose(
    name: str,
    exposure: ExposureSettings,
    *,
    caller_cidrs: Sequence[pulumi.Input[str]],
    load_balancer_class: str | None,
    ingress_controller: str | None,
    namespace_name: str,
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    port: int,
    opts: pulumi.ResourceOptions,
) -> pulumi.Output[str]:
    """Create the Service and, for the kind `ingress`, the Ingress; return the URL."""
    scheme, load_balancer_port = ("https", 443) if exposure.certificate_arn else ("http", 80)
    has_load_balancer = exposure.kind == "load-balancer"
    front_port = load_balancer_port if has_load_balancer else 80
    spec: Any = {
        "type": "LoadBalancer" if has_load_balancer else "ClusterIP",
        "selector": dict(labels),
        "ports": [{"name": "http", "port": front_port, "target_port": port, "protocol": "TCP"}],
    }
    if has_load_balancer:
        spec["load_balancer_source_ranges"] = list(caller_cidrs)
        if load_balancer_class:
            spec["load_balancer_class"] = load_balancer_class
    annotations = _annotations(exposure.certificate_arn) if has_load_balancer else {}
    service = k8s.core.v1.Service(
        name,
        metadata={"name": name, "namespace": namespace, "annotations": annotations},
        spec=spec,
        opts=opts,
    )
    if exposure.kind == "ingress":
        ingress(
            name,
            exposure,
            caller_cidrs=caller_cidrs,
            controller=ingress_controller,
            namespace=namespace,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[service])),
        )
    if exposure.host:
        return pulumi.Output.from_input(f"{scheme}://{exposure.host}")
    if has_load_balancer:
        address = service.status.load_balancer.ingress[0].apply(_address)
        return pulumi.Output.concat(scheme, "://", address)
    return pulumi.Output.from_input(f"http://{name}.{namespace_name}.svc.cluster.local")


def _annotations(certificate_arn: str | None) -> dict[str, str]:
    """Annotations for the controller built into EKS and for Auto Mode's.

    https://kubernetes.io/docs/concepts/services-networking/service/, section on AWS
    """
    annotations = {f"{ANNOTATION}type": "nlb", f"{ANNOTATION}scheme": "internet-facing"}
    if certificate_arn:
        annotations |= {
            f"{ANNOTATION}ssl-cert": certificate_arn,
            f"{ANNOTATION}ssl-ports": "443",
            f"{ANNOTATION}ssl-negotiation-policy": TLS_POLICY,
            f"{ANNOTATION}backend-protocol": "tcp",
        }
    return annotations


def _address(load_balancer: Any) -> str:
    """Host name of the load balancer; outside AWS it may have an IP address only."""
    return str(load_balancer.hostname or load_balancer.ip)
