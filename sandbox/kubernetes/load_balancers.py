"""Load balancers for Services and Ingresses, made in the emulated account as AWS's controllers make them.

An ELBv2 with its security group, target groups and listeners, in the subnets that carry the role tags, tagged with the
cluster. They live in the account, not in the cluster: whoever deletes the cluster first leaves them behind, and then
can't delete the VPC, exactly as on AWS. Targets aren't registered, since no pod here listens.

Names, tags and messages after https://kubernetes-sigs.github.io/aws-load-balancer-controller/ (deploy/subnet_discovery,
guide/service/annotations, guide/ingress/annotations).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes.ports import LoadBalancerError, LoadBalancerFacts

_ROLE_TAGS = {"internet-facing": "kubernetes.io/role/elb", "internal": "kubernetes.io/role/internal-elb"}
_CERTIFICATES = {
    "application": "alb.ingress.kubernetes.io/certificate-arn",
    "network": "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
}
_PREFIXES = {"application": "alb.ingress.kubernetes.io/", "network": "service.beta.kubernetes.io/aws-load-balancer-"}


class ElasticLoadBalancers:
    """Implements `LoadBalancers` with boto3; `endpoint` returns the account's URL (None: boto3's own choice)."""

    def __init__(self, endpoint: Callable[[], str | None]) -> None:
        self._endpoint = endpoint

    def ensure(self, wanted: LoadBalancerFacts) -> str:
        """Return the DNS name of the load balancer; made, with all that belongs to it, if it isn't there.

        One that is there gets the callers and ports that are wanted now; its scheme and subnets stay what they were.
        """
        with _explained():
            elb = self._client("elbv2", wanted)
            found = _existing(elb, wanted)
            if found is None:
                found = self._create(elb, wanted)
            else:
                _security_group(self._client("ec2", wanted), found["VpcId"], wanted)
            self._listen(elb, wanted, found)
            return str(found["DNSName"])

    def remove(self, wanted: LoadBalancerFacts) -> None:
        """Delete the load balancer, its target groups and its security group."""
        with _explained():
            elb, ec2 = self._client("elbv2", wanted), self._client("ec2", wanted)
            found = _existing(elb, wanted)
            if found is not None:
                elb.delete_load_balancer(LoadBalancerArn=found["LoadBalancerArn"])
            for group in elb.describe_target_groups()["TargetGroups"]:
                if group["TargetGroupName"].startswith(_name(wanted)[:25]):
                    elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
            filters = [{"Name": "group-name", "Values": [_name(wanted)]}, *_tag_filters(wanted)]
            for group in ec2.describe_security_groups(Filters=filters)["SecurityGroups"]:
                ec2.delete_security_group(GroupId=group["GroupId"])

    def _client(self, service: str, wanted: LoadBalancerFacts) -> Any:
        # The emulated account takes any credentials that it didn't issue itself.
        session: Any = boto3.Session(
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - no secret
            region_name=wanted.cluster_arn.split(":")[3],
        )
        return session.client(
            service,
            endpoint_url=self._endpoint(),
            config=Config(connect_timeout=30, read_timeout=60, retries={"max_attempts": 1}),
        )

    def _create(self, elb: Any, wanted: LoadBalancerFacts) -> dict[str, Any]:
        cluster = self._client("eks", wanted).describe_cluster(name=wanted.cluster)["cluster"]
        vpc = cluster["resourcesVpcConfig"]["vpcId"]
        ec2 = self._client("ec2", wanted)
        subnets = _subnets(ec2, vpc, wanted)
        group = _security_group(ec2, vpc, wanted)
        made: dict[str, Any] = elb.create_load_balancer(
            Name=_name(wanted),
            Subnets=subnets,
            SecurityGroups=[group],
            Scheme=wanted.scheme,
            Type=wanted.type,
            Tags=_tags(wanted),
        )["LoadBalancers"][0]
        return made

    def _listen(self, elb: Any, wanted: LoadBalancerFacts, balancer: dict[str, Any]) -> None:
        arn = balancer["LoadBalancerArn"]
        present = {item["Port"] for item in elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]}
        groups = {
            item["TargetGroupName"]: item["TargetGroupArn"] for item in elb.describe_target_groups()["TargetGroups"]
        }
        certificate = wanted.annotations.get(_CERTIFICATES[wanted.type], "").split(",")[0]
        for port in wanted.ports:
            if port in present:
                continue
            protocol = {"application": "HTTP", "network": "TCP"}[wanted.type]
            secure = {"application": "HTTPS", "network": "TLS"}[wanted.type] if port == 443 and certificate else ""
            if wanted.type == "application" and port == 443 and not certificate:
                raise LoadBalancerError(
                    f"no certificate found for host of {wanted.kind.lower()} {wanted.name}: set {_CERTIFICATES['application']}"
                )
            name = f"{_name(wanted)[:25]}-{port}"
            # An earlier try may have come this far and no further.
            target = groups.get(name) or elb.create_target_group(
                Name=name, Protocol=protocol, Port=port, VpcId=balancer["VpcId"], TargetType="ip", Tags=_tags(wanted)
            )["TargetGroups"][0]["TargetGroupArn"]  # fmt: skip
            extra = {"Certificates": [{"CertificateArn": certificate}]} if secure else {}
            action = {"Type": "forward", "TargetGroupArn": target}
            elb.create_listener(
                LoadBalancerArn=arn, Protocol=secure or protocol, Port=port, DefaultActions=[action], **extra
            )


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise LoadBalancerError(str(error)) from None


def _name(wanted: LoadBalancerFacts) -> str:
    digest = sha256(f"{wanted.cluster_arn}{wanted.uid}".encode()).hexdigest()[:10]
    parts = ["".join(c for c in text if c.isalnum())[:8] for text in (wanted.namespace, wanted.name)]
    return f"k8s-{parts[0]}-{parts[1]}-{digest}"


def _tag_map(wanted: LoadBalancerFacts) -> dict[str, str]:
    kind = "service" if wanted.kind == "Service" else "ingress"
    return {
        "elbv2.k8s.aws/cluster": wanted.cluster,
        "eks:eks-cluster-name": wanted.cluster,
        f"{kind}.k8s.aws/stack": f"{wanted.namespace}/{wanted.name}",
    }


def _tags(wanted: LoadBalancerFacts) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in _tag_map(wanted).items()]


def _tag_filters(wanted: LoadBalancerFacts) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in _tag_map(wanted).items()]


def _existing(elb: Any, wanted: LoadBalancerFacts) -> dict[str, Any] | None:
    try:
        found: list[dict[str, Any]] = elb.describe_load_balancers(Names=[_name(wanted)])["LoadBalancers"]
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:
            return None
        raise
    return found[0] if found else None


def _subnets(ec2: Any, vpc: str, wanted: LoadBalancerFacts) -> list[str]:
    """Find subnets as the controller does: named by annotation, or by role tag, one per zone."""
    named = wanted.annotations.get(f"{_PREFIXES[wanted.type]}subnets", "")
    if named:
        return [item.strip() for item in named.split(",")]
    tag = _ROLE_TAGS[wanted.scheme]
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": f"tag:{tag}", "Values": ["1", ""]}]
    found = ec2.describe_subnets(Filters=filters)["Subnets"]
    by_zone = {
        item["AvailabilityZone"]: item["SubnetId"]
        for item in sorted(found, key=lambda s: str(s["SubnetId"]), reverse=True)
    }
    if len(by_zone) < (2 if wanted.type == "application" else 1):
        least = "two subnets in different zones" if wanted.type == "application" else "one subnet"
        raise LoadBalancerError(
            f"unable to resolve at least {least} ({len(found)} match VPC and tags: [{tag}]): tag the cluster's "
            f"{'public' if wanted.scheme == 'internet-facing' else 'private'} subnets with {tag}=1"
        )
    return [by_zone[zone] for zone in sorted(by_zone)]


def _security_group(ec2: Any, vpc: str, wanted: LoadBalancerFacts) -> str:
    """Find or make the group, and let in exactly who is to be let in now."""
    filters = [{"Name": "group-name", "Values": [_name(wanted)]}, {"Name": "vpc-id", "Values": [vpc]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    tags = [{"ResourceType": "security-group", "Tags": _tags(wanted)}]
    description = "[k8s] Managed SecurityGroup for LoadBalancer"
    made = found or [
        ec2.create_security_group(GroupName=_name(wanted), Description=description, VpcId=vpc, TagSpecifications=tags)
    ]
    group = str(made[0]["GroupId"])
    prefix = _PREFIXES[wanted.type]
    sources = (
        wanted.annotations.get(f"{prefix}inbound-cidrs")
        or wanted.annotations.get(f"{prefix}source-ranges")
        or "0.0.0.0/0"
    )
    cidrs = [item.strip() for item in wanted.source_ranges or sources.split(",")]
    allowed = {(port, cidr) for port in wanted.ports for cidr in cidrs}
    present = {
        (permission["FromPort"], item["CidrIp"])
        for permission in made[0].get("IpPermissions") or ()
        for item in permission["IpRanges"]
    }
    if allowed - present:
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=_permissions(allowed - present))
    if present - allowed:
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=_permissions(present - allowed))
    return group


def _permissions(pairs: set[tuple[int, str]]) -> list[dict[str, Any]]:
    return [
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}
        for port, cidr in sorted(pairs)
    ]
