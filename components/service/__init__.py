"""Further services of an environment."""

from components.service.args import ServiceArgs, SharedArgs
from components.service.component import (
    FurtherServices,
    Service,
    further_services,
    look_up_service_versions,
)

__all__ = [
    "FurtherServices",
    "Service",
    "ServiceArgs",
    "SharedArgs",
    "further_services",
    "look_up_service_versions",
]
