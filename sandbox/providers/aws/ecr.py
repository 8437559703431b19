"""ECR: repositories and their policies, imported by repository name.

Replacements and defaults: pulumi_aws's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.providers.aws.ec2.handler import only
from sandbox.providers.aws.properties import (
    block,
    boolean,
    json_text,
    length,
    list_of,
    policy,
    text,
)
from sandbox.providers.aws.resource import AutoName, Call, Handler
from sandbox.providers.protocol import Properties

# The pattern of RepositoryName in the API's model.
_NAME = re.compile(r"^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$")
_MUTABILITY = ("MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")


def _name(value: str) -> str | None:
    if not _NAME.match(value):
        return f"lower-case letters and digits, with . _ - / between them, not {value!r}"
    return length(2, 256)(value)


class Repository(Handler):
    """An image repository."""

    token = "aws:ecr/repository:Repository"
    noun = "ECR Repository"
    inputs = {
        "encryptionConfigurations": list_of(
            block(
                {
                    "encryptionType": text(default="AES256", one_of=("AES256", "KMS", "KMS_DSSE")),
                    "kmsKey": text(computed=True),
                }
            ),
            replaces=True,
            computed=True,
        ),
        "forceDelete": boolean(write_only=True),
        "imageScanningConfiguration": block({"scanOnPush": boolean(required=True)}),
        "imageTagMutability": text(default="MUTABLE", one_of=_MUTABILITY),
        "imageTagMutabilityExclusionFilters": list_of(
            block(
                {
                    "filter": text(required=True),
                    "filterType": text(required=True, one_of=("WILDCARD",)),
                }
            )
        ),
        "name": text(replaces=True, rule=_name),
    }
    outputs = ("arn", "registryId", "repositoryUrl")
    autoname = AutoName("name", 256, lower=True)
    tagged = True
    missing = ("RepositoryNotFoundException",)

    def create(self, call: Call, inputs: Properties) -> str:
        request: dict[str, Any] = {"imageTagMutability": inputs["imageTagMutability"]}
        if inputs.get("encryptionConfigurations"):
            request["encryptionConfiguration"] = inputs["encryptionConfigurations"][0]
        if inputs.get("imageScanningConfiguration"):
            request["imageScanningConfiguration"] = inputs["imageScanningConfiguration"]
        if inputs.get("imageTagMutabilityExclusionFilters"):
            request["imageTagMutabilityExclusionFilters"] = inputs[
                "imageTagMutabilityExclusionFilters"
            ]
        if inputs["tagsAll"]:
            request["tags"] = [
                {"Key": key, "Value": value} for key, value in inputs["tagsAll"].items()
            ]
        response = call.client("ecr").create_repository(repositoryName=inputs["name"], **request)
        return call.record_created(response["repository"]["repositoryName"])

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        ecr = call.client("ecr")
        response = only(ecr.describe_repositories(repositoryNames=[id])["repositories"])
        if response is None:
            return None
        encryption = response.get("encryptionConfiguration")
        return {
            "arn": response["repositoryArn"],
            "encryptionConfigurations": [encryption] if encryption else [],
            "imageScanningConfiguration": response.get("imageScanningConfiguration"),
            "imageTagMutability": response["imageTagMutability"],
            "imageTagMutabilityExclusionFilters": response.get(
                "imageTagMutabilityExclusionFilters"
            ),
            "name": id,
            "registryId": response["registryId"],
            "repositoryUrl": response["repositoryUri"],
            "tagsAll": {
                tag["Key"]: tag["Value"]
                for tag in ecr.list_tags_for_resource(resourceArn=response["repositoryArn"]).get(
                    "tags", []
                )
            },
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        ecr = call.client("ecr")
        if changed & {"imageTagMutability", "imageTagMutabilityExclusionFilters"}:
            filters = new.get("imageTagMutabilityExclusionFilters")
            ecr.put_image_tag_mutability(
                repositoryName=id,
                imageTagMutability=new["imageTagMutability"],
                **({"imageTagMutabilityExclusionFilters": filters} if filters else {}),
            )
        if "imageScanningConfiguration" in changed:
            scanning = new.get("imageScanningConfiguration") or {"scanOnPush": False}
            ecr.put_image_scanning_configuration(
                repositoryName=id, imageScanningConfiguration=scanning
            )

    def retag(
        self, call: Call, id: str, state: Properties, put: Mapping[str, str], drop: Sequence[str]
    ) -> None:
        ecr = call.client("ecr")
        if drop:
            ecr.untag_resource(resourceArn=state["arn"], tagKeys=list(drop))
        if put:
            tags = [{"Key": key, "Value": value} for key, value in put.items()]
            ecr.tag_resource(resourceArn=state["arn"], tags=tags)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("ecr").delete_repository(
            repositoryName=id, force=bool(state.get("forceDelete"))
        )


class LifecyclePolicy(Handler):
    """A repository's lifecycle policy."""

    token = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
    noun = "ECR Lifecycle Policy"
    inputs = {"policy": json_text(required=True), "repository": text(required=True, replaces=True)}
    outputs = ("registryId",)
    missing = ("RepositoryNotFoundException", "LifecyclePolicyNotFoundException")

    def create(self, call: Call, inputs: Properties) -> str:
        self._put(call, inputs)
        return call.record_created(inputs["repository"])

    def _put(self, call: Call, inputs: Properties) -> None:
        call.client("ecr").put_lifecycle_policy(
            repositoryName=inputs["repository"], lifecyclePolicyText=inputs["policy"]
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("ecr").get_lifecycle_policy(repositoryName=id)
        return {
            "policy": response["lifecyclePolicyText"],
            "registryId": response["registryId"],
            "repository": id,
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._put(call, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("ecr").delete_lifecycle_policy(repositoryName=id)


class RepositoryPolicy(Handler):
    """A repository's resource policy."""

    token = "aws:ecr/repositoryPolicy:RepositoryPolicy"
    noun = "ECR Repository Policy"
    inputs = {"policy": policy(required=True), "repository": text(required=True, replaces=True)}
    outputs = ("registryId",)
    missing = ("RepositoryNotFoundException", "RepositoryPolicyNotFoundException")

    def create(self, call: Call, inputs: Properties) -> str:
        self._put(call, inputs)
        return call.record_created(inputs["repository"])

    def _put(self, call: Call, inputs: Properties) -> None:
        call.client("ecr").set_repository_policy(
            repositoryName=inputs["repository"], policyText=inputs["policy"]
        )

    def read(self, call: Call, id: str, state: Properties) -> Properties | None:
        response = call.client("ecr").get_repository_policy(repositoryName=id)
        return {
            "policy": response["policyText"],
            "registryId": response["registryId"],
            "repository": id,
        }

    def update(
        self, call: Call, id: str, old: Properties, new: Properties, changed: frozenset[str]
    ) -> None:
        self._put(call, new)

    def delete(self, call: Call, id: str, state: Properties) -> None:
        call.client("ecr").delete_repository_policy(repositoryName=id)


TYPES = (Repository(), LifecyclePolicy(), RepositoryPolicy())
