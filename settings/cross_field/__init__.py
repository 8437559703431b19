"""Cross-field validation of the sections of a stack file."""

from settings.cross_field.rules import conflicts

__all__ = ["conflicts"]
