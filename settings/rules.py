"""What sections say about each other: settings that are sound alone and wrong together."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial, reduce
from ipaddress import IPv4Network
from typing import Any

from settings.errors import Path, Problem, remove_command, set_command
from settings.partial import UnsoundError
from settings.sections import Aws, Cluster, Database, Network, Observability, Pipeline, Workload
from settings.vocabulary import KUBE_PROXIES, KUBERNETES_SUPPORT

EVERYONE = "0.0.0.0/0"
# The plan of components/network: a quarter per zone for pods, a sixteenth per zone for load balancers.
WIDEST_VPC, NARROWEST_VPC = 16, 20
# What EKS takes for Services (https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html).
WIDEST_SERVICES, NARROWEST_SERVICES = 12, 24
# Without NAT, nodes join and pull images through these alone
# (https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html).
NEEDED_WITHOUT_NAT = ("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "logs", "secretsmanager", "sts")

# Variables that the program gives to the service itself, beside DATABASE_…
GIVEN_TO_THE_SERVICE = ("APP_COMMIT", "APP_ENVIRONMENT", "APP_IMAGE_DIGEST", "APP_VERSION", "AWS_REGION", "POD_NAME")
# Lists whose entries each make something, or mean something, once.
LISTS = (
    *("aws.account_ids", "network.interface_endpoints", "network.neighbours", "cluster.endpoint.allowed_cidrs"),
    *("cluster.nodes.instance_types", "workload.exposure.allowed_cidrs", "workload.secrets", "pipeline.source.tags"),
    "observability.contacts",
)

Finding = tuple[Path, str, Path | None, Any]
"""Where, what is wrong, and which key to set to which value instead (None: remove the first)."""


def contradictions(sections: Mapping[str, Any], project: str, stack: str, today: date) -> Iterator[Problem]:
    """Run every rule as far as what it reads is sound. A rule names the sections it needs by its parameters."""
    known = {**sections, "project": project, "stack": stack, "today": today}
    rules: list[Callable[[], Iterator[Finding]]] = [partial(repeated, sections, name.split(".")) for name in LISTS]
    for rule in RULES:
        names = inspect.signature(rule).parameters
        if known.keys() >= names.keys():
            rules.append(partial(rule, **{name: known[name] for name in names}))
    for findings in rules:
        with suppress(UnsoundError):  # a rule ends where it would need what is wrong already
            for path, wrong, mended, value in findings():
                command = (
                    remove_command(project, stack, path)
                    if mended is None
                    else set_command(project, stack, mended, value)
                )
                yield Problem(path=path, wrong=wrong, mends=(command,))


def repeated(sections: Mapping[str, Any], path: Sequence[str]) -> Iterator[Finding]:
    """A list names each entry once: AWS refuses the second, or it would be made twice under one name."""
    if path[0] not in sections:
        return
    entries = reduce(getattr, path[1:], sections[path[0]])
    for position, entry in enumerate(entries):
        if entry in entries[:position]:
            yield (*path, position), "is in the list already", None, None


def network_size(network: Network) -> Iterator[Finding]:
    """A VPC must hold the plan and be one that AWS makes."""
    prefix = IPv4Network(network.cidr).prefixlen
    if prefix > NARROWEST_VPC:
        wrong = f"/{prefix} is too small for three zones of nodes, pods and load balancers: take /{WIDEST_VPC} to /{NARROWEST_VPC}"
        yield ("network", "cidr"), wrong, ("network", "cidr"), _widened(network.cidr)
    elif prefix < WIDEST_VPC:
        wrong = f"/{prefix} is larger than AWS allows for a VPC: take /{WIDEST_VPC} to /{NARROWEST_VPC}"
        yield (
            ("network", "cidr"),
            wrong,
            ("network", "cidr"),
            f"{IPv4Network(network.cidr).network_address}/{WIDEST_VPC}",
        )


def network_neighbours(network: Network) -> Iterator[Finding]:
    """Networks that meet must not share addresses."""
    for position, neighbour in enumerate(network.neighbours):
        if IPv4Network(neighbour).overlaps(IPv4Network(network.cidr)):
            wrong = f"{network.cidr} overlaps {neighbour}, which network.neighbours[{position}] says it will be connected to"
            yield ("network", "cidr"), wrong, ("network", "cidr"), "10.80.0.0/16"


def service_network(network: Network, cluster: Cluster) -> Iterator[Finding]:
    """Kubernetes Services must not hide addresses of the VPC."""
    services = IPv4Network(cluster.service_cidr)
    where = ("cluster", "service_cidr")
    if services.overlaps(IPv4Network(network.cidr)):
        free = (
            "172.20.0.0/16" if not IPv4Network("172.20.0.0/16").overlaps(IPv4Network(network.cidr)) else "10.100.0.0/16"
        )
        yield where, f"{cluster.service_cidr} overlaps network.cidr, {network.cidr}", where, free
    if not WIDEST_SERVICES <= services.prefixlen <= NARROWEST_SERVICES or not services.is_private:
        wrong = f"must be a private network from /{WIDEST_SERVICES} to /{NARROWEST_SERVICES}"
        yield where, wrong, where, "172.20.0.0/16"


def way_out(network: Network) -> Iterator[Finding]:
    """Without NAT, everything that nodes need must have an endpoint."""
    missing = [name for name in NEEDED_WITHOUT_NAT if name not in network.interface_endpoints]
    if network.nat == "none" and missing:
        wrong = f"nodes without NAT can't join or pull images: interface endpoints are missing for {', '.join(missing)}"
        yield ("network", "nat"), wrong, ("network", "nat"), "single"


def kubernetes_support(cluster: Cluster, today: date) -> Iterator[Finding]:
    """A version must be in standard support today."""
    end = KUBERNETES_SUPPORT[cluster.version]
    if today > end:
        newest = max(KUBERNETES_SUPPORT, key=lambda version: KUBERNETES_SUPPORT[version])
        wrong = f"standard support of Kubernetes {cluster.version} ended on {end.isoformat()}"
        yield ("cluster", "version"), wrong, ("cluster", "version"), newest


def node_release(cluster: Cluster, today: date) -> Iterator[Finding]:
    """Nodes run the Kubernetes of their control plane."""
    release = cluster.nodes.release_version
    if today > KUBERNETES_SUPPORT[cluster.version]:
        return  # the version changes first
    if cluster.compute == "managed" and not release.startswith(f"{cluster.version}."):
        wrong = f"{release} is a machine image for another Kubernetes than {cluster.version}"
        where = ("cluster", "nodes", "release_version")
        yield where, wrong, where, f"{cluster.version}.0-20260901"


def proxy_version(cluster: Cluster, today: date) -> Iterator[Finding]:
    """kube-proxy speaks to one version of Kubernetes; EKS refuses another's when everything else stands."""
    if cluster.compute == "auto" or today > KUBERNETES_SUPPORT[cluster.version]:
        return
    if not cluster.addons.kube_proxy.startswith(f"v{cluster.version}."):
        where = ("cluster", "addons", "kube_proxy")
        wrong = f"{cluster.addons.kube_proxy} is for another Kubernetes than {cluster.version}"
        yield where, wrong, where, KUBE_PROXIES[cluster.version]


