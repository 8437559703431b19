"""What an action receives and returns."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from sandbox.contracts.build_runner import BuildRunner
from sandbox.pipelines.account_clients import AccountClients, RoleSession
from sandbox.pipelines.records import ActionRun, Execution, Revision, StoredArtifact
from sandbox.pipelines.repositories import Repositories

# Access key, region, action and resource; raises PermissionError with AWS's message.
PermissionCheck = Callable[[str, str, str, str], None]
# Codes of HEAD requests to S3, of SNS and of EC2; other services answer AccessDenied….
_DENIED = {"403", "Forbidden", "AuthorizationError", "UnauthorizedOperation"}
_ALPHABET = string.ascii_letters + string.digits


class ActionError(Exception):
    """An action failed; the code is one of AWS's, such as JobFailed or ConfigurationError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What a successful action produced."""

    summary: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, StoredArtifact] = field(default_factory=dict)
    revision: Revision | None = None


@dataclass(frozen=True, kw_only=True)
class ActionContext:
    """An action that runs.

    `configuration` has its variables replaced. `role` is the action's role or the pipeline's.
    `pause` waits at most so many seconds for a change, and raises what ends the action; `update`
    stores fields of `run`.
    """

    execution: Execution
    stage: str
    declaration: Mapping[str, Any]
    run: ActionRun
    configuration: Mapping[str, str]
    role: RoleSession
    clients: AccountClients
    repositories: Repositories
    builds: BuildRunner
    permits: PermissionCheck
    pause: Callable[[float], None]
    update: Callable[..., None]

    @property
    def name(self) -> str:
        """The action's name."""
        return str(self.declaration["name"])

    @property
    def encryption_key(self) -> str:
        """The key of artifacts, or "" for the bucket's default."""
        return str((self._store.get("encryptionKey") or {}).get("id", ""))

    @property
    def _store(self) -> Mapping[str, Any]:
        definition = self.execution.definition
        store: Mapping[str, Any] = (
            definition.get("artifactStore") or definition["artifactStores"][self.execution.region]
        )
        return store

    def new_artifact(self, name: str) -> StoredArtifact:
        """Return the place of a new artifact, named as CodePipeline names them."""
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(7))
        key = f"{self.execution.pipeline[:20]}/{name[:10]}/{suffix}"
        return StoredArtifact(bucket=str(self._store["location"]), key=key)

    def upload(self, content: bytes) -> dict[str, StoredArtifact]:
        """Store the archive of the action's only output artifact."""
        name = self.declaration["outputArtifacts"][0]["name"]
        artifact = self.new_artifact(name)
        encryption = (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.encryption_key}
            if self.encryption_key
            else {}
        )
        try:
            self.role.client("s3").put_object(
                Bucket=artifact.bucket,
                Key=artifact.key,
                Body=content,
                ContentType="application/zip",
                **encryption,
            )
        except ClientError as error:
            raise denied_or_failed(error) from None
        return {name: artifact}

    def inputs(self) -> dict[str, StoredArtifact]:
        """Return the input artifacts. Raises ActionError if one does not exist."""
        artifacts = {}
        for item in self.declaration.get("inputArtifacts") or []:
            name = item["name"]
            artifact = self.execution.artifacts.get(name)
            if artifact is None:
                raise ActionError(
                    "ConfigurationError",
                    f"The action needs the input artifact '{name}', which this execution has not "
                    "produced",
                )
            try:
                self.role.client("s3").head_object(Bucket=artifact.bucket, Key=artifact.key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    raise ActionError(
                        "ConfigurationError",
                        f"The object with key '{artifact.key}' of the input artifact '{name}' does "
                        f"not exist in the bucket '{artifact.bucket}'",
                    ) from None
                raise denied_or_failed(error) from None
            artifacts[name] = artifact
        return artifacts


def denied_or_failed(error: ClientError) -> ActionError:
    """Return the action's error for an error of the account."""
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", error))
    if "AccessDenied" in code or code in _DENIED:
        return ActionError("PermissionError", message)
    return ActionError("JobFailed", f"{code}: {message}")
