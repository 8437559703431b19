"""The address plan: arithmetic alone, three zones reserved whatever the number in use."""

from dataclasses import dataclass
from ipaddress import IPv4Network

ZONES = 3
WIDEST_PREFIX = 16  # the largest VPC that AWS allows
NARROWEST_PREFIX = 20  # leaves a /22 of pods and a /24 of load balancers per zone


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One private and one public range for each of three zones; the last sixteenth stays free."""

    private: tuple[str, str, str]
    public: tuple[str, str, str]
    spare: str


def plan(cidr: str) -> Plan:
    """Divide `cidr`: a quarter per zone for nodes and pods, a sixteenth per zone for load balancers and NAT.

    The plan doesn't know how many zones are in use, so that adding one moves nothing.
    Raises ValueError if `cidr` isn't an IPv4 network from /16 to /20.
    """
    network = IPv4Network(cidr)
    if not WIDEST_PREFIX <= network.prefixlen <= NARROWEST_PREFIX:
        raise ValueError(
            f"{cidr} can't hold three zones of nodes and load balancers: choose a network from /{WIDEST_PREFIX} "
            f"to /{NARROWEST_PREFIX}, for example {network.network_address}/{WIDEST_PREFIX}"
        )
    quarters = list(network.subnets(prefixlen_diff=2))
    sixteenths = [str(part) for part in quarters[3].subnets(prefixlen_diff=2)]
    first, second, third = (str(quarter) for quarter in quarters[:ZONES])
    return Plan(
        private=(first, second, third),
        public=(sixteenths[0], sixteenths[1], sixteenths[2]),
        spare=sixteenths[3],
    )
