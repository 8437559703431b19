"""Availability zones that EKS cannot place a control plane in.

Zones: docs.aws.amazon.com/eks/latest/userguide/network-reqs.html. Message:
docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html, "Insufficient capacity".
"""

from __future__ import annotations

from collections.abc import Iterable

from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

from sandbox.account.core.errors import AwsError

_UNSUPPORTED = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})


def check_zones(cluster: str, region: str, names: Iterable[str]) -> None:
    """Raise UnsupportedAvailabilityZoneException for a zone without EKS."""
    zones = RegionsAndZonesBackend.zones.get(region, [])
    valid = [zone.name for zone in zones if zone.zone_id not in _UNSUPPORTED]
    for name in names:
        if zones and name not in valid:
            raise AwsError(
                "UnsupportedAvailabilityZoneException",
                f"Cannot create cluster '{cluster}' because {name}, the targeted availability "
                "zone, does not currently have sufficient capacity to support the cluster. Retry "
                f"and choose from these availability zones: {', '.join(valid)}",
                clusterName=cluster,
                validZones=valid,
            )
