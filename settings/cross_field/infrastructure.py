"""Cross-field rules of account, network and cluster."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from ipaddress import IPv4Network, collapse_addresses

from components.aws.vpc_limits import MAX_PREFIX, MIN_PREFIX
from settings.cross_field.conflict import Conflict
from settings.errors import Path
from settings.sections import Aws, Cluster, Network
from settings.types import KUBERNETES_SUPPORT

# Networks of Services that EKS accepts
# (https://docs.aws.amazon.com/eks/latest/APIReference/API_KubernetesNetworkConfigRequest.html).
MIN_SERVICE_PREFIX, MAX_SERVICE_PREFIX = 12, 24
DEFAULT_SERVICE_CIDR, OTHER_SERVICE_CIDR = "172.20.0.0/16", "10.100.0.0/16"
EXAMPLE_CIDR = "203.0.113.0/24"
MIN_NAMED_PREFIX = 8  # a wider network counts as the internet
MAX_NAMED_ADDRESSES = 2 ** (32 - MIN_NAMED_PREFIX)
# https://docs.aws.amazon.com/eks/latest/userguide/config-cluster-endpoint.html
MAX_PUBLIC_CIDRS = 40
# Endpoints through which nodes without NAT join and pull images
# (https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html).
ENDPOINTS_WITHOUT_NAT = (
    *("ec2", "ecr.api", "ecr.dkr", "eks", "eks-auth", "logs", "secretsmanager", "sts"),
)
RESERVED_TAGS = ("project", "stack")
ROLE_LISTS = ("deployers", "viewers", "break_glass")


def is_too_open(cidr: str) -> bool:
    """Whether a network is so wide that it does not name a caller."""
    return IPv4Network(cidr).prefixlen < MIN_NAMED_PREFIX


def are_too_open(cidrs: Sequence[str]) -> bool:
    """Whether networks together are as wide as one that does not name a caller."""
    networks = collapse_addresses(map(IPv4Network, cidrs))
    addresses = sum(network.num_addresses for network in networks)
    is_single = any(is_too_open(cidr) for cidr in cidrs)
    return addresses > MAX_NAMED_ADDRESSES and not is_single


def vpc_size(network: Network) -> Iterator[Conflict]:
    """The VPC must hold the subnet plan and have a size that AWS allows."""
    path, cidr = ("network", "cidr"), IPv4Network(network.cidr)
    sizes = f"use /{MIN_PREFIX} to /{MAX_PREFIX}"
    if cidr.prefixlen > MAX_PREFIX:
        yield Conflict(
            path,
            f"/{cidr.prefixlen} is too small for three zones of nodes, pods and load balancers: "
            f"{sizes}",
            str(cidr.supernet(new_prefix=MIN_PREFIX)),
        )
    elif cidr.prefixlen < MIN_PREFIX:
        yield Conflict(
            path,
            f"/{cidr.prefixlen} is larger than AWS allows for a VPC: {sizes}",
            f"{cidr.network_address}/{MIN_PREFIX}",
        )


def neighbour_networks(network: Network) -> Iterator[Conflict]:
    """Connected networks must not overlap."""
    for position, neighbour in enumerate(network.neighbours):
        if IPv4Network(neighbour).overlaps(IPv4Network(network.cidr)):
            yield Conflict(
                ("network", "cidr"),
                f"{network.cidr} overlaps {neighbour}, a network that network.neighbours"
                f"[{position}] connects to it",
                "10.80.0.0/16",
            )


def service_network(network: Network, cluster: Cluster) -> Iterator[Conflict]:
    """Kubernetes Services must have a network of their own that EKS accepts."""
    services, vpc = IPv4Network(cluster.service_cidr), IPv4Network(network.cidr)
    path: Path = ("cluster", "service_cidr")
    if services.overlaps(vpc):
        default_is_free = not IPv4Network(DEFAULT_SERVICE_CIDR).overlaps(vpc)
        yield Conflict(
            path,
            f"{cluster.service_cidr} overlaps network.cidr, {network.cidr}",
            DEFAULT_SERVICE_CIDR if default_is_free else OTHER_SERVICE_CIDR,
        )
    if not MIN_SERVICE_PREFIX <= services.prefixlen <= MAX_SERVICE_PREFIX:
        yield Conflict(
            path,
            f"must be a network from /{MIN_SERVICE_PREFIX} to /{MAX_SERVICE_PREFIX}",
            DEFAULT_SERVICE_CIDR,
        )


def endpoints_without_nat(network: Network) -> Iterator[Conflict]:
    """Without NAT, every service that nodes use needs an interface endpoint."""
    missing = [name for name in ENDPOINTS_WITHOUT_NAT if name not in network.interface_endpoints]
    if network.nat == "none" and missing:
        yield Conflict(
            ("network", "nat"),
            "nodes without NAT cannot join or pull images: interface endpoints are missing for "
            f"{', '.join(missing)}",
            "single",
        )


def kubernetes_support(cluster: Cluster, today: date) -> Iterator[Conflict]:
    """The Kubernetes version must be in standard support."""
    end = KUBERNETES_SUPPORT[cluster.version]
    if _is_unsupported(cluster, today):
        newest = max(KUBERNETES_SUPPORT, key=lambda version: KUBERNETES_SUPPORT[version])
        yield Conflict(
            ("cluster", "version"),
            f"standard support of Kubernetes {cluster.version} ended on {end.isoformat()}",
            newest,
        )


def node_release(cluster: Cluster, today: date) -> Iterator[Conflict]:
    """Nodes must run the Kubernetes version of the control plane."""
    release = cluster.nodes.release_version
    if release is None or cluster.compute == "auto" or _is_unsupported(cluster, today):
        return
    if not release.startswith(f"{cluster.version}."):
        yield Conflict(
            ("cluster", "nodes", "release_version"),
            f"{release} is an AMI release for another Kubernetes version than {cluster.version}",
        )


def kube_proxy_version(cluster: Cluster, today: date) -> Iterator[Conflict]:
    """EKS refuses kube-proxy of another Kubernetes version after the cluster exists."""
    version = cluster.addons.kube_proxy
    if version is None or cluster.compute == "auto" or _is_unsupported(cluster, today):
        return
    if not version.startswith(f"v{cluster.version}."):
        yield Conflict(
            ("cluster", "addons", "kube_proxy"),
            f"{version} is for another Kubernetes version than {cluster.version}",
        )


def _is_unsupported(cluster: Cluster, today: date) -> bool:
    """Whether the Kubernetes version must be changed first."""
    return today > KUBERNETES_SUPPORT[cluster.version]


def role_names(cluster: Cluster) -> Iterator[Conflict]:
    """Access entries are named after their roles, without the account."""
    arns_by_name: dict[tuple[bool, str], str] = {}
    for key in ROLE_LISTS:
        for position, arn in enumerate(getattr(cluster, key)):
            name = arn.partition(":role/")[2].replace("/", "-")
            if arns_by_name.setdefault((key == "break_glass", name), arn) != arn:
                yield Conflict(
                    ("cluster", key, position),
                    f"another account's role is also called {name}, "
                    "and access entries are named after it",
                )


def duplicate_roles(aws: Aws, cluster: Cluster) -> Iterator[Conflict]:
    """A role has at most one access entry, and the cluster's creator has one."""
    roles = {aws.role_arn}
    for key in ROLE_LISTS:
        for position, role in enumerate(getattr(cluster, key)):
            if role in roles:
                yield Conflict(
                    ("cluster", key, position),
                    "has an access entry already, as aws.role_arn or by an earlier key; "
                    "EKS refuses a second access entry",
                )
            roles.add(role)


