"""AWS clients of a build: the emulated account only, under the project's service role."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from sandbox.builds.errors import PhaseError
from sandbox.contracts import service_principal

OWN_KEY = {"AWS_ACCESS_KEY_ID": "AKIASANDBOXSANDBOX00", "AWS_SECRET_ACCESS_KEY": "sandbox"}
"""The account's own key."""
_SERVICE_KEY = {**OWN_KEY, "AWS_ACCESS_KEY_ID": "codebuild.amazonaws.com"}
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
        sts = AwsSession(self.url, self.region, _SERVICE_KEY).client("sts")
        service_principal.name_source(sts, project_arn)
        try:
            credentials = sts.assume_role(
                RoleArn=role_arn, RoleSessionName=name, DurationSeconds=3600
            )["Credentials"]
        except ClientError as error:
            raise PhaseError(
                "ACCESS_DENIED",
                "CodeBuild is not authorized to perform: sts:AssumeRole on service role "
                f"{role_arn}: {error.response['Error']['Message']}",
            ) from None
        keys = {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        return AwsSession(self.url, self.region, keys)
