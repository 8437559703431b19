"""What the account adds to moto, as a table: implementations, checks before, amendments after, inventories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.account.core.dispatch import Emulator
    from sandbox.account.core.inventory import Item
    from sandbox.account.core.wire import Call

type_key = tuple[str, str]
Implementation = Callable[["Emulator", "Call"], dict[str, Any] | None]
Check = Callable[["Emulator", "Call"], None]
Amendment = Callable[["Emulator", "Call", dict[str, Any]], None]
Lister = Callable[["Emulator"], "Iterable[Item]"]

IMPLEMENTATIONS: dict[type_key, Implementation] = {}
CHECKS: dict[type_key, list[Check]] = defaultdict(list)
AMENDMENTS: dict[type_key, list[Amendment]] = defaultdict(list)
LISTERS: list[Lister] = []
# Services that live in this package alone: what isn't implemented here is not emulated.
OWN_SERVICES: set[str] = set()


def implements(service: str, *operations: str) -> Callable[[Implementation], Implementation]:
    """Answer these operations here instead of in moto."""

    def add(function: Implementation) -> Implementation:
        for operation in operations:
            IMPLEMENTATIONS[service, operation] = function
        return function

    return add


def checks(service: str, *operations: str) -> Callable[[Check], Check]:
    """Refuse what AWS refuses (by raising AwsError) before anything is changed."""

    def add(function: Check) -> Check:
        for operation in operations:
            CHECKS[service, operation].append(function)
        return function

    return add


def amends(service: str, *operations: str) -> Callable[[Amendment], Amendment]:
    """Correct what moto answered, in place, after it succeeded."""

    def add(function: Amendment) -> Amendment:
        for operation in operations:
            AMENDMENTS[service, operation].append(function)
        return function

    return add


def lists(function: Lister) -> Lister:
    """Contribute live objects to the inventory."""
    LISTERS.append(function)
    return function
