"""EKS: add-ons, access entries, access policies, Pod Identity associations.

IDs are the AWS provider's: `CLUSTER:ADDON`, `CLUSTER:PRINCIPAL`, `CLUSTER#PRINCIPAL#POLICY`, and
the association's ID (imported as `CLUSTER,ASSOCIATION`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.eks.clusters import MISSING, retag, wait_for_update
from sandbox.providers.aws.marshalling import filled, moment, without_none
from sandbox.providers.aws.properties import block, boolean, json_text, set_of, text
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.protocol import Failure, Properties

_ADDON_SECONDS = 20 * 60.0


class Addon(Handler):
    """A managed add-on."""

    token = "aws:eks/addon:Addon"
    noun = "EKS Add-On"
    inputs = {
        "clusterName": text(required=True, replaces=True),
        "addonName": text(required=True, replaces=True),
        "addonVersion": text(computed=True),
        "configurationValues": json_text(computed=True),
        "preserve": boolean(write_only=True),
        "resolveConflictsOnCreate": text(write_only=True, one_of=("NONE", "OVERWRITE")),
        "resolveConflictsOnUpdate": text(write_only=True, one_of=("NONE", "OVERWRITE", "PRESERVE")),
        "serviceAccountRoleArn": text(),
        "podIdentityAssociations": set_of(
            block({"roleArn": text(required=True), "serviceAccount": text(required=True)})
        ),
    }
    outputs = ("arn", "createdAt", "modifiedAt")
    volatile = ("modifiedAt",)
    tagged = True
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the add-on and wait until it is active."""
        cluster, addon = inputs["clusterName"], inputs["addonName"]
        call.client("eks").create_addon(
            **filled(
                clusterName=cluster,
                addonName=addon,
                addonVersion=inputs.get("addonVersion"),
                configurationValues=inputs.get("configurationValues"),
                resolveConflicts=inputs.get("resolveConflictsOnCreate"),
                serviceAccountRoleArn=inputs.get("serviceAccountRoleArn"),
                podIdentityAssociations=inputs.get("podIdentityAssociations"),
                tags=inputs["tagsAll"],
            )
        )
        id = call.record_created(f"{cluster}:{addon}")
        call.wait(
            lambda: str(self._describe(call, id)["status"]),
            ("ACTIVE",),
            failed=("CREATE_FAILED",),
            seconds=_ADDON_SECONDS,
            what=f"add-on {addon}",
        )
        return id

    def _describe(self, call: Call, id: str) -> dict[str, Any]:
        cluster, addon = id.split(":", 1)
        description: dict[str, Any] = call.client("eks").describe_addon(
            clusterName=cluster, addonName=addon
        )["addon"]
        return description

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the add-on and its Pod Identity associations."""
        addon = self._describe(call, id)
        cluster, eks = addon["clusterName"], call.client("eks")
        pods = [
            eks.describe_pod_identity_association(
                clusterName=cluster, associationId=arn.rsplit("/", 1)[-1]
            )
            for arn in addon.get("podIdentityAssociations") or []
        ]
        return {
            "clusterName": cluster,
            "addonName": addon["addonName"],
            "addonVersion": addon["addonVersion"],
            "configurationValues": addon.get("configurationValues"),
            "serviceAccountRoleArn": addon.get("serviceAccountRoleArn"),
            "podIdentityAssociations": [
                {
                    "roleArn": pod["association"]["roleArn"],
                    "serviceAccount": pod["association"]["serviceAccount"],
                }
                for pod in pods
            ],
            "arn": addon["addonArn"],
            "createdAt": moment(addon.get("createdAt")),
            "modifiedAt": moment(addon.get("modifiedAt")),
            "tagsAll": addon.get("tags") or {},
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update version and configuration; conflict and deletion options are stored only."""
        keys = (
            "addonVersion",
            "configurationValues",
            "serviceAccountRoleArn",
            "podIdentityAssociations",
        )
        if not changed & set(keys):
            return
        cluster, addon = id.split(":", 1)
        values = {key: new.get(key) for key in keys if key in changed}
        values.setdefault("addonVersion", new.get("addonVersion"))
        if "serviceAccountRoleArn" not in changed:  # EKS would remove it if absent
            values["serviceAccountRoleArn"] = new.get("serviceAccountRoleArn")
        if "podIdentityAssociations" in changed:
            values["podIdentityAssociations"] = new.get("podIdentityAssociations") or []
        response = call.client("eks").update_addon(
            clusterName=cluster,
            addonName=addon,
            **without_none(**values, resolveConflicts=new.get("resolveConflictsOnUpdate")),
        )
        wait_for_update(call, cluster, response, _ADDON_SECONDS, addonName=addon)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the add-on."""
        retag(call, state["arn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the add-on; `preserve` keeps what it installed."""
        eks, (cluster, addon) = call.client("eks"), id.split(":", 1)
        eks.delete_addon(clusterName=cluster, addonName=addon, preserve=bool(state.get("preserve")))

        def state_now() -> str:
            try:
                return str(self._describe(call, id)["status"])
            except eks.exceptions.ResourceNotFoundException:
                return "gone"

        call.wait(
            state_now, ("gone",), failed=("DELETE_FAILED",), seconds=40 * 60, what=f"add-on {addon}"
        )


