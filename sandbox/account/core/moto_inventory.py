"""The inventory of moto's objects: a table of its collections; unused backends are not created."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict

from sandbox.account.core.operations import Item, lists
from sandbox.account.core.wire import ACCOUNT_ID

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext


def _alive(_: Any, __: Any) -> str | None:
    return ""


@dataclass(frozen=True)
class _Kind:
    """A collection of a backend; `state` returns None to exclude, or why it is pending."""

    service: str
    type: str
    collection: str
    id: str
    name: str = ""
    arn: str = ""
    tags: str = "tags"
    nested: bool = False
    state: Callable[[Any, Any], str | None] = _alive


def _default_group(_: Any, group: Any) -> str | None:
    return None if group.name == "default" else ""


def _main_table(_: Any, table: Any) -> str | None:
    return None if table.main_association_id else ""


def _own_interface(backend: Any, eni: Any) -> str | None:
    """Exclude interfaces of NAT gateways and endpoints, which are deleted with them."""
    owned = {n._eni.id for n in backend.nat_gateways.values()} | {
        eni_id
        for endpoint in backend.vpc_end_points.values()
        for eni_id in endpoint.network_interface_ids
    }
    return None if eni.id in owned else ""


def _default_acl(_: Any, acl: Any) -> str | None:
    return None if acl.default else ""


def _deleted(_: Any, thing: Any) -> str | None:
    return "AWS shows it for about an hour after deletion" if thing.state == "deleted" else ""


def _own_list(_: Any, prefix_list: Any) -> str | None:
    return None if prefix_list.owner_id in {"aws", "AWS"} else ""


def _customer_policy(_: Any, policy: Any) -> str | None:
    return "" if f"::{ACCOUNT_ID}:" in policy.arn else None


def _kms_key(_: Any, key: Any) -> str | None:
    if key.key_manager != "CUSTOMER" or any(name.startswith("alias/aws/") for name in key.aliases):
        return None  # created by AWS for a service
    return (
        f"to be deleted on {key.deletion_date:%Y-%m-%d}"
        if key.key_state == "PendingDeletion"
        else ""
    )


def _default_bus(_: Any, bus: Any) -> str | None:
    return None if bus.name == "default" else ""


def _default_parameters(_: Any, group: Any) -> str | None:
    return None if group.name.startswith("default.") else ""


def _snapshot(_: Any, snapshot: Any) -> str | None:
    """Exclude automated snapshots, which are deleted with their instance."""
    return None if snapshot.snapshot_type == "automated" else ""


def _secret(_: Any, secret: Any) -> str | None:
    if not secret.deleted_date:
        return ""
    return (
        "to be deleted on "
        f"{datetime.datetime.fromtimestamp(secret.deleted_date, datetime.UTC):%Y-%m-%d}"
    )


_KINDS = (
    _Kind("ec2", "vpc", "vpcs", "id"),
    _Kind("ec2", "subnet", "subnets", "id", nested=True),
    _Kind("ec2", "internet-gateway", "internet_gateways", "id"),
    _Kind("ec2", "egress-only-internet-gateway", "egress_only_internet_gateways", "id"),
    _Kind("ec2", "nat-gateway", "nat_gateways", "id", state=_deleted),
    _Kind("ec2", "route-table", "route_tables", "id", state=_main_table),
    _Kind("ec2", "security-group", "groups", "id", "name", nested=True, state=_default_group),
    _Kind("ec2", "elastic-ip", "addresses", "allocation_id", "public_ip"),
    _Kind("ec2", "vpc-endpoint", "vpc_end_points", "id", "service_name", state=_deleted),
    _Kind("ec2", "flow-log", "flow_logs", "id"),
    _Kind("ec2", "launch-template", "launch_templates", "id", "name"),
    _Kind("ec2", "network-interface", "enis", "id", state=_own_interface),
    _Kind("ec2", "network-acl", "network_acls", "id", state=_default_acl),
    _Kind("ec2", "reservation", "reservations", "id"),
    _Kind("ec2", "volume", "volumes", "id"),
    _Kind("ec2", "snapshot", "snapshots", "id"),
    _Kind("ec2", "key-pair", "key_pairs", "id", "name"),
    _Kind("ec2", "vpc-peering-connection", "vpc_pcxs", "id"),
    _Kind(
        "ec2",
        "managed-prefix-list",
        "managed_prefix_lists",
        "id",
        "prefix_list_name",
        state=_own_list,
    ),
    _Kind("ec2", "transit-gateway", "transit_gateways", "id"),
    _Kind("ec2", "vpn-gateway", "vpn_gateways", "id"),
    _Kind("ec2", "customer-gateway", "customer_gateways", "id"),
    _Kind("iam", "role", "roles", "id", "name", "arn"),
    _Kind("iam", "user", "users", "id", "name", "arn"),
    _Kind("iam", "group", "groups", "id", "name", "arn"),
    _Kind("iam", "policy", "managed_policies", "arn", "name", "arn", state=_customer_policy),
    _Kind("iam", "instance-profile", "instance_profiles", "id", "name", "arn"),
    _Kind("iam", "openid-connect-provider", "open_id_providers", "arn", "url", "arn"),
    _Kind("iam", "saml-provider", "saml_providers", "arn", "name", "arn"),
    _Kind("kms", "key", "keys", "id", "description", "arn", state=_kms_key),
    _Kind("s3", "bucket", "buckets", "name", "name", "arn"),
    _Kind("logs", "log-group", "groups", "name", "name", "arn"),
    _Kind("logs", "resource-policy", "resource_policies", "policy_name", "policy_name"),
    _Kind("cloudwatch", "alarm", "alarms", "name", "name", "arn"),
    _Kind("cloudwatch", "dashboard", "dashboards", "name", "name", "arn"),
    _Kind("events", "event-bus", "event_buses", "name", "name", "arn", state=_default_bus),
    _Kind("events", "archive", "archives", "name", "name", "arn"),
    _Kind("sns", "topic", "topics", "arn", "name", "arn", "_tags"),
    _Kind("sns", "subscription", "subscriptions", "arn", "endpoint", "arn"),
    _Kind("sqs", "queue", "queues", "name", "name", "queue_arn"),
    _Kind("ecr", "repository", "repositories", "name", "name", "arn"),
    _Kind(
        "rds",
        "instance",
        "databases",
        "db_instance_identifier",
        "db_instance_identifier",
        "db_instance_arn",
    ),
    _Kind(
        "rds",
        "cluster",
        "clusters",
        "db_cluster_identifier",
        "db_cluster_identifier",
        "db_cluster_arn",
    ),
    _Kind("rds", "subnet-group", "subnet_groups", "name", "name", "arn"),
    _Kind(
        "rds",
        "parameter-group",
        "db_parameter_groups",
        "name",
        "name",
        "arn",
        state=_default_parameters,
    ),
    _Kind(
        "rds",
        "snapshot",
        "database_snapshots",
        "db_snapshot_identifier",
        "db_snapshot_identifier",
        "db_snapshot_arn",
        state=_snapshot,
    ),
    _Kind(
        "rds",
        "event-subscription",
        "event_subscriptions",
        "subscription_name",
        "subscription_name",
        "arn",
    ),
    _Kind("secretsmanager", "secret", "secrets", "arn", "name", "arn", state=_secret),
    _Kind("acm", "certificate", "_certificates", "arn", "common_name", "arn"),
    _Kind("elbv2", "load-balancer", "load_balancers", "arn", "name", "arn"),
    _Kind("elbv2", "target-group", "target_groups", "arn", "name", "arn"),
    _Kind("route53", "hosted-zone", "zones", "id", "name"),
    _Kind("wafv2", "web-acl", "wacls", "arn", "name", "arn"),
    _Kind("wafv2", "ip-set", "ip_sets", "arn", "name", "arn"),
    _Kind("autoscaling", "auto-scaling-group", "autoscaling_groups", "name", "name", "arn"),
)


def _members(collection: Any, *, nested: bool) -> Iterable[Any]:
    if nested:
        return [thing for inner in collection.values() for thing in inner.values()]
    return (
        list(collection.values())
        if isinstance(collection, Mapping) or hasattr(collection, "values")
        else list(collection)
    )


def _tags(backend: Any, thing: Any, kind: _Kind) -> dict[str, str]:
    tags = (
        backend.tags.get(getattr(thing, kind.id), {})
        if kind.service == "ec2"
        else getattr(thing, kind.tags, None)
    )
    if isinstance(tags, Mapping):
        return {
            str(key): str(value.get("Value", "") if isinstance(value, Mapping) else value)
            for key, value in tags.items()
        }
    pairs = tags if isinstance(tags, list) else []
    return {
        str(pair["Key"]): str(pair["Value"])
        for pair in pairs
        if isinstance(pair, Mapping) and "Key" in pair
    }


def _item(backend: Any, thing: Any, kind: _Kind, region: str) -> Item | None:
    reason = kind.state(backend, thing)
    if reason is None:
        return None
    identifier = str(getattr(thing, kind.id))
    name = str(getattr(thing, kind.name, "") or "") if kind.name else ""
    arn = str(getattr(thing, kind.arn, "") or "") if kind.arn else ""
    if kind.service == "ec2":
        arn = f"arn:aws:ec2:{region}:{ACCOUNT_ID}:{kind.type}/{identifier}"
    shown = "" if region == "aws" else region
    return Item(
        kind.service, kind.type, identifier, arn, name, shown, _tags(backend, thing, kind), reason
    )


@lists
def inventory(context: RequestContext) -> Iterable[Item]:  # noqa: ARG001
    """Yield the objects of every backend in use."""
    registry: Any = BackendDict
    for backends in registry._instances:
        for region, backend in backends.get(ACCOUNT_ID, {}).items():
            for kind in _KINDS:
                if kind.service == backends.service_name:
                    for thing in _members(getattr(backend, kind.collection), nested=kind.nested):
                        item = _item(backend, thing, kind, region)
                        if item is not None:
                            yield item
            yield from _inner(backends.service_name, backend, region)


def _inner(service: str, backend: Any, region: str) -> Iterable[Item]:
    """Yield nested objects, such as aliases, rules and parameters."""
    if service == "kms":
        for key in backend.keys.values():
            for alias in key.aliases.values():
                if not alias.alias_name.startswith("alias/aws/"):
                    yield Item(
                        "kms", "alias", alias.alias_name, alias.alias_arn, alias.alias_name, region
                    )
    if service == "events":
        for bus in backend.event_buses.values():
            for rule in bus.rules.values():
                yield Item("events", "rule", rule.name, rule.arn, rule.name, region)
    if service == "ssm":
        for name, versions in dict.items(backend._parameters):
            if versions and not name.startswith("/aws/"):
                yield Item("ssm", "parameter", name, "", name, region)
