"""Arguments of pulumi-eks's components: which are emulated, and messages of refusals.

Inputs have the engine's form: camelCase keys, plain values or `Output`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pulumi
from pulumi.output import Unknown

Arguments = Mapping[str, Any]

CLUSTER = frozenset(
    [
        "accessEntries",
        "authenticationMode",
        "autoMode",
        "bootstrapSelfManagedAddons",
        "clusterSecurityGroup",
        "clusterSecurityGroupTags",
        "clusterTags",
        "corednsAddonOptions",
        "createInstanceRole",
        "createOidcProvider",
        "deletionProtection",
        "desiredCapacity",
        "enableConfigMapMutable",
        "enabledClusterLogTypes",
        "encryptionConfigKeyArn",
        "endpointPrivateAccess",
        "endpointPublicAccess",
        "instanceRole",
        "instanceRoles",
        "instanceType",
        "ipFamily",
        "kubeProxyAddonOptions",
        "kubernetesServiceIpAddressRange",
        "maxSize",
        "minSize",
        "name",
        "nodeSecurityGroupTags",
        "nodeSubnetIds",
        "privateSubnetIds",
        "providerCredentialOpts",
        "proxy",
        "publicAccessCidrs",
        "publicSubnetIds",
        "roleMappings",
        "serviceRole",
        "skipDefaultNodeGroup",
        "skipDefaultSecurityGroups",
        "subnetIds",
        "tags",
        "upgradePolicy",
        "useDefaultVpcCni",
        "userMappings",
        "version",
        "vpcCniOptions",
        "vpcId",
    ]
)

NODE_GROUP = frozenset(
    [
        "amiType",
        "capacityType",
        "clusterName",
        "diskSize",
        "enableIMDSv2",
        "forceUpdateVersion",
        "ignoreScalingChanges",
        "instanceTypes",
        "labels",
        "launchTemplate",
        "nodeGroupName",
        "nodeGroupNamePrefix",
        "nodeRepairConfig",
        "nodeRole",
        "nodeRoleArn",
        "operatingSystem",
        "gpu",
        "region",
        "releaseVersion",
        "remoteAccess",
        "scalingConfig",
        "subnetIds",
        "tags",
        "taints",
        "updateConfig",
        "version",
        "cluster",
    ]
)

REFUSED = {
    "createOidcProvider": (
        "it requires a certificate from oidc.eks.<region>.amazonaws.com, which an emulated account "
        "lacks; use EKS Pod Identity (aws.eks.PodIdentityAssociation) or your own "
        "aws.iam.OpenIdConnectProvider"
    ),
    "creationRoleProvider": "pulumi-eks supports it in Node.js only; use providerCredentialOpts",
    "fargate": "the sandbox's clusters have node groups and Auto Mode only",
    "storageClasses": "create kubernetes.storage.v1.StorageClass in your program instead",
}


def refuse_unknown(component: str, supported: Collection[str], arguments: Arguments) -> None:
    """Raise InputPropertiesError with every argument that is not emulated."""
    errors: list[pulumi.InputPropertyErrorDetails] = [
        {
            "property_path": key,
            "reason": (
                "not emulated by the sandbox: "
                f"{REFUSED.get(key, 'see sandbox/providers/eks/README.md')}"
            ),
        }
        for key, value in arguments.items()
        if value is not None and value is not False and (key not in supported or key in REFUSED)
    ]
    if errors:
        names = ", ".join(e["property_path"] for e in errors)
        raise pulumi.InputPropertiesError(
            f"{component} arguments that the sandbox does not emulate: {names}.", errors
        )


def plain(arguments: Arguments, key: str, default: Any = None) -> Any:
    """Return an argument that determines the component's children.

    Raises InputPropertyError for an output.
    """
    value = arguments.get(key)
    if value is None:
        return default
    if isinstance(value, pulumi.Output):
        raise pulumi.InputPropertyError(key, "must be a plain value, not another resource's output")
    return value


def output(value: Any) -> pulumi.Output[Any]:
    """Return `value` as an output without nested outputs."""
    return pulumi.Output.from_input(value)


def apply_known(value: Any, shape: Callable[[Any], Any]) -> Any:
    """Apply `shape` to a value once it is known."""
    return output(value).apply(shape)


def part(whole: pulumi.Output[Any], key: str) -> pulumi.Output[Any]:
    """Return one entry of a structure, known even if others are not."""
    return whole.apply(
        lambda value: value if isinstance(value, Unknown) else value.get(key),
        run_with_unknowns=True,
    )


def without_none(**values: Any) -> dict[str, Any]:
    """Return the values that are set."""
    return {key: value for key, value in values.items() if value is not None}


def snake(name: str) -> str:
    """Return a property name in Python spelling."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1], name).lower()
