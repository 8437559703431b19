"""The EKS Pod Identity agent: gives pods credentials of the role of their service account.

Variables and response are those of the agent and webhook on EKS (EKS User Guide, "How EKS Pod
Identity works"); the agent listens on loopback instead of 169.254.170.23.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from itsdangerous import BadSignature, URLSafeSerializer

from sandbox.contracts import service_principal
from sandbox.contracts.container_runtime import POD_IDENTITY_DIRECTORY, ContainerError
from sandbox.runtime import ports

_PATH = "/v1/credentials"
_LOG = logging.getLogger(__name__)


class PodIdentityAgent:
    """Serves credentials; key and port are in `directory`, `account` returns the account's URL."""

    def __init__(self, directory: Path, account: Callable[[], str]) -> None:
        self._account = account
        self._signer = URLSafeSerializer(_key(directory / "key"), salt="pod-identity")
        port_file = directory / "port"
        try:
            self._server = _Server(ports.read_port(port_file), self)
        except OSError:
            self._server = ports.bind_free_port(lambda port: _Server(port, self))
        port_file.write_text(str(self._server.server_port))

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="pod-identity", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def variables(
        self, cluster_arn: str, namespace: str, service_account: str, directory: Path
    ) -> Mapping[str, str]:
        """Return the variables that AWS SDKs in a pod read; none without an association.

        Writes the pod's token to `directory`, which becomes POD_IDENTITY_DIRECTORY. Raises
        ContainerError while the account is not available.
        """
        region, cluster = cluster_arn.split(":")[3], cluster_arn.rpartition("/")[2]
        try:
            if self._role(region, cluster, namespace, service_account) is None:
                return {}
        except (BotoCoreError, ClientError) as error:
            raise ContainerError("CreateContainerError", f"EKS Pod Identity: {error}") from None
        directory.mkdir(parents=True, exist_ok=True)
        token = directory / "eks-pod-identity-token"
        token.touch(mode=0o600)
        token.write_text(str(self._signer.dumps([region, cluster, namespace, service_account])))
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": (
                f"http://127.0.0.1:{self._server.server_port}{_PATH}"
            ),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{POD_IDENTITY_DIRECTORY}/{token.name}",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        }

    def credentials(self, token: str) -> tuple[int, Mapping[str, str]]:
        """Return status and response for a pod's token."""
        try:
            region, cluster, namespace, service_account = self._signer.loads(token)
        except (BadSignature, ValueError):
            return 401, {"message": "the authorization token is not valid"}
        try:
            role = self._role(region, cluster, namespace, service_account)
            if role is None:
                return 404, {
                    "message": f"no association for {namespace}/{service_account} in {cluster}"
                }
            sts = self._client("sts", region)
            account = role.split(":")[4]
            service_principal.name_source(sts, f"arn:aws:eks:{region}:{account}:cluster/{cluster}")
            # EKS User Guide, "Grant Pods access to AWS resources based on tags".
            tags = {
                "eks-cluster-name": cluster,
                "kubernetes-namespace": namespace,
                "kubernetes-service-account": service_account,
            }
            response = sts.assume_role(
                RoleArn=role,
                RoleSessionName=f"eks-{cluster}-{service_account}"[:64],
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
        except (BotoCoreError, ClientError) as error:
            return 500, {"message": str(error)}
        credentials = response["Credentials"]
        return 200, {
            "AccessKeyId": credentials["AccessKeyId"],
            "SecretAccessKey": credentials["SecretAccessKey"],
            "Token": credentials["SessionToken"],
            "AccountId": role.split(":")[4],
            "Expiration": credentials["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _role(self, region: str, cluster: str, namespace: str, service_account: str) -> str | None:
        eks = self._client("eks", region)
        associations = eks.list_pod_identity_associations(
            clusterName=cluster, namespace=namespace, serviceAccount=service_account
        )["associations"]
        for item in associations:
            association = eks.describe_pod_identity_association(
                clusterName=cluster, associationId=item["associationId"]
            )["association"]
            return str(association["roleArn"])
        return None

    def _client(self, service: str, region: str) -> Any:
        endpoint = self._account()
        if not endpoint:
            raise EndpointConnectionError(endpoint_url="the account, which has not started yet")
        session: Any = boto3.Session(
            aws_access_key_id="pods.eks.amazonaws.com",
            aws_secret_access_key="sandbox",  # noqa: S106 - no secret
            region_name=region,
        )
        config = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 1})
        return session.client(service, endpoint_url=endpoint, config=config)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, agent: PodIdentityAgent) -> None:
        self.agent = agent
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.path != _PATH:
            self.send_error(404)
            return
        status, content = self.server.agent.credentials(self.headers.get("Authorization", ""))
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        _LOG.debug(format, *arguments)


def _key(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()
