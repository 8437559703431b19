"""Cross-field validation of the sections of a stack file."""

from settings.cross_field.further_services import sections_of_service
from settings.cross_field.rules import conflicts

__all__ = ["conflicts", "sections_of_service"]
