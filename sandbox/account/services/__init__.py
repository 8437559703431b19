"""AWS services: what each adds to moto. Importing a module registers its operations."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every service module, and the inventory of moto's collections."""
    importlib.import_module("sandbox.account.core.moto_inventory")
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)
