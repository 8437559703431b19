"""Cross-field rules of section `services`: names that do not collide."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from settings.cross_field.conflict import Conflict
from settings.partial_validation import InvalidFieldError
from settings.sections import Service, Workload

SERVICE_SECTIONS = tuple(Service.model_fields)
# Names of the program's components; a service's own components have the service's name.
RESERVED_NAMES = (
    *("cluster", "database", "guestbook", "image", "network", "observability", "pipeline"),
    "aws",
)
COMPONENT_SUFFIXES = ("-database", "-image", "-pipeline")
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
MAX_IDENTIFIER_LENGTH = 63


def sections_of_service(service: Any) -> dict[str, Any]:
    """Return the valid sections of a service by name."""
    sections = {}
    for name in SERVICE_SECTIONS:
        with suppress(InvalidFieldError):
            sections[name] = getattr(service, name)
    return sections


def service_names(services: Mapping[str, Any], project: str, stack: str) -> Iterator[Conflict]:
    """Names of components must be unique, and physical names have a limit."""
    longest = max(map(len, COMPONENT_SUFFIXES))
    for name in services:
        path = ("services", name)
        if name in RESERVED_NAMES:
            yield Conflict(path, "is the name of a component of this program: rename the service")
        elif name.endswith(COMPONENT_SUFFIXES):
            yield Conflict(
                path,
                "ends like the name of a service's component, "
                f"{', '.join(COMPONENT_SUFFIXES)}: rename the service",
            )
        excess = len(f"{project}-{stack}-{name}") + longest - MAX_IDENTIFIER_LENGTH
        if excess > 0:
            yield Conflict(
                path,
                f"is {excess} characters too long: with project, stack and {COMPONENT_SUFFIXES[0]} "
                f"an RDS identifier has at most {MAX_IDENTIFIER_LENGTH}",
            )


def service_updates(services: Mapping[str, Any]) -> Iterator[Conflict]:
    """The pipeline of the stack's first service updates the stack, which has all services."""
    for name, service in services.items():
        with suppress(InvalidFieldError):
            if service.pipeline.infrastructure.enabled:
                yield Conflict(
                    ("services", name, "pipeline", "infrastructure", "enabled"),
                    "is an option of platform:pipeline: one pipeline updates the stack, with all "
                    "services",
                )


def service_namespaces(services: Mapping[str, Any], workload: Workload) -> Iterator[Conflict]:
    """Each service owns its namespace."""
    owners = {workload.namespace: "platform:workload"}
    for name, service in services.items():
        with suppress(InvalidFieldError):
            namespace = service.workload.namespace
            owner = owners.setdefault(namespace, name)
            if owner != name:
                yield Conflict(
                    ("services", name, "workload", "namespace"),
                    f"{namespace} is the namespace of {owner}: a service owns its namespace",
                    f"{name}-{namespace}"[:30].rstrip("-") if name == namespace else name,
                )
