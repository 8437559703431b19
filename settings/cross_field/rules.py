"""Runs the cross-field rules as far as the fields that they read are valid."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial, reduce
from itertools import chain
from typing import Any

from settings.cross_field import further_services, infrastructure, service, stack_update
from settings.cross_field.conflict import Conflict
from settings.cross_field.further_services import SERVICE_SECTIONS
from settings.errors import Path, Problem, remove_command, set_command
from settings.partial_validation import InvalidFieldError

# Lists whose entries must be unique: each creates a resource, or has a meaning, once.
UNIQUE_LISTS = (
    "aws.account_ids",
    "network.interface_endpoints",
    "network.neighbours",
    "cluster.endpoint.allowed_cidrs",
    "cluster.nodes.instance_types",
    "workload.exposure.allowed_cidrs",
    "workload.secrets",
    "pipeline.source.tags",
    "pipeline.source.paths",
    "observability.contacts",
)
RULES: tuple[Callable[..., Iterator[Conflict]], ...] = (
    infrastructure.vpc_size,
    infrastructure.neighbour_networks,
    infrastructure.service_network,
    infrastructure.endpoints_without_nat,
    infrastructure.kubernetes_support,
    infrastructure.node_release,
    infrastructure.kube_proxy_version,
    infrastructure.role_names,
    infrastructure.allowed_accounts,
    infrastructure.reserved_tags,
    infrastructure.node_architecture,
    infrastructure.node_bounds,
    service.replica_bounds,
    infrastructure.cluster_endpoint,
    infrastructure.duplicate_roles,
    infrastructure.public_api,
    infrastructure.public_api_networks,
    service.plain_http,
    infrastructure.protected_infrastructure,
    service.protected_data,
    service.migration_without_database,
    service.reserved_variables,
    service.engine_of_instance_class,
    service.certificate,
    service.ingress,
    service.callers,
    service.pipeline_source,
    service.pull_request_builds,
    service.promotion,
    service.admission,
    service.deploy_action,
    service.approval,
    stack_update.requirements,
    stack_update.state,
    stack_update.network_access,
    stack_update.triggers,
    further_services.service_names,
    further_services.service_updates,
    further_services.service_namespaces,
)


# Rules of one service, which apply to each of `services` too.
SERVICE_RULES = tuple(rule for rule in RULES if rule.__module__ == service.__name__)


def conflicts(
    sections: Mapping[str, Any], project: str, stack: str, today: date
) -> Iterator[Problem]:
    """Run every rule. The parameters of a rule name the sections that it reads."""
    fixed = {"project": project, "stack": stack, "today": today}
    conflicts = _conflicts(RULES, {**sections, **fixed})
    for name, item in sections.get("services", {}).items():
        own = further_services.sections_of_service(item)
        others = {key: value for key, value in sections.items() if key not in SERVICE_SECTIONS}
        conflicts = chain(
            conflicts,
            _below(("services", name), _conflicts(SERVICE_RULES, {**others, **own, **fixed})),
        )
    for conflict in conflicts:
        fix = (
            remove_command(project, stack, conflict.path)
            if conflict.value is None
            else set_command(project, stack, conflict.fix_path or conflict.path, conflict.value)
        )
        yield Problem(path=conflict.path, message=conflict.message, fixes=(fix,))


def _conflicts(
    rules: Sequence[Callable[..., Iterator[Conflict]]], values: Mapping[str, Any]
) -> Iterator[Conflict]:
    bound: list[Callable[[], Iterator[Conflict]]] = [
        partial(_duplicates, values, name.split("."))
        for name in UNIQUE_LISTS
        if rules is RULES or name.split(".")[0] in SERVICE_SECTIONS
    ]
    for rule in rules:
        names = inspect.signature(rule).parameters
        if values.keys() >= names.keys():
            bound.append(partial(rule, **{name: values[name] for name in names}))
    for bound_rule in bound:
        with suppress(InvalidFieldError):  # reported already
            yield from bound_rule()


def _below(parents: Path, conflicts: Iterator[Conflict]) -> Iterator[Conflict]:
    """Move the paths of a service's sections below the service."""

    def moved(path: Path) -> Path:
        return (*parents, *path) if path[0] in SERVICE_SECTIONS else path

    for conflict in conflicts:
        fix_path = moved(conflict.fix_path) if conflict.fix_path else None
        yield replace(conflict, path=moved(conflict.path), fix_path=fix_path)


def _duplicates(sections: Mapping[str, Any], path: Sequence[str]) -> Iterator[Conflict]:
    if path[0] not in sections:
        return
    entries = reduce(getattr, path[1:], sections[path[0]])
    for position, entry in enumerate(entries):
        if entry in entries[:position]:
            yield Conflict((*path, position), "is a duplicate of an earlier entry")