class AccessEntry(Handler):
    """An access entry."""

    token = "aws:eks/accessEntry:AccessEntry"
    noun = "EKS Access Entry"
    inputs = {
        "clusterName": text(required=True, replaces=True),
        "principalArn": text(required=True, replaces=True),
        "kubernetesGroups": set_of(text(), computed=True),
        "type": text(
            default="STANDARD",
            replaces=True,
            one_of=(
                "STANDARD",
                "EC2_LINUX",
                "EC2_WINDOWS",
                "FARGATE_LINUX",
                "EC2",
                "HYBRID_LINUX",
                "HYPERPOD_LINUX",
            ),
        ),
        "userName": text(computed=True),
    }
    outputs = ("accessEntryArn", "createdAt", "modifiedAt")
    volatile = ("modifiedAt",)
    tagged = True
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the entry; retry while IAM propagates a new principal."""
        request = filled(
            clusterName=inputs["clusterName"],
            principalArn=inputs["principalArn"],
            kubernetesGroups=inputs.get("kubernetesGroups"),
            type=inputs["type"],
            username=inputs.get("userName"),
            tags=inputs["tagsAll"],
        )
        eks = call.client("eks")
        call.retrying(
            lambda: eks.create_access_entry(**request), ("InvalidParameterException",), seconds=2
        )
        return call.record_created(f"{inputs['clusterName']}:{inputs['principalArn']}")

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the entry."""
        cluster, principal = id.split(":", 1)
        entry = call.client("eks").describe_access_entry(
            clusterName=cluster, principalArn=principal
        )["accessEntry"]
        return {
            "clusterName": cluster,
            "principalArn": entry["principalArn"],
            "kubernetesGroups": entry.get("kubernetesGroups") or [],
            "type": entry.get("type"),
            "userName": entry.get("username"),
            "accessEntryArn": entry["accessEntryArn"],
            "createdAt": moment(entry.get("createdAt")),
            "modifiedAt": moment(entry.get("modifiedAt")),
            "tagsAll": entry.get("tags") or {},
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update groups and user name."""
        cluster, principal = id.split(":", 1)
        call.client("eks").update_access_entry(
            clusterName=cluster,
            principalArn=principal,
            **without_none(
                kubernetesGroups=new.get("kubernetesGroups")
                if "kubernetesGroups" in changed
                else None,
                username=new.get("userName") if "userName" in changed else None,
            ),
        )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the entry."""
        retag(call, state["accessEntryArn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the entry with its policies."""
        cluster, principal = id.split(":", 1)
        call.client("eks").delete_access_entry(clusterName=cluster, principalArn=principal)


class AccessPolicyAssociation(Handler):
    """An access policy of a principal, for the cluster or for namespaces."""

    token = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
    noun = "EKS Access Policy Association"
    inputs = {
        "clusterName": text(required=True, replaces=True),
        "principalArn": text(required=True, replaces=True),
        "policyArn": text(required=True, replaces=True),
        "accessScope": block(
            {
                "type": text(required=True, one_of=("cluster", "namespace")),
                "namespaces": set_of(text()),
            },
            required=True,
            replaces=True,
        ),
    }
    outputs = ("associatedAt", "modifiedAt")
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Associate the policy."""
        scope = inputs["accessScope"]
        call.client("eks").associate_access_policy(
            clusterName=inputs["clusterName"],
            principalArn=inputs["principalArn"],
            policyArn=inputs["policyArn"],
            accessScope=filled(type=scope["type"], namespaces=scope.get("namespaces")),
        )
        return call.record_created(
            "#".join(inputs[key] for key in ("clusterName", "principalArn", "policyArn"))
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Find the policy among the principal's."""
        cluster, principal, policy = id.split("#")
        pages = call.client("eks").get_paginator("list_associated_access_policies")
        for page in pages.paginate(clusterName=cluster, principalArn=principal):
            for association in page["associatedAccessPolicies"]:
                if association["policyArn"] == policy:
                    scope = association["accessScope"]
                    return {
                        "clusterName": cluster,
                        "principalArn": principal,
                        "policyArn": policy,
                        "accessScope": {
                            "type": scope["type"],
                            "namespaces": scope.get("namespaces") or [],
                        },
                        "associatedAt": moment(association.get("associatedAt")),
                        "modifiedAt": moment(association.get("modifiedAt")),
                    }
        return None

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Disassociate the policy."""
        cluster, principal, policy = id.split("#")
        call.client("eks").disassociate_access_policy(
            clusterName=cluster, principalArn=principal, policyArn=policy
        )


class PodIdentityAssociation(Handler):
    """The IAM role of a Kubernetes service account."""

    token = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    noun = "EKS Pod Identity Association"
    inputs = {
        "clusterName": text(required=True, replaces=True),
        "namespace": text(required=True, replaces=True),
        "serviceAccount": text(required=True, replaces=True),
        "roleArn": text(required=True),
        "targetRoleArn": text(),
        "disableSessionTags": boolean(computed=True),
    }
    outputs = ("associationArn", "associationId", "externalId")
    tagged = True
    missing = MISSING

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the association."""
        keys = ("clusterName", "namespace", "serviceAccount", "roleArn", "targetRoleArn")
        request = filled(**{key: inputs.get(key) for key in keys}, tags=inputs["tagsAll"])
        response = call.client("eks").create_pod_identity_association(
            **request, **without_none(disableSessionTags=inputs.get("disableSessionTags"))
        )
        return call.record_created(response["association"]["associationId"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the association."""
        cluster, _, own = id.rpartition(",")
        cluster = cluster or state.get("clusterName", "")
        if not cluster:
            raise Failure(f'"{id}" has no cluster: import it as CLUSTER-NAME,ASSOCIATION-ID')
        response = call.client("eks").describe_pod_identity_association(
            clusterName=cluster, associationId=own
        )
        association = response["association"]
        return {
            "id": own,
            "clusterName": cluster,
            "namespace": association["namespace"],
            "serviceAccount": association["serviceAccount"],
            "roleArn": association["roleArn"],
            "targetRoleArn": association.get("targetRoleArn"),
            "disableSessionTags": bool(association.get("disableSessionTags")),
            "externalId": association.get("externalId"),
            "associationArn": association["associationArn"],
            "associationId": association["associationId"],
            "tagsAll": association.get("tags") or {},
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update the role."""
        call.client("eks").update_pod_identity_association(
            clusterName=new["clusterName"],
            associationId=id,
            **without_none(**{key: new.get(key) for key in changed}),
        )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the association."""
        retag(call, state["associationArn"], put, drop)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the association."""
        call.client("eks").delete_pod_identity_association(
            clusterName=state["clusterName"], associationId=id
        )


TYPES = (Addon(), AccessEntry(), AccessPolicyAssociation(), PodIdentityAssociation())
