"""What each service adds to moto; importing a module registers its rules."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.account.core.dispatch import Emulator


def load() -> None:
    """Import every service module, so that its rules are registered."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)


def reconcile(emulator: Emulator) -> None:
    """After a replay: tell the cluster host which clusters and nodes there are."""
    from sandbox.account.services.eks import (
        clusters,
        node_groups,
    )

    facts = clusters.all_facts(emulator)
    emulator.clusters.reconcile(facts)
    for arn, group, nodes in node_groups.all_nodes(emulator):
        emulator.clusters.set_nodes(arn, group, nodes)
