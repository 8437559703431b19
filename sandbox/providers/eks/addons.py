"""pulumi-eks's add-ons: kube-proxy, CoreDNS, eks:index:VpcCniAddon, eks:index:Addon."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from sandbox.providers.eks.arguments import Arguments, apply_known, output

OPTIONS = frozenset(
    {
        "enabled",
        "resolveConflictsOnCreate",
        "resolveConflictsOnUpdate",
        "version",
        "configurationValues",
    }
)

# Argument, environment variable of aws-node, default (None: unset). Source: pulumi-eks,
# nodejs/eks/addons/cni-addon.ts, computeEnv. A later row for the same variable wins.
CNI_ENVIRONMENT = (
    ("nodePortSupport", "AWS_VPC_CNI_NODE_PORT_SUPPORT", None),
    ("customNetworkConfig", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", None),
    ("warmEniTarget", "WARM_ENI_TARGET", "1"),
    ("warmIpTarget", "WARM_IP_TARGET", None),
    ("warmPrefixTarget", "WARM_PREFIX_TARGET", None),
    ("enablePrefixDelegation", "ENABLE_PREFIX_DELEGATION", None),
    ("logLevel", "AWS_VPC_K8S_CNI_LOGLEVEL", "DEBUG"),
    ("logFile", "AWS_VPC_K8S_CNI_LOG_FILE", "/host/var/log/aws-routed-eni/ipamd.log"),
    ("vethPrefix", "AWS_VPC_K8S_CNI_VETHPREFIX", "eni"),
    ("eniMtu", "AWS_VPC_ENI_MTU", "9001"),
    ("eniConfigLabelDef", "ENI_CONFIG_LABEL_DEF", None),
    ("pluginLogLevel", "AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "DEBUG"),
    ("pluginLogFile", "AWS_VPC_K8S_PLUGIN_LOG_FILE", "/var/log/aws-routed-eni/plugin.log"),
    ("enablePodEni", "ENABLE_POD_ENI", "false"),
    ("cniConfigureRpfilter", "AWS_VPC_K8S_CNI_CONFIGURE_RPFILTER", None),
    ("cniCustomNetworkCfg", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "false"),
    ("cniExternalSnat", "AWS_VPC_K8S_CNI_EXTERNALSNAT", "false"),
    ("externalSnat", "AWS_VPC_K8S_CNI_EXTERNALSNAT", None),
)
CNI_INIT_ENVIRONMENT = (("disableTcpEarlyDemux", "DISABLE_TCP_EARLY_DEMUX", "false"),)
CNI_ARGUMENTS = (
    frozenset(row[0] for row in (*CNI_ENVIRONMENT, *CNI_INIT_ENVIRONMENT))
    | frozenset(
        [
            "addonVersion",
            "clusterName",
            "clusterVersion",
            "configurationValues",
            "enableNetworkPolicy",
        ]
    )
    | frozenset(
        ["resolveConflictsOnCreate", "resolveConflictsOnUpdate", "serviceAccountRoleArn", "tags"]
    )
)


def plain_addon(
    component: str,
    addon: str,
    cluster: aws.eks.Cluster,
    options: Arguments,
    tags: Any,
    parent: pulumi.Resource,
) -> aws.eks.Addon:
    """Create the add-on `COMPONENT-ADDON`: newest version, OVERWRITE, preserved.

    `options` holds `version`, `resolveConflictsOnCreate`, `resolveConflictsOnUpdate`,
    `configurationValues`.


    """
    for key in options.keys() - OPTIONS:
        raise pulumi.InputPropertyError(f"{addon} options", f"no such option: {key}")
    invoke = pulumi.InvokeOutputOptions(parent=parent)
    version = options.get("version") or (
        aws.eks.get_addon_version_output(
            addon_name=addon, kubernetes_version=cluster.version, most_recent=True, opts=invoke
        ).apply(lambda offered: offered.version)
    )
    return aws.eks.Addon(
        f"{component}-{addon}",
        cluster_name=cluster.name,
        addon_name=addon,
        preserve=True,
        tags=tags,
        resolve_conflicts_on_create=options.get("resolveConflictsOnCreate") or "OVERWRITE",
        resolve_conflicts_on_update=options.get("resolveConflictsOnUpdate") or "OVERWRITE",
        addon_version=version,
        configuration_values=sorted_json(options.get("configurationValues")),
        opts=pulumi.ResourceOptions(parent=parent),
    )


class VpcCniAddon(pulumi.ComponentResource):
    """The vpc-cni add-on with pulumi-eks's options; the child has the component's name."""

    addon: aws.eks.Addon

    def __init__(self, name: str, arguments: Arguments, opts: pulumi.ResourceOptions) -> None:
        super().__init__("eks:index:VpcCniAddon", name, None, opts)
        for key in arguments.keys() - CNI_ARGUMENTS:
            raise pulumi.InputPropertyError(
                key, "not emulated for the vpc-cni add-on by the sandbox"
            )
        if arguments.get("clusterName") is None:
            raise pulumi.InputPropertyError("clusterName", "Missing required option 'clusterName'")
        if arguments.get("cniExternalSnat") and arguments.get("externalSnat"):
            raise pulumi.InputPropertyError(
                "externalSnat",
                "Please specify one of `cniExternalSnat` or `externalSnat` in your VpcCniOptions",
            )
        version = arguments.get("addonVersion")
        if not version:
            if not arguments.get("clusterVersion"):
                raise pulumi.InputPropertyError(
                    "addonVersion",
                    (
                        "You need to specify either `addonVersion` or `clusterVersion` to "
                        "determine the version of the vpc-cni addon to use."
                    ),
                )
            version = aws.eks.get_addon_version_output(
                addon_name="vpc-cni",
                kubernetes_version=arguments["clusterVersion"],
                most_recent=True,
                opts=pulumi.InvokeOutputOptions(parent=self),
            ).apply(lambda offered: offered.version)
        configuration = pulumi.Output.all(
            _environment(CNI_ENVIRONMENT, arguments),
            _environment(CNI_INIT_ENVIRONMENT, arguments),
            output(arguments.get("enableNetworkPolicy")),
            output(arguments.get("configurationValues") or {}),
        ).apply(lambda parts: merge_configuration(*parts))
        self.addon = aws.eks.Addon(
            name,
            cluster_name=arguments["clusterName"],
            addon_version=version,
            addon_name="vpc-cni",
            resolve_conflicts_on_create=arguments.get("resolveConflictsOnCreate") or "OVERWRITE",
            resolve_conflicts_on_update=arguments.get("resolveConflictsOnUpdate") or "OVERWRITE",
            preserve=True,
            configuration_values=sorted_json(configuration),
            service_account_role_arn=arguments.get("serviceAccountRoleArn"),
            tags=arguments.get("tags"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"addon": self.addon})


def merge_configuration(
    env: Mapping[str, str],
    init: Mapping[str, str],
    network_policy: bool | None,
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the add-on's configuration: explicit values override computed ones."""
    merged = dict(own)
    if network_policy is not None:
        merged.setdefault("enableNetworkPolicy", _text(network_policy))
    merged["env"] = (
        {**env, **merged["env"]} if isinstance(merged.get("env"), Mapping) else dict(env)
    )
    initial = merged.get("init")
    if isinstance(initial, Mapping):
        inner = initial.get("env")
        merged["init"] = {
            **initial,
            "env": {**init, **inner} if isinstance(inner, Mapping) else dict(init),
        }
    else:
        merged["init"] = {"env": dict(init)}
    return merged


def sorted_json(values: Any) -> pulumi.Output[str] | None:
    """Return configuration as JSON with sorted keys, which compares equal."""
    if not values:
        return None
    text: pulumi.Output[str] = apply_known(
        values,
        lambda v: (
            None
            if v is None
            else json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        ),
    )
    return text


def _environment(
    table: tuple[tuple[str, str, str | None], ...], arguments: Arguments
) -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for argument, variable, default in table:
        value = arguments.get(argument)
        if value or (argument == "warmEniTarget" and value is not None):
            variables[variable] = output(value).apply(_text)
        elif default is not None:
            variables[variable] = default
    return variables


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