def principals(aws: Aws, cluster: Cluster) -> Iterator[Finding]:
    """Entries go by their roles' names, without the account; and the role to assume is of an account that is allowed."""
    for key, arns in (("deployers", cluster.deployers), ("break_glass", cluster.break_glass)):
        named: dict[str, str] = {}
        for position, arn in enumerate(arns):
            name = arn.partition(":role/")[2].replace("/", "-")
            if named.setdefault(name, arn) != arn:
                wrong = f"another role of this list is called {name} in its account, and entries go by that name"
                yield ("cluster", key, position), wrong, None, None
    account = aws.role_arn.split(":")[4] if aws.role_arn else None
    if account and aws.account_ids and account not in aws.account_ids:
        yield (
            ("aws", "role_arn"),
            f"the role is of the account {account}, which aws.account_ids doesn't name",
            ("aws", "account_ids", len(aws.account_ids)),
            account,
        )


def tags(aws: Aws) -> Iterator[Finding]:
    """Two tags are the program's own."""
    for key in ("project", "stack"):
        if key in aws.tags:
            yield ("aws", "tags", key), "is set by the program: everything carries it", None, None


def node_architecture(cluster: Cluster, architecture: str) -> Iterator[Finding]:
    """Nodes must run the image that is built."""
    if cluster.compute == "auto":
        return  # Auto Mode chooses machines by what pods ask for
    for position, kind in enumerate(cluster.nodes.instance_types):
        theirs = "arm64" if _graviton(kind) else "amd64"
        if theirs != architecture:
            wrong = f"{kind} is {theirs}, but platform's architecture, and with it the image, is {architecture}"
            better = "t4g.large" if architecture == "arm64" else "t3.large"
            where = ("cluster", "nodes", "instance_types", position)
            yield where, wrong, where, better


def bounds(cluster: Cluster, workload: Workload) -> Iterator[Finding]:
    """A range has its ends in order."""
    for path, low, high in (
        (("cluster", "nodes"), cluster.nodes.minimum, cluster.nodes.maximum),
        (("workload",), workload.minimum, workload.maximum),
    ):
        if low > high:
            yield (*path, "minimum"), f"{low} is more than the maximum, {high}", (*path, "maximum"), low


