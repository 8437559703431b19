"""ECR where moto differs: real manifest digests, immutable tags, and addresses of the sandbox's own registry."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@amends("ecr", "CreateRepository", "DescribeRepositories", "DeleteRepository")
def address(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Let repositories live in the sandbox's registry when there is one."""
    for repository in [
        *(result.get("repositories") or []),
        *([result["repository"]] if result.get("repository") else []),
    ]:
        if context.registry_host:
            repository["repositoryUri"] = f"{context.registry_host}/{repository['repositoryName']}"


@amends("ecr", "GetAuthorizationToken")
def proxy(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Let clients log in to the sandbox's registry, which speaks plain HTTP on the loopback interface."""
    for data in result.get("authorizationData") or []:
        if context.registry_host:
            data["proxyEndpoint"] = f"http://{context.registry_host}"


@checks("ecr", "CreateRepository")
def encryption_key(context: RequestContext, call: Call) -> None:
    """A repository's own key has to exist."""
    key = (call.get("encryptionConfiguration") or {}).get("kmsKey")
    if key and moto_backends.key(context, call.region, key) is None:
        raise AwsError("KmsException", f"The KMS key {key} does not exist")


@checks("ecr", "PutImage")
def image_digest(context: RequestContext, call: Call) -> None:
    """The digest is the manifest's own SHA-256, and an immutable tag stays on its image."""
    digest = "sha256:" + hashlib.sha256(call["imageManifest"].encode()).hexdigest()
    if call.get("imageDigest") not in {None, digest}:
        text = f"The image digest {call['imageDigest']} doesn't match the manifest's, {digest}"
        raise AwsError("ImageDigestDoesNotMatchException", text)
    repository = context.backend("ecr", call.region).repositories.get(call["repositoryName"])
    tag = call.get("imageTag")
    if repository is not None:
        held = next((i for i in repository.images if tag and tag in i.image_tags), None)
        if held is not None and held.get_image_digest() == digest:
            text = f"Image with digest '{digest}' and tag '{tag}' already exists in the repository with name '{call['repositoryName']}'"
            raise AwsError("ImageAlreadyExistsException", text)
        if held is not None and str(repository.image_tag_mutability).endswith("IMMUTABLE"):
            text = f"The image tag '{tag}' already exists in the '{call['repositoryName']}' repository and cannot be overwritten because the repository is immutable."
            raise AwsError("ImageTagAlreadyExistsException", text)
    call.body = json.dumps({**(call.raw_params or {}), "imageDigest": digest}).encode()
