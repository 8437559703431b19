"""Cluster access: authentication modes, access entries and the aws-auth ConfigMap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import yaml

from sandbox.providers.eks.arguments import Arguments, output, plain

API, CONFIG_MAP, BOTH = "API", "CONFIG_MAP", "API_AND_CONFIG_MAP"
ENTRY_KEYS = frozenset(
    {"principalArn", "username", "kubernetesGroups", "accessPolicies", "tags", "type"}
)


def uses_config_map(mode: str | None) -> bool:
    """Whether the mode uses aws-auth (unset means CONFIG_MAP)."""
    return mode in (None, CONFIG_MAP, BOTH)


def uses_entries(mode: str | None) -> bool:
    """Whether the mode uses access entries."""
    return mode in (API, BOTH)


def authentication_mode(arguments: Arguments) -> str | None:
    """Return the authentication mode, validated against the related arguments.

    Raises InputPropertyError as pulumi-eks does (nodejs/eks/cluster/authenticationMode.ts).
    """
    mode: str | None = plain(arguments, "authenticationMode")
    if mode not in (None, API, CONFIG_MAP, BOTH):
        raise pulumi.InputPropertyError(
            "authenticationMode",
            (
                f"Invalid value for authenticationMode: {mode}. Allowed values are: {CONFIG_MAP}, "
                f"{BOTH}, {API}."
            ),
        )
    if not uses_config_map(mode):
        for key in ("roleMappings", "userMappings", "instanceRoles"):
            if arguments.get(key):
                raise pulumi.InputPropertyError(
                    key,
                    (
                        f"The '{key}' property does not support non-empty values when "
                        f"'authenticationMode' is set to '{mode}'."
                    ),
                )
    if not uses_entries(mode):
        setting = f"set to '{mode}'" if mode else "not set"
        if arguments.get("accessEntries"):
            raise pulumi.InputPropertyError(
                "accessEntries",
                (
                    "The 'accessEntries' property is not supported when 'authenticationMode' is "
                    f"{setting}."
                ),
            )
        if (plain(arguments, "autoMode") or {}).get("enabled"):
            raise pulumi.InputPropertyError(
                "autoMode",
                (
                    "Access entries are required when using EKS Auto Mode. Use the authentication "
                    "mode 'API' or 'API_AND_CONFIG_MAP'."
                ),
            )
    return mode


def access_entries(
    component: str,
    cluster: aws.eks.Cluster,
    entries: Mapping[str, Mapping[str, Any]],
    parent: pulumi.Resource,
) -> list[aws.eks.AccessEntry]:
    """Create `COMPONENT-KEY` for each entry and `COMPONENT-KEY-ASSOCIATION` for each policy."""
    created = []
    for key, entry in entries.items():
        for name in entry.keys() - ENTRY_KEYS:
            raise pulumi.InputPropertyError(
                f"accessEntries.{key}.{name}", "not an argument of an access entry"
            )
        resource = aws.eks.AccessEntry(
            f"{component}-{key}",
            cluster_name=cluster.name,
            principal_arn=entry["principalArn"],
            kubernetes_groups=entry.get("kubernetesGroups"),
            tags=entry.get("tags"),
            type=entry.get("type"),
            user_name=entry.get("username"),
            opts=pulumi.ResourceOptions(parent=parent, depends_on=[cluster]),
        )
        for association, policy in (entry.get("accessPolicies") or {}).items():
            policy_output = output(policy)
            aws.eks.AccessPolicyAssociation(
                f"{component}-{key}-{association}",
                cluster_name=cluster.name,
                principal_arn=entry["principalArn"],
                policy_arn=policy_output.apply(lambda p: p["policyArn"]),
                access_scope=policy_output.apply(lambda p: p["accessScope"]),
                opts=pulumi.ResourceOptions(parent=resource, depends_on=[resource]),
            )
        created.append(resource)
    return created


def aws_auth(instance_role_arns: Any, roles: Any, users: Any) -> dict[str, pulumi.Output[str]]:
    """Return the data of the aws-auth ConfigMap: roles and users as YAML."""
    nodes = output(instance_role_arns).apply(
        lambda arns: [
            {
                "roleArn": arn,
                "username": "system:node:{{EC2PrivateDNSName}}",
                "groups": ["system:bootstrappers", "system:nodes"],
            }
            for arn in arns
        ]
    )
    data = {
        "mapRoles": pulumi.Output.all(output(roles or []), nodes).apply(
            lambda both: _mappings([*both[0], *both[1]], "roleArn", "rolearn")
        )
    }
    if users:
        data["mapUsers"] = output(users).apply(
            lambda mappings: _mappings(mappings, "userArn", "userarn")
        )
    return data


class _Dumper(yaml.SafeDumper):
    """Indents lists in maps, as pulumi-eks's YAML library does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base's signature
        super().increase_indent(flow, False)


def _mappings(mappings: Sequence[Mapping[str, Any]], key: str, written: str) -> str:
    rows = [
        {written: m[key], "username": m["username"], "groups": list(m["groups"])} for m in mappings
    ]
    return yaml.dump(rows, Dumper=_Dumper, sort_keys=False, width=10**6) if rows else "[]\n"