def cluster_endpoint(cluster: Cluster) -> Iterator[Finding]:
    """The Kubernetes API is reached by someone, and not by everyone."""
    endpoint, where = cluster.endpoint, ("cluster", "endpoint")
    if endpoint.public and not endpoint.allowed_cidrs:
        wrong = "a public endpoint without named networks answers the whole internet"
        yield (*where, "allowed_cidrs"), wrong, (*where, "allowed_cidrs", 0), "203.0.113.0/24"
    if not endpoint.public and endpoint.way_in is None:
        wrong = "a private endpoint without a way in can't be reached, not even by this program"
        yield (*where, "way_in"), wrong, (*where, "way_in"), "vpc"
    if not endpoint.public and endpoint.allowed_cidrs:
        wrong = "a private endpoint has no public side that networks could be allowed to reach"
        yield (*where, "allowed_cidrs"), wrong, None, None
    if endpoint.public and endpoint.way_in is not None:
        yield (*where, "way_in"), "a public endpoint needs no other way in", None, None


def administrators(aws: Aws, cluster: Cluster) -> Iterator[Finding]:
    """A role has one access entry in a cluster, and its creator has one already."""
    seen = {aws.role_arn}
    for key, roles in (("deployers", cluster.deployers), ("break_glass", cluster.break_glass)):
        for position, role in enumerate(roles):
            if role in seen:
                wrong = (
                    "administers the cluster already, as aws.role_arn or by an earlier line; EKS refuses a second entry"
                )
                yield ("cluster", key, position), wrong, None, None
            seen.add(role)


def open_networks(cluster: Cluster, workload: Workload, lifecycle: str) -> Iterator[Finding]:
    """Named networks are named, not everything."""
    for position, cidr in enumerate(cluster.endpoint.allowed_cidrs):
        if _too_open(cidr):
            path = ("cluster", "endpoint", "allowed_cidrs", position)
            yield (
                path,
                f"{cidr} opens the Kubernetes API to the internet: name the networks that need it",
                path,
                "203.0.113.0/24",
            )
    if lifecycle == "protected" and workload.exposure.certificate_arn is None:
        for position, cidr in enumerate(workload.exposure.allowed_cidrs):
            if _too_open(cidr):
                path = ("workload", "exposure", "allowed_cidrs", position)
                wrong = (
                    f"{cidr} serves the internet in plain HTTP: name networks, or set workload.exposure.certificate_arn"
                )
                yield path, wrong, path, "203.0.113.0/24"


def protected_means_it(network: Network, cluster: Cluster, lifecycle: str) -> Iterator[Finding]:
    """What is protected from deletion isn't left to a single failure."""
    if lifecycle != "protected":
        return
    if network.nat == "single":
        wrong = "one NAT gateway is one zone's failure for all; `protected` asks for more"
        yield ("network", "nat"), wrong, ("network", "nat"), "per-zone"
    if network.zones < 3:
        wrong = f"{network.zones} zones leave no majority when one fails; `protected` asks for 3"
        yield ("network", "zones"), wrong, ("network", "zones"), 3
    if cluster.compute == "managed" and cluster.nodes.capacity == "spot":
        wrong = "spot machines alone can all be taken back at once; `protected` asks for on-demand"
        yield ("cluster", "nodes", "capacity"), wrong, ("cluster", "nodes", "capacity"), "on-demand"


def protected_data(database: Database, lifecycle: str) -> Iterator[Finding]:
    """Protected data has a second copy, and yesterday's."""
    if lifecycle != "protected" or not database.enabled:
        return
    if not database.multi_az:
        yield ("database", "multi_az"), "`protected` asks for a standby in another zone", ("database", "multi_az"), True
    if database.backup_days < 7:
        wrong = f"{database.backup_days} days of backups; `protected` asks for 7 or more"
        yield ("database", "backup_days"), wrong, ("database", "backup_days"), 14


def schema(database: Database, workload: Workload) -> Iterator[Finding]:
    """A migration needs something to migrate."""
    if workload.migration and not database.enabled:
        wrong = "there is no database to migrate: database.enabled is false"
        yield ("workload", "migration"), wrong, None, None


def variables(database: Database, workload: Workload) -> Iterator[Finding]:
    """A variable has one value."""
    for key in workload.environment:
        if key in GIVEN_TO_THE_SERVICE or (database.enabled and key.startswith("DATABASE_")):
            yield ("workload", "environment", key), "is set by the program", None, None
    for position, key in enumerate(workload.secrets):
        path = ("workload", "secrets", position)
        if key in GIVEN_TO_THE_SERVICE or (database.enabled and key.startswith("DATABASE_")):
            yield path, f"{key} is set by the program", None, None
        elif key in workload.environment:
            yield path, f"{key} has a value in workload.environment as well", None, None


