"""The provider's configuration and its boto3 clients.

Names are those of pulumi_aws.Provider. boto3's variables (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …)
locate the account unless the configuration does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.providers.aws import sdk
from sandbox.providers.aws.properties import nearest
from sandbox.providers.protocol import Failure, Properties

_HONOURED = frozenset(
    {
        "accessKey",
        "allowedAccountIds",
        "assumeRoles",
        "defaultTags",
        "endpoints",
        "forbiddenAccountIds",
        "ignoreTags",
        "maxRetries",
        "profile",
        "region",
        "retryMode",
        "s3UsePathStyle",
        "secretKey",
        "skipRequestingAccountId",
        "stsRegion",
        "token",
    }
)
# Options that skip checks of things that the sandbox lacks.
_WITHOUT_EFFECT = frozenset(
    {"skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "version"}
)

_clients: dict[tuple[Any, ...], Any] = {}
_making = threading.Lock()  # creating boto3 clients is not thread-safe


def problems(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return problems of a configuration: pairs of property and reason."""
    reasons: list[tuple[str, str]] = []
    valid_names = sdk.arguments(sdk.PROVIDER)
    for name in config:
        if name in _HONOURED or name in _WITHOUT_EFFECT or name.startswith("__"):
            continue
        if name in valid_names:
            reasons.append(
                (name, f'the sandbox\'s AWS provider does not emulate the configuration "{name}"')
            )
        else:
            reasons.append(
                (
                    name,
                    (
                        f'"{name}" is not a configuration of the AWS '
                        f"provider{nearest(name, valid_names)}"
                    ),
                )
            )
    region = config.get("region")
    if isinstance(region, str) and (problem := _elsewhere(region)):
        reasons.append(("region", problem))
    return reasons


@cache
def _elsewhere(region: str) -> str | None:
    """Return why a region is unusable; the emulated account is in the partition aws."""
    session = boto3.Session()
    for partition in session.get_available_partitions():
        if region in session.get_available_regions("ec2", partition):
            if partition == "aws":
                return None
            return (
                f"{region} belongs to the partition {partition}; the sandbox emulates an account "
                "of the partition aws"
            )
    return f"invalid AWS Region: {region}{nearest(region, session.get_available_regions('ec2'))}"


@dataclass(frozen=True)
class Session:
    """One configuration of the AWS provider."""

    config: Properties
    _assumed: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def region(self) -> str:
        """The default region."""
        region = (
            self.config.get("region")
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
        )
        if not region:
            raise Failure(
                "the AWS provider has no region: set it with `pulumi config set aws:region "
                "us-east-1`, in the provider's arguments, or in the variable AWS_REGION."
            )
        return str(region)

    @property
    def default_tags(self) -> dict[str, str]:
        """The default tags; a resource's own tags override them."""
        return dict((self.config.get("defaultTags") or {}).get("tags") or {})

    def ignores_tag(self, key: str) -> bool:
        """Whether the configuration ignores tags of that key; AWS's own tags are always ignored."""
        ignored = self.config.get("ignoreTags") or {}
        return key in (ignored.get("keys") or []) or key.startswith(
            ("aws:", *(ignored.get("keyPrefixes") or []))
        )

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """Account, Arn and UserId of STS GetCallerIdentity."""
        try:
            response: Mapping[str, str] = self.client(
                "sts", self.config.get("stsRegion") or self.region
            ).get_caller_identity()
        except (ClientError, BotoCoreError) as error:
            where = os.environ.get("AWS_ENDPOINT_URL", "AWS")
            raise Failure(
                f"the AWS provider cannot call GetCallerIdentity at {where}: {error}"
            ) from error
        return response

    @property
    def account(self) -> str:
        """The account ID."""
        return self.identity["Account"]

    @property
    def partition(self) -> str:
        """The ARN partition of the provider's region."""
        return partition_of(self.region)

    def verify(self) -> None:
        """Refuse an invalid region or account, with the AWS provider's messages."""
        if problem := _elsewhere(self.region):
            raise Failure(f"the AWS provider's region: {problem}.")
        allowed = self.config.get("allowedAccountIds") or []
        forbidden = self.config.get("forbiddenAccountIds") or []
        if self.config.get("skipRequestingAccountId") and not allowed and not forbidden:
            return
        if (allowed and self.account not in allowed) or self.account in forbidden:
            raise Failure(
                f"AWS account ID not allowed: {self.account} (allowedAccountIds: "
                f"{', '.join(allowed) or 'any'}; forbiddenAccountIds: "
                f"{', '.join(forbidden) or 'none'})."
            )

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client, shared by equal configurations."""
        region = region or self.region
        credentials = self._credentials()
        key = (
            service,
            region,
            os.environ.get("AWS_ENDPOINT_URL"),
            self._endpoint(service),
            self.config.get("profile"),
            tuple(sorted(credentials.items())),
            self.config.get("maxRetries"),
            self.config.get("s3UsePathStyle"),
        )
        with _making:
            if key not in _clients:
                session = boto3.Session(profile_name=self.config.get("profile"))
                _clients[key] = session.client(
                    service,
                    region_name=region,
                    endpoint_url=self._endpoint(service),
                    config=self._tuning(),
                    **credentials,
                )
            return _clients[key]

    def _endpoint(self, service: str) -> str | None:
        for entry in self.config.get("endpoints") or []:
            if entry.get(service):
                return str(entry[service])
        return None

    def _tuning(self) -> Config:
        local = "AWS_ENDPOINT_URL" in os.environ or bool(self.config.get("s3UsePathStyle"))
        return Config(
            max_pool_connections=64,
            retries={
                "max_attempts": int(self.config.get("maxRetries") or 3),
                "mode": self.config.get("retryMode") or "standard",
            },
            s3={"addressing_style": "path"} if local else {},
            connect_timeout=30,
            read_timeout=60,
        )

    def _credentials(self) -> dict[str, Any]:
        roles = self.config.get("assumeRoles") or []
        if not roles:
            return self._static()
        if not self._assumed:
            self._assumed.update(self._assume(roles))
        return self._assumed

    def _static(self) -> dict[str, Any]:
        names = {
            "accessKey": "aws_access_key_id",
            "secretKey": "aws_secret_access_key",
            "token": "aws_session_token",
        }
        return {
            boto: str(self.config[name]) for name, boto in names.items() if self.config.get(name)
        }

    def _assume(self, roles: list[dict[str, Any]]) -> dict[str, Any]:
        credentials = self._static()
        for role in roles:
            client = boto3.Session(profile_name=self.config.get("profile")).client(
                "sts", region_name=self.region, config=self._tuning(), **credentials
            )
            request = {
                "RoleArn": role.get("roleArn"),
                "RoleSessionName": role.get("sessionName") or "pulumi",
                "ExternalId": role.get("externalId"),
                "Policy": role.get("policy"),
            }
            try:
                response = client.assume_role(**{k: v for k, v in request.items() if v})[
                    "Credentials"
                ]
            except (ClientError, BotoCoreError) as error:
                raise Failure(
                    f"the AWS provider cannot assume the role {role.get('roleArn')}: {error}"
                ) from error
            credentials = {
                "aws_access_key_id": response["AccessKeyId"],
                "aws_secret_access_key": response["SecretAccessKey"],
                "aws_session_token": response["SessionToken"],
            }
        return credentials


def partition_of(region: str) -> str:
    """Return the ARN partition of a region."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