def allowed_accounts(aws: Aws) -> Iterator[Conflict]:
    """The assumed role must belong to an allowed account."""
    account_id = aws.role_arn.split(":")[4] if aws.role_arn else None
    if account_id and aws.account_ids and account_id not in aws.account_ids:
        yield Conflict(
            ("aws", "role_arn"),
            f"the role belongs to account {account_id}, which aws.account_ids does not contain",
            account_id,
            ("aws", "account_ids", len(aws.account_ids)),
        )


def reserved_tags(aws: Aws) -> Iterator[Conflict]:
    """The program sets some tags itself."""
    for key in RESERVED_TAGS:
        if key in aws.tags:
            yield Conflict(("aws", "tags", key), "is set by the program on every resource")


def node_architecture(cluster: Cluster, architecture: str) -> Iterator[Conflict]:
    """Managed nodes must run the image's architecture; Auto Mode selects machines itself."""
    if cluster.compute == "auto":
        return
    for position, instance_type in enumerate(cluster.nodes.instance_types):
        node_architecture = "arm64" if _is_graviton(instance_type) else "amd64"
        if node_architecture != architecture:
            yield Conflict(
                ("cluster", "nodes", "instance_types", position),
                f"{instance_type} is {node_architecture}, but platform:architecture, "
                f"and with it the image, is {architecture}",
                "t4g.large" if architecture == "arm64" else "t3.large",
            )