def exposure(aws: Aws, workload: Workload) -> Iterator[Finding]:
    """A way in needs callers, and an Ingress its controller and name; TLS needs something that ends it under a name."""
    how, where = workload.exposure, ("workload", "exposure")
    if how.certificate_arn is not None:
        region = how.certificate_arn.split(":")[3]
        path = (*where, "certificate_arn")
        if how.kind == "internal":
            yield path, "nothing ends TLS for a service inside the cluster only", None, None
        elif region != aws.region:
            wrong = f"the certificate is of {region}; a load balancer in {aws.region} can't use it"
            yield path, wrong, path, f"arn:aws:acm:{aws.region}:123456789012:certificate/ID"
        elif how.host is None:
            wrong = "is missing: a certificate is for a DNS name"
            yield (*where, "host"), wrong, (*where, "host"), "guestbook.example.com"
    if how.ingress_class is not None and how.kind != "ingress":
        yield (*where, "ingress_class"), f"means nothing for a service of the kind {how.kind}", None, None
    if how.kind == "ingress" and how.ingress_class is None:
        wrong = "an Ingress needs the class of a controller that runs in the cluster"
        yield (*where, "ingress_class"), wrong, (*where, "ingress_class"), "alb"
    if how.kind == "ingress" and how.host is None:
        yield (*where, "host"), "an Ingress needs a DNS name", (*where, "host"), "guestbook.example.com"
    if how.kind != "internal" and not how.allowed_cidrs:
        wrong = "nobody may call: name the networks, or 0.0.0.0/0 for everyone"
        yield (*where, "allowed_cidrs"), wrong, (*where, "allowed_cidrs", 0), "203.0.113.0/24"


def pipeline_source(pipeline: Pipeline) -> Iterator[Finding]:
    """A source says all that its kind needs, and nothing else."""
    source, where = pipeline.source, ("pipeline", "source")
    if source.kind == "github":
        if source.repository is None:
            yield (
                (*where, "repository"),
                "is missing: GitHub needs owner/name",
                (*where, "repository"),
                "example/platform",
            )
        if bool(source.branch) == bool(source.tags):
            wrong = "a branch or tags start a release: set one of them, and not both"
            yield (*where, "branch"), wrong, None if source.tags else (*where, "branch"), "main"
    else:
        for key in ("repository", "branch", "connection_arn", "tags"):
            if getattr(source, key):
                yield (*where, key), "means nothing for a source in S3", None, None


def promotion(pipeline: Pipeline, project: str, stack: str) -> Iterator[Finding]:
    """What is promoted comes from elsewhere."""
    if pipeline.promote_from == f"{project}-{stack}/image":
        wrong = "is this environment's own repository, in which nothing would be built any more"
        yield ("pipeline", "promote_from"), wrong, None, None


def approval(pipeline: Pipeline, observability: Observability) -> Iterator[Finding]:
    """Someone hears of an approval, and a bake can go back."""
    if pipeline.approval and not observability.contacts:
        wrong = "an approval that nobody is told about waits for ever: name contacts"
        yield ("pipeline", "approval"), wrong, ("observability", "contacts", 0), "team@example.com"
    if pipeline.bake_minutes and not pipeline.rollback:
        wrong = "a bake that fails has nothing to go back to without rollback"
        yield ("pipeline", "bake_minutes"), wrong, ("pipeline", "rollback"), True


RULES: tuple[Callable[..., Iterator[Finding]], ...] = (
    network_size,
    network_neighbours,
    service_network,
    way_out,
    kubernetes_support,
    node_release,
    proxy_version,
    principals,
    tags,
    node_architecture,
    bounds,
    cluster_endpoint,
    administrators,
    open_networks,
    protected_means_it,
    protected_data,
    schema,
    variables,
    exposure,
    pipeline_source,
    promotion,
    approval,
)


def _widened(cidr: str) -> str:
    return str(IPv4Network(cidr).supernet(new_prefix=WIDEST_VPC))


def _too_open(cidr: str) -> bool:
    """Anything as wide as a /8 is "the internet", however it is split."""
    return IPv4Network(cidr).prefixlen < 8


def _graviton(instance_type: str) -> bool:
    """AWS marks Graviton with a `g` behind the generation (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html)."""
    options = re.fullmatch(r"[a-z]+\d+([a-z]*).*", instance_type)
    return instance_type.startswith("a1.") or (options is not None and "g" in options[1])
