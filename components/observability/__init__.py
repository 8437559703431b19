"""Alarms, notifications, dashboard and budget."""

from components.observability.args import ObservabilityArgs
from components.observability.component import Observability

__all__ = ["Observability", "ObservabilityArgs"]
