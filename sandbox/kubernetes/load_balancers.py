"""Load balancers of Services and Ingresses, created in the account as AWS's controllers do.

Each is an ELBv2 with a security group, target groups and listeners in the subnets with the role
tags, tagged with the cluster. It belongs to the account: deleting the cluster first leaves it
behind and blocks the deletion of the VPC, as on AWS. The addresses of ready pods are registered as
targets, and deregistered when a pod is no longer ready.

Names, tags and messages: https://kubernetes-sigs.github.io/aws-load-balancer-controller/
(deploy/subnet_discovery, guide/service/annotations, guide/ingress/annotations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes import elastic_listeners
from sandbox.kubernetes.ports import LoadBalancerError, LoadBalancerSpec

_ROLE_TAGS = {
    "internet-facing": "kubernetes.io/role/elb",
    "internal": "kubernetes.io/role/internal-elb",
}
_PREFIXES = {
    "application": "alb.ingress.kubernetes.io/",
    "network": "service.beta.kubernetes.io/aws-load-balancer-",
}


class ElasticLoadBalancers:
    """Implements `LoadBalancers`; `endpoint` returns the account's URL, "" before its start."""

    def __init__(self, endpoint: Callable[[], str]) -> None:
        self._endpoint = endpoint

    def ensure(self, spec: LoadBalancerSpec) -> str:
        """Create the load balancer or update its sources and ports; return its DNS name.

        Scheme and subnets of an existing load balancer stay.
        """
        with _translate_errors():
            elb = self._client("elbv2", spec.cluster_arn)
            balancer = _find(elb, spec)
            if balancer is None:
                balancer = self._create(elb, spec)
            else:
                _security_group(self._client("ec2", spec.cluster_arn), balancer["VpcId"], spec)
            elastic_listeners.apply(elb, spec, balancer, _name(spec)[:25], _tags(spec))
            return str(balancer["DNSName"])

    def remove(self, spec: LoadBalancerSpec) -> None:
        """Delete the load balancer, its target groups and its security group."""
        with _translate_errors():
            elb, ec2 = (
                self._client("elbv2", spec.cluster_arn),
                self._client("ec2", spec.cluster_arn),
            )
            balancer = _find(elb, spec)
            if balancer is not None:
                elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
            for group in elb.describe_target_groups()["TargetGroups"]:
                if group["TargetGroupName"].startswith(_name(spec)[:25]):
                    elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
            filters = [{"Name": "group-name", "Values": [_name(spec)]}, *_tag_filters(spec)]
            for group in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]:
                ec2.delete_security_group(GroupId=group["GroupId"])

    def certificate_names(self, cluster_arn: str, certificate: str) -> tuple[str, ...]:
        """Return the names of a certificate in ACM; none for a server certificate of IAM."""
        if ":acm:" not in certificate:
            return ()
        with _translate_errors():
            acm = self._client("acm", cluster_arn)
            described = acm.describe_certificate(CertificateArn=certificate)["Certificate"]
            names = (described["DomainName"], *described.get("SubjectAlternativeNames", ()))
            return tuple(dict.fromkeys(names))

    def _client(self, service: str, cluster_arn: str) -> Any:
        endpoint = self._endpoint()
        if not endpoint:
            raise LoadBalancerError("the account has not started yet")
        # The emulated account accepts credentials that it did not issue.
        session: Any = boto3.Session(
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - no secret
            region_name=cluster_arn.split(":")[3],
        )
        return session.client(
            service,
            endpoint_url=endpoint,
            config=Config(connect_timeout=30, read_timeout=60, retries={"max_attempts": 1}),
        )

    def _create(self, elb: Any, spec: LoadBalancerSpec) -> dict[str, Any]:
        cluster = self._client("eks", spec.cluster_arn).describe_cluster(name=spec.cluster)[
            "cluster"
        ]
        vpc = cluster["resourcesVpcConfig"]["vpcId"]
        ec2 = self._client("ec2", spec.cluster_arn)
        subnets = _subnets(ec2, vpc, spec)
        group = _security_group(ec2, vpc, spec)
        balancer: dict[str, Any] = elb.create_load_balancer(
            Name=_name(spec),
            Subnets=subnets,
            SecurityGroups=[group],
            Scheme=spec.scheme,
            Type=spec.type,
            Tags=_tags(spec),
        )["LoadBalancers"][0]
        return balancer


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LoadBalancerError(str(error)) from None


