"""VPC with public and private subnets, NAT, endpoints and flow logs."""

from components.network.args import NetworkArgs
from components.network.component import Network

__all__ = ["Network", "NetworkArgs"]
