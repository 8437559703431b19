"""Secrets Manager: secrets without values. The ID is the secret's ARN."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from botocore.exceptions import ClientError

from sandbox.providers.aws.marshalling import filled, tag_list, tag_map
from sandbox.providers.aws.operation import code_of
from sandbox.providers.aws.properties import integer, length, policy, text
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties


def _window(days: int) -> str | None:
    return (
        None
        if days == 0 or 7 <= days <= 30
        else f"0 (delete immediately) or from 7 to 30, not {days}"
    )


class Secret(Handler):
    """A secret: name, key, policy, tags."""

    token = "aws:secretsmanager/secret:Secret"
    noun = "Secrets Manager Secret"
    inputs = {
        "name": text(replaces=True, rule=length(1, 512)),
        "namePrefix": text(replaces=True, write_only=True),
        "description": text(),
        "kmsKeyId": text(),
        "policy": policy(computed=True),
        "recoveryWindowInDays": integer(default=30, write_only=True, rule=_window),
    }
    outputs = ("arn",)
    autoname = AutoName("name", 512, unless=("namePrefix",))
    conflicts = (("name", "namePrefix"),)
    tagged = True
    missing = ("ResourceNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        """Create the secret without a value, then set its policy."""
        client = call.client("secretsmanager")
        request = filled(
            Name=inputs.get("name") or f"{inputs['namePrefix']}{call.resource.name}",
            Description=inputs.get("description"),
            KmsKeyId=inputs.get("kmsKeyId"),
            Tags=tag_list(inputs["tagsAll"]),
        )
        arn = call.record_created(client.create_secret(**request)["ARN"])
        if inputs.get("policy"):
            client.put_resource_policy(SecretId=arn, ResourcePolicy=inputs["policy"])
        return arn

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        """Describe the secret; one that is scheduled for deletion does not exist."""
        client = call.client("secretsmanager")
        secret = client.describe_secret(SecretId=id)
        if secret.get("DeletedDate"):
            return None
        return {
            "id": secret["ARN"],
            "arn": secret["ARN"],
            "name": secret["Name"],
            "description": secret.get("Description"),
            "kmsKeyId": secret.get("KmsKeyId"),
            "policy": _policy_of(call, secret["ARN"]),
            "tagsAll": tag_map(secret.get("Tags")),
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        """Update description and key, then the policy."""
        client = call.client("secretsmanager")
        if changed & {"description", "kmsKeyId"}:
            key = {"KmsKeyId": new["kmsKeyId"]} if new.get("kmsKeyId") else {}
            client.update_secret(SecretId=id, Description=new.get("description") or "", **key)
        if "policy" in changed:
            if new.get("policy") and json.loads(new["policy"]):
                client.put_resource_policy(SecretId=id, ResourcePolicy=new["policy"])
            else:
                client.delete_resource_policy(SecretId=id)

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        """Tag the secret."""
        if drop:
            call.client("secretsmanager").untag_resource(SecretId=id, TagKeys=list(drop))
        if put:
            call.client("secretsmanager").tag_resource(SecretId=id, Tags=tag_list(put))

    def delete(self, call: Call, id: str, state: Properties) -> None:
        """Delete the secret, immediately if its recovery window is 0 days."""
        days = state.get("recoveryWindowInDays", 30)
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        call.client("secretsmanager").delete_secret(SecretId=id, **how)


def _policy_of(call: Call, arn: str) -> str | None:
    try:
        response = call.client("secretsmanager").get_resource_policy(SecretId=arn)
    except ClientError as error:
        if code_of(error) != "ResourceNotFoundException":  # moto's error without a policy
            raise
        return None
    document: str | None = response.get("ResourcePolicy")
    return document


TYPES = (Secret(),)
