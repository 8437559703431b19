"""Referential integrity: the table of what keeps a live object from being deleted, and with which error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sandbox.account.core.errors import AwsError

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Returns what still refers to the object that the call wants to delete, in words.
Referrers = Callable[["RequestContext", "Call"], Iterable[str]]
_TABLE: dict[tuple[str, str], list[tuple[str, str, Referrers]]] = {}


def refuses(
    service: str, operation: str, code: str, message: str
) -> Callable[[Referrers], Referrers]:
    """Refuse an operation with an AWS code while the decorated function finds referrers.

    `message` may use {referrers} (a list in words) and any parameter of the call by its name.
    """

    def add(function: Referrers) -> Referrers:
        _TABLE.setdefault((service, operation), []).append((code, message, function))
        return function

    return add


def check(context: RequestContext, call: Call) -> None:
    """Raise AwsError when something alive refers to what the call deletes."""
    for code, message, referrers in _TABLE.get((call.service, call.operation), ()):
        found = list(referrers(context, call))
        if found:
            known = {"referrers": ", ".join(found), **call.params}
            raise AwsError(code, message.format_map(known))
