"""One violation of a cross-field rule."""

from dataclasses import dataclass
from typing import Any

from settings.errors import Path


@dataclass(frozen=True)
class Conflict:
    """A conflict at `path`; the fix sets `fix_path` to `value`, or removes `path`."""

    path: Path
    message: str
    value: Any = None
    """None removes `path`."""
    fix_path: Path | None = None
    """Key that the fix sets; None for `path` itself."""
