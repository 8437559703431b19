"""KMS: keys and aliases.

Replacements and defaults: pulumi_aws's documentation of aws.kms.Key and aws.kms.Alias. Deleting a
key schedules its deletion; a key that is pending deletion does not exist for the provider.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from sandbox.providers.aws.operation import code_of
from sandbox.providers.aws.properties import between, boolean, integer, length, policy, text
from sandbox.providers.aws.resource import Call, Handler
from sandbox.providers.protocol import Properties

_ALIAS = re.compile(r"^alias/[\w/-]+$")


def _alias(value: str) -> str | None:
    if not _ALIAS.match(value) or value.startswith("alias/aws/"):
        return f"of the form alias/name and not begin with alias/aws/; it is {value!r}"
    return length(1, 256)(value)


class Key(Handler):
    """A KMS key."""

    token = "aws:kms/key:Key"
    noun = "KMS Key"
    inputs = {
        "bypassPolicyLockoutSafetyCheck": boolean(default=False, write_only=True),
        "customerMasterKeySpec": text(default="SYMMETRIC_DEFAULT", replaces=True),
        "deletionWindowInDays": integer(write_only=True, rule=between(7, 30)),
        "description": text(computed=True, rule=length(0, 8192)),
        "enableKeyRotation": boolean(default=False),
        "isEnabled": boolean(default=True),
        "keyUsage": text(
            default="ENCRYPT_DECRYPT",
            replaces=True,
            one_of=("ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT"),
        ),
        "multiRegion": boolean(computed=True, replaces=True),
        "policy": policy(computed=True),
        "rotationPeriodInDays": integer(computed=True, rule=between(90, 2560)),
    }
    outputs = ("arn", "keyId")
    tagged = True
    missing = ("NotFoundException",)

    def validate(self, call: Call, inputs: Properties) -> list[tuple[str, str]]:
        if (
            inputs.get("rotationPeriodInDays") is not None
            and inputs.get("enableKeyRotation") is False
        ):
            return [("rotationPeriodInDays", "requires enableKeyRotation")]
        return []

    def create(self, call: Call, inputs: Properties) -> str:
        kms = call.client("kms")
        request: dict[str, Any] = {
            "KeySpec": inputs["customerMasterKeySpec"],
            "KeyUsage": inputs["keyUsage"],
            "BypassPolicyLockoutSafetyCheck": inputs["bypassPolicyLockoutSafetyCheck"],
        }
        for name, api in {
            "description": "Description",
            "multiRegion": "MultiRegion",
            "policy": "Policy",
        }.items():
            if inputs.get(name):
                request[api] = inputs[name]
        if inputs["tagsAll"]:
            request["Tags"] = [
                {"TagKey": key, "TagValue": value} for key, value in inputs["tagsAll"].items()
            ]
        # Retry while IAM propagates a new role in the policy.
        response = call.retrying(
            lambda: kms.create_key(**request), ("MalformedPolicyDocumentException",), seconds=3
        )
        id = call.record_created(response["KeyMetadata"]["KeyId"])
        if inputs["enableKeyRotation"]:
            self._rotate(call, id, inputs)
        if not inputs["isEnabled"]:
            kms.disable_key(KeyId=id)
        return id

    def _rotate(self, call: Call, id: str, inputs: Properties) -> None:
        period = (
            {"RotationPeriodInDays": inputs["rotationPeriodInDays"]}
            if inputs.get("rotationPeriodInDays")
            else {}
        )
        call.client("kms").enable_key_rotation(KeyId=id, **period)

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        kms = call.client("kms")
        key = kms.describe_key(KeyId=id)["KeyMetadata"]
        if key["KeyState"] in ("PendingDeletion", "PendingReplicaDeletion"):
            return None
        # KMS cannot rotate asymmetric keys.
        rotates = key.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT"
        rotation = (
            kms.get_key_rotation_status(KeyId=id) if rotates else {"KeyRotationEnabled": False}
        )
        period = rotation.get("RotationPeriodInDays")
        return {
            "id": key["KeyId"],
            "arn": key["Arn"],
            "customerMasterKeySpec": key.get("KeySpec") or key.get("CustomerMasterKeySpec"),
            "description": key.get("Description"),
            "enableKeyRotation": rotation["KeyRotationEnabled"],
            "isEnabled": key["Enabled"],
            "keyId": key["KeyId"],
            "keyUsage": key["KeyUsage"],
            "multiRegion": key.get("MultiRegion", False),
            "policy": kms.get_key_policy(KeyId=id, PolicyName="default")["Policy"],
            # The period is not returned without rotation; it stays.
            **(
                {"rotationPeriodInDays": period}
                if period and rotation["KeyRotationEnabled"]
                else {}
            ),
            "tagsAll": {
                tag["TagKey"]: tag["TagValue"]
                for tag in kms.list_resource_tags(KeyId=id).get("Tags", [])
            },
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        kms = call.client("kms")
        if "isEnabled" in changed and new["isEnabled"]:
            kms.enable_key(KeyId=id)  # a disabled key accepts no other change
        if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
            if new["enableKeyRotation"]:
                self._rotate(call, id, new)
            else:
                kms.disable_key_rotation(KeyId=id)
        if "description" in changed:
            kms.update_key_description(KeyId=id, Description=new.get("description", ""))
        if "policy" in changed:
            kms.put_key_policy(KeyId=id, PolicyName="default", Policy=new["policy"])
        if "isEnabled" in changed and not new["isEnabled"]:
            kms.disable_key(KeyId=id)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        kms = call.client("kms")
        if drop:
            kms.untag_resource(KeyId=id, TagKeys=list(drop))
        if put:
            kms.tag_resource(
                KeyId=id, Tags=[{"TagKey": key, "TagValue": value} for key, value in put.items()]
            )

    def delete(self, call: Call, id: str, state: Properties) -> None:
        window = (
            {"PendingWindowInDays": state["deletionWindowInDays"]}
            if state.get("deletionWindowInDays")
            else {}
        )
        try:
            call.client("kms").schedule_key_deletion(KeyId=id, **window)
        except ClientError as error:
            pending = "pending deletion" in str(error)
            if not (code_of(error) == "KMSInvalidStateException" and pending):
                raise


class Alias(Handler):
    """An alias of a key."""

    token = "aws:kms/alias:Alias"
    noun = "KMS Alias"
    inputs = {
        "name": text(replaces=True, rule=_alias),
        "namePrefix": text(replaces=True, rule=_alias),
        "targetKeyId": text(
            required=True,
            same=lambda one, other: one.rsplit("/", 1)[-1] == other.rsplit("/", 1)[-1],
        ),
    }
    outputs = ("arn", "targetKeyArn")
    conflicts = (("name", "namePrefix"),)
    missing = ("NotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        name = inputs.get("name") or self._generated(call, inputs.get("namePrefix") or "alias/")
        call.client("kms").create_alias(AliasName=name, TargetKeyId=inputs["targetKeyId"])
        return call.record_created(name)

    def _generated(self, call: Call, prefix: str) -> str:
        return f"{prefix}{hashlib.sha256(call.resource.urn.encode()).hexdigest()[:26]}"

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        pages = call.client("kms").get_paginator("list_aliases").paginate()
        alias = next(
            (item for page in pages for item in page["Aliases"] if item["AliasName"] == id), None
        )
        if alias is None or not alias.get("TargetKeyId"):
            return None
        arn = call.arn("kms", f"key/{alias['TargetKeyId']}")
        return {
            "arn": alias["AliasArn"],
            "name": id,
            "targetKeyArn": arn,
            "targetKeyId": alias["TargetKeyId"],
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        call.client("kms").update_alias(AliasName=id, TargetKeyId=new["targetKeyId"])

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("kms").delete_alias(AliasName=id)


TYPES = (Key(), Alias())
