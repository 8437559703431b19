"""What each service adds to moto; importing a module registers its rules."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.account.emulator import Emulator


def load() -> None:
    """Import every service module, so that its rules are registered."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def reconcile(emulator: Emulator) -> None:
    """After a replay: tell the cluster host which clusters and nodes there are."""
    from sandbox.account.services import eks_cluster, eks_nodegroup  # noqa: PLC0415

    facts = eks_cluster.all_facts(emulator)
    emulator.clusters.reconcile(facts)
    for arn, group, nodes in eks_nodegroup.all_nodes(emulator):
        emulator.clusters.set_nodes(arn, group, nodes)
