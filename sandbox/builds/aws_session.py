"""AWS clients of a build: the emulated account only, under the project's service role."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from sandbox.builds.errors import PhaseError
from sandbox.contracts import service_principal

OWN_KEY = {"AWS_ACCESS_KEY_ID": "AKIASANDBOXSANDBOX00", "AWS_SECRET_ACCESS_KEY": "sandbox"}
"""The account's own key."""
_CONFIG = Config(
    retries={"max_attempts": 0}, proxies={}, s3={"addressing_style": "path"}, read_timeout=120
)
# Neither profiles nor files of a real account: configuration key, variable, default, conversion.
_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
_lock = threading.Lock()
_session: list[Any] = []


class AwsSession:
    """Clients with one set of credentials."""

    def __init__(self, url: str, region: str, credentials: Mapping[str, str]) -> None:
        self.url, self.region, self.credentials = url, region, credentials
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        with _lock:  # boto3's sessions are not thread-safe
            if service not in self._clients:
                if not _session:
                    _session.append(boto3.Session(botocore_session=Session(_NO_FILES)))
                self._clients[service] = _session[0].client(
                    service,
                    region_name=self.region,
                    endpoint_url=self.url,
                    aws_access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
                    aws_session_token=self.credentials.get("AWS_SESSION_TOKEN"),
                    config=_CONFIG,
                )
            return self._clients[service]

    def assume(self, role_arn: str, name: str, project_arn: str) -> AwsSession:
        """Return a session of a role that CodeBuild assumes for a project. Raises PhaseError."""
        return self._service("CodeBuild", project_arn)._assumed(role_arn, name, "CodeBuild")

    def assume_in_pipeline(self, role_arns: Sequence[str], name: str, pipeline: str) -> AwsSession:
        """Return a session of the last role of a chain, which CodePipeline begins.

        Raises PhaseError.
        """
        account = role_arns[0].split(":")[4]
        arn = f"arn:aws:codepipeline:{self.region}:{account}:{pipeline}"
        session = self._service("CodePipeline", arn)
        for role_arn in role_arns:
            session = session._assumed(role_arn, name, "CodePipeline")
        return session

    def _service(self, service: str, source_arn: str) -> AwsSession:
        key = service.lower() + service_principal.SUFFIX
        session = AwsSession(self.url, self.region, {**OWN_KEY, "AWS_ACCESS_KEY_ID": key})
        service_principal.name_source(session.client("sts"), source_arn)
        return session

    def _assumed(self, role_arn: str, name: str, service: str) -> AwsSession:
        try:
            credentials = self.client("sts").assume_role(
                RoleArn=role_arn, RoleSessionName=name[:64], DurationSeconds=3600
            )["Credentials"]
        except ClientError as error:
            raise PhaseError(
                "ACCESS_DENIED",
                f"{service} is not authorized to perform: sts:AssumeRole on service role "
                f"{role_arn}: {error.response['Error']['Message']}",
            ) from None
        keys = {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        return AwsSession(self.url, self.region, keys)
