"""boto3 clients of the account: CodePipeline's own, and those of a pipeline's roles."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from sandbox.contracts import service_principal
from sandbox.contracts.source_event import SourceEvent
from sandbox.pipelines.records import now

_OWN_KEY = {"aws_access_key_id": "codepipeline.amazonaws.com", "aws_secret_access_key": "sandbox"}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_REPORT_SECONDS = 30
_RENEWAL = timedelta(minutes=15)  # before a session of one hour ends


class RoleSession:
    """Clients with the credentials of an assumed role."""

    def __init__(
        self,
        client: Callable[..., Any],
        region: str,
        credentials: Mapping[str, str],
        expires: datetime,
    ) -> None:
        self._client, self.region, self._credentials = client, region, credentials
        self.expires = expires
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def access_key(self) -> str:
        """The access key of the session."""
        return self._credentials["aws_access_key_id"]

    def client(self, service: str, headers: Mapping[str, str] | None = None) -> Any:
        """Return a client; one with headers adds them to each request."""
        if headers:
            client = self._client(service, self.region, self._credentials)

            def add(params: dict[str, Any], **_: Any) -> None:
                params["headers"].update(headers)

            client.meta.events.register("before-call.*", add)
            return client
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._client(service, self.region, self._credentials)
            return self._clients[service]


class AccountClients:
    """Clients of the account whose URL `account` returns."""

    def __init__(self, account: Callable[[], str]) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._boto = boto3.Session(region_name="us-east-1", **_OWN_KEY)
        self._sessions: dict[tuple[str, str, str, str], RoleSession] = {}

    def own(self, service: str, region: str) -> Any:
        """Return a client of CodePipeline itself, which needs no permission."""
        return self._client(service, region, _OWN_KEY)

    def assume(self, region: str, pipeline: str, role_arn: str, through: str = "") -> RoleSession:
        """Return a pipeline's session of a role, assumed by CodePipeline or through another role.

        Raises botocore's ClientError if the role cannot be assumed.
        """
        key = (region, pipeline, role_arn, through)
        with self._lock:
            session = self._sessions.get(key)
        if session is not None and session.expires - now() > _RENEWAL:
            return session
        if through:
            sts = self.assume(region, pipeline, through).client("sts")
        else:
            sts = self.own("sts", region)
            account = role_arn.split(":")[4]
            service_principal.name_source(
                sts, f"arn:aws:codepipeline:{region}:{account}:{pipeline}"
            )
        name = f"codepipeline-{pipeline}"[:64]
        response = sts.assume_role(RoleArn=role_arn, RoleSessionName=name)["Credentials"]
        credentials = {
            "aws_access_key_id": response["AccessKeyId"],
            "aws_secret_access_key": response["SecretAccessKey"],
            "aws_session_token": response["SessionToken"],
        }
        session = RoleSession(self._client, region, credentials, response["Expiration"])
        with self._lock:
            self._sessions[key] = session
        return session

    def report(self, event: SourceEvent) -> None:
        """Report an event of a repository to CodeBuild's webhooks. Raises OSError."""
        request = urllib.request.Request(  # noqa: S310 - the account is on loopback
            f"{self._account()}/_sandbox/codebuild/source-event", json.dumps(asdict(event)).encode()
        )
        with _DIRECT.open(request, timeout=_REPORT_SECONDS):
            pass

    def _client(self, service: str, region: str, credentials: Mapping[str, str]) -> Any:
        config = Config(
            retries={"max_attempts": 0},
            proxies={},
            max_pool_connections=20,
            s3={"addressing_style": "path"},
        )
        with self._lock:  # a boto3 session is not thread-safe
            return self._boto.client(
                service,
                region_name=region,
                endpoint_url=self._account(),
                config=config,
                **credentials,
            )
