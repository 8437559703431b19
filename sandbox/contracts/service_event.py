"""An event that a part of the sandbox emits for EventBridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class ServiceEvent:
    """An event of an AWS service, without the members that EventBridge adds."""

    source: str
    detail_type: str
    region: str
    detail: Mapping[str, Any]
    resources: tuple[str, ...] = field(default=())


Emit: TypeAlias = Callable[[ServiceEvent], None]
"""Queues an event; returns at once, so callers may hold locks."""
