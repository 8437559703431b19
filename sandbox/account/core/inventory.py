"""Everything that lives in the account, asked of the backends themselves and not of their listings."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One object. `pending` says why an object that is on its way out isn't counted as alive (empty: it is alive)."""

    service: str
    type: str
    id: str
    arn: str = ""
    name: str = ""
    region: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    pending: str = ""
