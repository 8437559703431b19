"""The registry of operations: what services add to moto.

Implementations replace moto's, checks run before an operation, amendments correct its result, and
listers contribute to the inventory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.account.core.context import RequestContext
from sandbox.account.core.wire import Call

T = TypeVar("T")

Implementation = Callable[[RequestContext, Call], dict[str, Any] | None]
Check = Callable[[RequestContext, Call], None]
Amendment = Callable[[RequestContext, Call, dict[str, Any]], None]
Administration = Callable[[RequestContext, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Item:
    """An object of the account; `pending` says why a disappearing one does not count."""

    service: str
    type: str
    id: str
    arn: str = ""
    name: str = ""
    region: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    pending: str = ""


Lister = Callable[[RequestContext], Iterable[Item]]

IMPLEMENTATIONS: dict[tuple[str, str], Implementation] = {}
CHECKS: dict[tuple[str, str], list[Check]] = defaultdict(list)
AMENDMENTS: dict[tuple[str, str], list[Amendment]] = defaultdict(list)
LISTERS: list[Lister] = []
ADMIN: dict[str, Administration] = {}
# Services without moto: an operation that is not implemented here is not emulated.
OWN_SERVICES: set[str] = set()
# Writes that change only what runs behind the account: a replay must not repeat them.
UNJOURNALED: set[tuple[str, str]] = set()


def implements(
    service: str, *operations: str, journaled: bool = True
) -> Callable[[Implementation], Implementation]:
    """Register the implementation of operations, instead of moto's."""

    def register(function: Implementation) -> Implementation:
        for operation in operations:
            IMPLEMENTATIONS[service, operation] = function
            if not journaled:
                UNJOURNALED.add((service, operation))
        return function

    return register


def checks(service: str, *operations: str) -> Callable[[Check], Check]:
    """Register a check that raises AwsError for what AWS refuses."""
    return _register_in(CHECKS, service, operations)


def amends(service: str, *operations: str) -> Callable[[Amendment], Amendment]:
    """Register a correction, in place, of moto's result."""
    return _register_in(AMENDMENTS, service, operations)


def _register_in(
    registry: dict[tuple[str, str], list[T]], service: str, operations: Iterable[str]
) -> Callable[[T], T]:
    def register(function: T) -> T:
        for operation in operations:
            registry[service, operation].append(function)
        return function

    return register


def lists(function: Lister) -> Lister:
    """Register a lister of live objects."""
    LISTERS.append(function)
    return function


def admin(path: str) -> Callable[[Administration], Administration]:
    """Register `POST /_sandbox/<path>`, which is journaled like an AWS request."""

    def register(function: Administration) -> Administration:
        ADMIN[f"/_sandbox/{path}"] = function
        return function

    return register
