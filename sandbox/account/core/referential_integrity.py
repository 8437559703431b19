"""Referential integrity: what prevents the deletion of an object, and with which error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sandbox.account.core.errors import AwsError

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call

# Returns the objects that still refer to the object to delete.
Referrers = Callable[["RequestContext", "Call"], Iterable[str]]
_TABLE: dict[tuple[str, str], list[tuple[str, str, Referrers]]] = {}


def refuses(
    service: str, operation: str, code: str, message: str
) -> Callable[[Referrers], Referrers]:
    """Refuse an operation with an AWS code while the decorated function returns referrers.

    `message` may use {referrers} (a comma-separated list) and any parameter of the call.
    """

    def add(function: Referrers) -> Referrers:
        _TABLE.setdefault((service, operation), []).append((code, message, function))
        return function

    return add


def check(context: RequestContext, call: Call) -> None:
    """Raise AwsError if another object refers to the one to delete."""
    for code, message, referrers in _TABLE.get((call.service, call.operation), ()):
        references = list(referrers(context, call))
        if references:
            values = {"referrers": ", ".join(references), **call.params}
            raise AwsError(code, message.format_map(values))
