"""ECR where moto differs: real manifest digests, tag rules, and addresses of the registry."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sandbox.account.core import moto_backends
from sandbox.account.core.errors import AwsError
from sandbox.account.core.operations import amends, checks
from sandbox.account.services.ecr import images

if TYPE_CHECKING:
    from sandbox.account.core.context import RequestContext
    from sandbox.account.core.wire import Call


@amends("ecr", "CreateRepository", "DescribeRepositories", "DeleteRepository")
def registry_uri(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Return repository URIs of the sandbox's registry, if there is one."""
    for repository in [
        *(result.get("repositories") or []),
        *([result["repository"]] if result.get("repository") else []),
    ]:
        if context.registry_host:
            repository["repositoryUri"] = f"{context.registry_host}/{repository['repositoryName']}"


@amends("ecr", "GetAuthorizationToken")
def proxy_endpoint(context: RequestContext, call: Call, result: dict[str, Any]) -> None:  # noqa: ARG001
    """Return the registry as proxy endpoint; it uses plain HTTP on loopback."""
    for data in result.get("authorizationData") or []:
        if context.registry_host:
            data["proxyEndpoint"] = f"http://{context.registry_host}"


@checks("ecr", "CreateRepository")
def encryption_key(context: RequestContext, call: Call) -> None:
    """Validate that the repository's KMS key exists."""
    key = (call.get("encryptionConfiguration") or {}).get("kmsKey")
    if key and moto_backends.key(context, call.region, key) is None:
        raise AwsError("KmsException", f"The KMS key {key} does not exist")


@checks("ecr", "PutImage")
def put_image(context: RequestContext, call: Call) -> None:
    """Apply PutImage's rules, which moto lacks, and set the manifest's real digest."""
    digest = "sha256:" + hashlib.sha256(call["imageManifest"].encode()).hexdigest()
    if call.get("imageDigest") not in {None, digest}:
        raise AwsError(*images.digest_mismatch(call["imageDigest"], digest))
    repository = context.backend("ecr", call.region).repositories.get(call["repositoryName"])
    if repository is not None:
        registry_id = repository.registry_id
        error = images.put_image_error(repository, registry_id, digest, call.get("imageTag"))
        if error is not None:
            raise AwsError(*error)
    call.body = json.dumps({**(call.raw_params or {}), "imageDigest": digest}).encode()
