"""Runs the cross-field rules as far as the fields that they read are valid."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import partial, reduce
from typing import Any

from settings.cross_field import infrastructure, service
from settings.cross_field.conflict import Conflict
from settings.errors import Problem, remove_command, set_command
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
    infrastructure.duplicate_admins,
    infrastructure.public_api,
    infrastructure.public_api_networks,
    service.plain_http,
    infrastructure.protected_infrastructure,
    service.protected_data,
    service.migration_without_database,
    service.reserved_variables,
    service.certificate,
    service.ingress,
    service.callers,
    service.pipeline_source,
    service.promotion,
    service.approval,
)


def conflicts(
    sections: Mapping[str, Any], project: str, stack: str, today: date
) -> Iterator[Problem]:
    """Run every rule. The parameters of a rule name the sections that it reads."""
    values = {**sections, "project": project, "stack": stack, "today": today}
    rules: list[Callable[[], Iterator[Conflict]]] = [
        partial(_duplicates, sections, name.split(".")) for name in UNIQUE_LISTS
    ]
    for rule in RULES:
        names = inspect.signature(rule).parameters
        if values.keys() >= names.keys():
            rules.append(partial(rule, **{name: values[name] for name in names}))
    for bound_rule in rules:
        with suppress(InvalidFieldError):  # reported already
            for conflict in bound_rule():
                fix = (
                    remove_command(project, stack, conflict.path)
                    if conflict.value is None
                    else set_command(
                        project, stack, conflict.fix_path or conflict.path, conflict.value
                    )
                )
                yield Problem(path=conflict.path, message=conflict.message, fixes=(fix,))


def _duplicates(sections: Mapping[str, Any], path: Sequence[str]) -> Iterator[Conflict]:
    if path[0] not in sections:
        return
    entries = reduce(getattr, path[1:], sections[path[0]])
    for position, entry in enumerate(entries):
        if entry in entries[:position]:
            yield Conflict((*path, position), "is a duplicate of an earlier entry")
