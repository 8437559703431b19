"""Provisioning times of AWS, with sources, and the schedule of later state changes."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

# Seconds on AWS at time_scale 1. Sources: (a) terraform-provisioning#46, a measured EKS create with
# node groups; (b) learn-terraform-provision-eks-cluster#22; (c) cluster-api-provider-aws#1328 (EIP
# release after NAT delete); (d) the default waiter of the service in botocore's waiters-2.json
# gives an upper bound, half of it is taken; (e) cloud-nuke#339 (EKS node groups take up to ten
# minutes to delete).
SECONDS: dict[tuple[str, str], float] = {
    ("eks", "cluster.create"): 513,  # (a) 8m33s
    ("eks", "cluster.delete"): 240,  # (d)
    ("eks", "cluster.update"): 600,  # (d)
    (
        "eks",
        "cluster.version",
    ): 1500,  # (d); a 2021 user saw over 45 minutes (containers-roadmap#1227)
    ("eks", "nodegroup.create"): 108,  # (a) 1m48s on demand
    ("eks", "nodegroup.update"): 300,  # (d)
    ("eks", "nodegroup.delete"): 300,  # (e)
    ("eks", "addon.create"): 30,  # (a)
    ("eks", "addon.update"): 30,
    ("eks", "addon.delete"): 20,
    ("eks", "fargate.create"): 90,  # (d)
    ("eks", "fargate.delete"): 90,
    ("ec2", "nat.create"): 90,  # (b) still creating at 1m20s
    ("ec2", "nat.delete"): 60,  # (c)
    ("ec2", "endpoint.create"): 40,  # (d)
    ("ec2", "endpoint.delete"): 40,
    (
        "rds",
        "instance.create",
    ): 420,  # (d) 30 min waiter; small PostgreSQL instances take 5 to 10 minutes
    # Three health checks at intervals of 10 s (developer guide of Network Load Balancers).
    ("elbv2", "target.register"): 30,
    ("rds", "instance.modify"): 120,
    ("rds", "instance.delete"): 240,
    ("logs", "late.record"): 30,  # seconds to minutes, according to terraform-aws-eks#2763
}


class Schedule:
    """Actions ordered by time."""

    def __init__(self) -> None:
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def add(self, moment: float, action: Callable[[], None]) -> None:
        """Schedule an action for a time in seconds since the epoch."""
        heapq.heappush(self._due, (moment, next(self._order), action))

    def next_due(self) -> float | None:
        """Return the time of the next action."""
        return self._due[0][0] if self._due else None

    def pop_due(self, now: float) -> tuple[float, int, Callable[[], None]] | None:
        """Remove and return the next action that is due at `now`."""
        return heapq.heappop(self._due) if self._due and self._due[0][0] <= now else None