def node_bounds(cluster: Cluster) -> Iterator[Conflict]:
    """The minimum number of nodes must not exceed the maximum."""
    yield from ordered_bounds(("cluster", "nodes"), cluster.nodes.minimum, cluster.nodes.maximum)


def ordered_bounds(path: Path, minimum: int, maximum: int) -> Iterator[Conflict]:
    """A minimum must not exceed its maximum."""
    if minimum > maximum:
        message = f"{minimum} is more than the maximum, {maximum}"
        yield Conflict((*path, "minimum"), message, minimum, (*path, "maximum"))


def cluster_endpoint(cluster: Cluster) -> Iterator[Conflict]:
    """The Kubernetes API must be reachable, from named networks only."""
    endpoint = cluster.endpoint
    allowed_cidrs, way_in = (("cluster", "endpoint", key) for key in ("allowed_cidrs", "way_in"))
    if endpoint.public and not endpoint.allowed_cidrs:
        yield Conflict(
            allowed_cidrs,
            "a public endpoint without allowed networks is open to the internet",
            EXAMPLE_CIDR,
            (*allowed_cidrs, 0),
        )
    if not endpoint.public and endpoint.way_in is None:
        yield Conflict(
            way_in,
            "is missing: the program itself must reach a private endpoint",
            "vpc",
        )
    if not endpoint.public and endpoint.allowed_cidrs:
        yield Conflict(allowed_cidrs, "has no effect without a public endpoint")
    if endpoint.public and endpoint.way_in is not None:
        yield Conflict(way_in, "has no effect with a public endpoint")


def public_api(cluster: Cluster) -> Iterator[Conflict]:
    """The Kubernetes API must not be open to the internet."""
    for position, cidr in enumerate(cluster.endpoint.allowed_cidrs):
        if is_too_open(cidr):
            yield Conflict(
                ("cluster", "endpoint", "allowed_cidrs", position),
                f"{cidr} opens the Kubernetes API to the internet: name the networks that need it",
                EXAMPLE_CIDR,
            )


def public_api_networks(cluster: Cluster) -> Iterator[Conflict]:
    """The allowed networks must not cover the internet together, nor exceed EKS's limit."""
    path, cidrs = ("cluster", "endpoint", "allowed_cidrs"), cluster.endpoint.allowed_cidrs
    if are_too_open(cidrs):
        yield Conflict(
            path,
            "together, these networks open the Kubernetes API to more addresses than a "
            f"/{MIN_NAMED_PREFIX}: name the networks that need it",
        )
    if len(cidrs) > MAX_PUBLIC_CIDRS:
        yield Conflict(path, f"EKS accepts at most {MAX_PUBLIC_CIDRS} networks, not {len(cidrs)}")


def protected_infrastructure(
    network: Network, cluster: Cluster, lifecycle: str
) -> Iterator[Conflict]:
    """A protected environment must survive the failure of one zone."""
    if lifecycle != "protected":
        return
    if network.nat == "single":
        yield Conflict(
            ("network", "nat"),
            "one NAT gateway fails with its zone; `protected` requires one per zone",
            "per-zone",
        )
    if network.zones < 3:
        yield Conflict(
            ("network", "zones"),
            f"{network.zones} zones have no majority when one fails; `protected` requires 3",
            3,
        )
    if cluster.compute == "managed" and cluster.nodes.capacity == "spot":
        yield Conflict(
            ("cluster", "nodes", "capacity"),
            "AWS can reclaim all spot nodes at once; `protected` requires on-demand",
            "on-demand",
        )


def _is_graviton(instance_type: str) -> bool:
    """Whether the options after the generation contain `g`.

    https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
    """
    options = re.fullmatch(r"[a-z]+\d+([a-z]*).*", instance_type)
    return instance_type.startswith("a1.") or (options is not None and "g" in options[1])
