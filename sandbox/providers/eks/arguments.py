"""Arguments of the pulumi-eks components: which are emulated, and how a refusal reads.

Inputs arrive as the engine sends them: camelCase keys, values plain or `Output`.
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
    "createOidcProvider": "it reads a certificate from oidc.eks.<region>.amazonaws.com, which no emulated account has; "
    "use EKS Pod Identity (aws.eks.PodIdentityAssociation) or your own aws.iam.OpenIdConnectProvider",
    "creationRoleProvider": "pulumi-eks itself refuses it outside Node.js; use providerCredentialOpts",
    "fargate": "the sandbox's clusters have node groups and Auto Mode only",
    "storageClasses": "create kubernetes.storage.v1.StorageClass in your program instead",
}


def refuse_unknown(component: str, known: Collection[str], given: Arguments) -> None:
    """Raise InputPropertiesError that names every argument that this emulation doesn't know."""
    errors: list[pulumi.InputPropertyErrorDetails] = [
        {
            "property_path": key,
            "reason": f"not emulated by the sandbox: {REFUSED.get(key, 'see sandbox/providers/eks/README.md')}",
        }
        for key, value in given.items()
        if value is not None and value is not False and (key not in known or key in REFUSED)
    ]
    if errors:
        names = ", ".join(e["property_path"] for e in errors)
        raise pulumi.InputPropertiesError(f"{component} arguments that the sandbox doesn't emulate: {names}.", errors)


def plain(arguments: Arguments, key: str, default: Any = None) -> Any:
    """Return an argument that shapes the component, so has to be known before anything runs.

    Raise InputPropertyError when it is an output.
    """
    value = arguments.get(key)
    if value is None:
        return default
    if isinstance(value, pulumi.Output):
        raise pulumi.InputPropertyError(key, "has to be a plain value, not another resource's output")
    return value


def output(value: Any) -> pulumi.Output[Any]:
    """Return `value` as an output, nested outputs unwrapped."""
    return pulumi.Output.from_input(value)


def shaped(value: Any, shape: Callable[[Any], Any]) -> Any:
    """Return what `shape` makes of a value once it is known. Structures are in the wire's spelling, which no type says."""
    return output(value).apply(shape)


def part(whole: pulumi.Output[Any], key: str) -> pulumi.Output[Any]:
    """Return one entry of a structure, known even where others aren't yet: what doesn't change must not seem to."""
    return whole.apply(lambda known: known if isinstance(known, Unknown) else known.get(key), run_with_unknowns=True)


def given(**values: Any) -> dict[str, Any]:
    """Return the values that are there."""
    return {key: value for key, value in values.items() if value is not None}


def snake(name: str) -> str:
    """Return a camelCase property name as the Python SDKs spell it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1], name).lower()