def _name(spec: LoadBalancerSpec) -> str:
    digest = sha256(f"{spec.cluster_arn}{spec.uid}".encode()).hexdigest()[:10]
    parts = ["".join(c for c in text if c.isalnum())[:8] for text in (spec.namespace, spec.name)]
    return f"k8s-{parts[0]}-{parts[1]}-{digest}"


def _tag_map(spec: LoadBalancerSpec) -> dict[str, str]:
    kind = "service" if spec.kind == "Service" else "ingress"
    return {
        "elbv2.k8s.aws/cluster": spec.cluster,
        "eks:eks-cluster-name": spec.cluster,
        f"{kind}.k8s.aws/stack": f"{spec.namespace}/{spec.name}",
    }


def _tags(spec: LoadBalancerSpec) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in _tag_map(spec).items()]


def _tag_filters(spec: LoadBalancerSpec) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in _tag_map(spec).items()]


def _find(elb: Any, spec: LoadBalancerSpec) -> dict[str, Any] | None:
    try:
        balancers: list[dict[str, Any]] = elb.describe_load_balancers(Names=[_name(spec)])[
            "LoadBalancers"
        ]
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:
            return None
        raise
    return balancers[0] if balancers else None


def _subnets(ec2: Any, vpc: str, spec: LoadBalancerSpec) -> list[str]:
    """Select subnets as the controller does: by annotation, or one per zone by role tag."""
    named = spec.annotations.get(f"{_PREFIXES[spec.type]}subnets", "")
    if named:
        return [item.strip() for item in named.split(",")]
    tag = _ROLE_TAGS[spec.scheme]
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": f"tag:{tag}", "Values": ["1", ""]}]
    subnets = ec2.describe_subnets(Filters=filters)["Subnets"]
    by_zone = {
        item["AvailabilityZone"]: item["SubnetId"]
        for item in sorted(subnets, key=lambda s: str(s["SubnetId"]), reverse=True)
    }
    if len(by_zone) < (2 if spec.type == "application" else 1):
        least = "two subnets in different zones" if spec.type == "application" else "one subnet"
        raise LoadBalancerError(
            f"unable to resolve at least {least} ({len(subnets)} match VPC and tags: [{tag}]): "
            "tag the cluster's "
            f"{'public' if spec.scheme == 'internet-facing' else 'private'} subnets with {tag}=1"
        )
    return [by_zone[zone] for zone in sorted(by_zone)]


def _security_group(ec2: Any, vpc: str, spec: LoadBalancerSpec) -> str:
    """Create the group if needed, and make its rules match the required sources and ports."""
    filters = [{"Name": "group-name", "Values": [_name(spec)]}, {"Name": "vpc-id", "Values": [vpc]}]
    groups = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    tags = [{"ResourceType": "security-group", "Tags": _tags(spec)}]
    description = "[k8s] Managed SecurityGroup for LoadBalancer"
    [group] = groups or [
        ec2.create_security_group(
            GroupName=_name(spec), Description=description, VpcId=vpc, TagSpecifications=tags
        )
    ]
    group_id = str(group["GroupId"])
    prefix = _PREFIXES[spec.type]
    sources = (
        spec.annotations.get(f"{prefix}inbound-cidrs")
        or spec.annotations.get(f"{prefix}source-ranges")
        or "0.0.0.0/0"
    )
    cidrs = [item.strip() for item in spec.source_ranges or sources.split(",")]
    allowed = {(port, cidr) for port in spec.ports for cidr in cidrs}
    present = {
        (permission["FromPort"], item["CidrIp"])
        for permission in group.get("IpPermissions") or ()
        for item in permission["IpRanges"]
    }
    if allowed - present:
        ec2.authorize_security_group_ingress(
            GroupId=group_id, IpPermissions=_permissions(allowed - present)
        )
    if present - allowed:
        ec2.revoke_security_group_ingress(
            GroupId=group_id, IpPermissions=_permissions(present - allowed)
        )
    return group_id


def _permissions(pairs: set[tuple[int, str]]) -> list[dict[str, Any]]:
    return [
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}
        for port, cidr in sorted(pairs)
    ]
