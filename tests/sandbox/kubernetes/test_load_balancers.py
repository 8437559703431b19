"""Load balancers of the emulated cluster are load balancers of the emulated account."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from kubernetes import client as official

from sandbox.account import Account
from sandbox.contracts.cluster_host import ClusterFacts, Grant
from sandbox.kubernetes.cluster_host import KubernetesClusterHost
from sandbox.kubernetes.load_balancers import ElasticLoadBalancers
from sandbox.kubernetes.ports import ExternalServices
from sandbox.runtime.certificate_authority import CertificateAuthority
from tests.sandbox.kubernetes.conftest import ADMIN, ARN, POLICY, Demo, Principals, node
from tests.sandbox.kubernetes.objects import eventually

typed: Any = official


def test_service_creates_and_deletes_load_balancer_in_tagged_subnets(tmp_path: Path) -> None:
    account = Account(tmp_path / "account", time_scale=0)
    external = ExternalServices(load_balancers=ElasticLoadBalancers(lambda: account.url))
    principals = Principals(
        {ADMIN: [Grant(username=ADMIN, policy_arn=POLICY + "AmazonEKSClusterAdminPolicy")]}
    )
    clusters = KubernetesClusterHost(tmp_path / "kubernetes", principals, external)
    clusters.start()
    url = account.start()
    account.clusters = clusters
    try:
        _serve_and_withdraw(tmp_path, clusters, principals, url)
    finally:
        clusters.stop()
        account.stop()


def _serve_and_withdraw(
    directory: Path, clusters: KubernetesClusterHost, principals: Principals, url: str
) -> None:
    def aws(service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )

    ec2, elb = aws("ec2"), aws("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}"
        )["Subnet"]["SubnetId"]
        for n, zone in enumerate("ab")
    ]
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "eks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws("iam").create_role(RoleName="cluster", AssumeRolePolicyDocument=document)["Role"][
        "Arn"
    ]
    aws("iam").attach_role_policy(
        RoleName="cluster", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"
    )
    created = aws("eks").create_cluster(
        name="demo", version="1.33", roleArn=role, resourcesVpcConfig={"subnetIds": subnets}
    )
    endpoint = clusters.create(
        ClusterFacts(arn=created["cluster"]["arn"], name="demo", region="us-east-1", version="1.33")
    )
    core = typed.CoreV1Api(Demo(clusters, principals, endpoint, directory).api())
    spec = {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}
    core.create_namespaced_service("default", {"metadata": {"name": "web"}, "spec": spec})

    def events() -> str:
        return " ".join(item.message or "" for item in core.list_namespaced_event("default").items)

    eventually(lambda: "match VPC and tags: [kubernetes.io/role/elb]" in events())
    # What a failure half-way left is taken up, not made twice.
    for service, operation in (
        ("ec2", "AuthorizeSecurityGroupIngress"),
        ("elbv2", "CreateListener"),
    ):
        fault = json.dumps(
            {"service": service, "operation": operation, "code": "AccessDenied"}
        ).encode()
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/_sandbox/faults", data=fault, method="POST")
        ).close()
    ec2.create_tags(Resources=subnets, Tags=[{"Key": "kubernetes.io/role/elb", "Value": "1"}])

    def hostname() -> Any:
        status = core.read_namespaced_service("web", "default").status
        entries = status and status.load_balancer and status.load_balancer.ingress
        return entries and entries[0].hostname

    assert eventually(hostname) == elb.describe_load_balancers()["LoadBalancers"][0]["DNSName"]
    (group,) = (
        item
        for item in ec2.describe_security_groups()["SecurityGroups"]
        if item["GroupName"].startswith("k8s-")
    )
    assert [rule["FromPort"] for rule in group["IpPermissions"]] == [80]

    def source_cidrs() -> list[str]:
        (now,) = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
        return sorted(item["CidrIp"] for rule in now["IpPermissions"] for item in rule["IpRanges"])

    # Other callers, who reach the load balancer that is there.
    assert source_cidrs() == ["0.0.0.0/0"]
    ranges = ["198.51.100.0/24", "203.0.113.0/24"]
    core.patch_namespaced_service("web", "default", {"spec": {"loadBalancerSourceRanges": ranges}})
    eventually(lambda: source_cidrs() == ranges)
    core.patch_namespaced_service(
        "web", "default", {"spec": {"loadBalancerSourceRanges": ranges[1:]}}
    )
    eventually(lambda: source_cidrs() == ranges[1:])
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 1
    with pytest.raises(ec2.exceptions.ClientError, match="DependencyViolation"):
        ec2.delete_subnet(SubnetId=subnets[0])
    _follow_endpoints(clusters, created["cluster"]["arn"], core, elb)
    _serve_an_ingress(Demo(clusters, principals, endpoint, directory), elb, aws("acm"))
    core.delete_namespaced_service("web", "default")
    eventually(
        lambda: (
            "web"
            not in {item.metadata.name for item in core.list_namespaced_service("default").items}
        )
    )
    assert elb.describe_load_balancers()["LoadBalancers"] == []
    assert elb.describe_target_groups()["TargetGroups"] == []
    names = {group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    assert not any(name.startswith("k8s-") for name in names)


def _follow_endpoints(
    clusters: KubernetesClusterHost, cluster_arn: str, core: Any, elb: Any
) -> None:
    """Targets are registered while their pod is ready, then drain for the delay of the group."""
    [group] = elb.describe_target_groups()["TargetGroups"]
    arn = group["TargetGroupArn"]
    elb.modify_target_group_attributes(
        TargetGroupArn=arn,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}],
    )

    def health() -> dict[str, str]:
        descriptions = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {item["Target"]["Id"]: item["TargetHealth"]["State"] for item in descriptions}

    assert health() == {}
    clusters.set_nodes(cluster_arn, "workers", [node("node-a")])
    container = {"name": "app", "image": "registry/app:1"}
    metadata = {"name": "web", "labels": {"app": "web"}}
    core.create_namespaced_pod(
        "default", {"metadata": metadata, "spec": {"containers": [container]}}
    )
    eventually(lambda: list(health().values()) == ["healthy"])
    [address] = health()
    assert core.read_namespaced_pod("web", "default").status.pod_ip == address
    core.delete_namespaced_pod("web", "default")
    eventually(lambda: health() == {})


def _serve_an_ingress(demo: Demo, elb: Any, acm: Any) -> None:
    """An Ingress has a rule for each host and path, and HTTP is redirected to HTTPS."""
    names = ["guestbook.example.com", "www.example.com"]
    pem, key = CertificateAuthority(demo.directory / "acm").issue(names[0], names)
    certificate = acm.import_certificate(Certificate=pem, PrivateKey=key)["CertificateArn"]
    balancers = demo.clusters.external.load_balancers
    assert balancers.certificate_names(ARN, certificate) == tuple(names)
    api = demo.api()
    core, networking = typed.CoreV1Api(api), typed.NetworkingV1Api(api)
    name = "aws-load-balancer-controller"  # whose pod is ready at once without a runtime
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "main", "image": "registry/controller:1"}]},
    }
    typed.AppsV1Api(api).create_namespaced_deployment(
        "default",
        {
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    )
    for service in ("api", "pages"):
        spec = {"selector": {"app": service}, "ports": [{"name": "http", "port": 8080}]}
        core.create_namespaced_service("default", {"metadata": {"name": service}, "spec": spec})
    networking.create_ingress_class(
        {"metadata": {"name": "alb"}, "spec": {"controller": "ingress.k8s.aws/alb"}}
    )

    def path(text: str, service: str) -> dict[str, Any]:
        backend = {"service": {"name": service, "port": {"name": "http"}}}
        return {"path": text, "pathType": "Prefix", "backend": backend}

    def rules(*paths: dict[str, Any]) -> dict[str, Any]:
        entry = {"host": "guestbook.example.com", "http": {"paths": list(paths)}}
        return {"spec": {"ingressClassName": "alb", "rules": [entry]}}

    prefix = "alb.ingress.kubernetes.io/"
    annotations = {
        f"{prefix}scheme": "internet-facing",
        f"{prefix}certificate-arn": certificate,
        f"{prefix}listen-ports": '[{"HTTP":80},{"HTTPS":443}]',
        f"{prefix}ssl-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        f"{prefix}ssl-redirect": "443",
    }
    metadata = {"name": "site", "annotations": annotations}
    networking.create_namespaced_ingress(
        "default", {"metadata": metadata, **rules(path("/", "pages"), path("/api", "api"))}
    )

    def listeners() -> dict[int, Any]:
        return {
            item["Port"]: item
            for balancer in elb.describe_load_balancers()["LoadBalancers"]
            if balancer["Type"] == "application"
            for item in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])[
                "Listeners"
            ]
        }

    def conditions() -> list[list[list[str]]]:
        present = elb.describe_rules(ListenerArn=listeners()[443]["ListenerArn"])["Rules"]
        return [
            [
                (item.get("HostHeaderConfig") or item["PathPatternConfig"])["Values"]
                for item in rule["Conditions"]
            ]
            for rule in present
            if not rule["IsDefault"]
        ]

    host = ["guestbook.example.com"]
    eventually(lambda: set(listeners()) == {80, 443})
    eventually(lambda: conditions() == [[host, ["/api", "/api/*"]], [host, ["/*"]]])
    [redirect], [other] = (listeners()[port]["DefaultActions"] for port in (80, 443))
    assert redirect["RedirectConfig"]["Protocol"] == "HTTPS"
    assert other["FixedResponseConfig"]["StatusCode"] == "404"
    assert listeners()[443]["SslPolicy"] == annotations[f"{prefix}ssl-policy"]
    networking.patch_namespaced_ingress("site", "default", rules(path("/", "api")))
    eventually(lambda: conditions() == [[host, ["/*"]]])
    networking.delete_namespaced_ingress("site", "default")
    eventually(lambda: networking.list_namespaced_ingress("default").items == [])
