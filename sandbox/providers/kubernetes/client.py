"""A Kubernetes client for the provider: kubeconfig, EKS tokens and the API server's errors."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.kubernetes import token as eks_token
from sandbox.providers.failures import Failure

_TOKEN_SECONDS = 600.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class ApiStatusError(Exception):
    """An error response of the API server: its `Status`."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message", status)))
        self.status = status
        self.code, self.reason = int(status.get("code", 0)), str(status.get("reason", ""))


class UnreachableError(Exception):
    """The API server does not respond."""


class Client:
    """The cluster of a kubeconfig's context."""

    def __init__(self, kubeconfig: Any, context: str = "", cluster: str = "") -> None:
        content = _content(kubeconfig)
        chosen = context or str(content.get("current-context") or "")
        context_entry = _named(content, "contexts", chosen).get("context") or {}
        if not context_entry and chosen:
            names = (
                ", ".join(str(item.get("name")) for item in content.get("contexts") or ()) or "none"
            )
            raise Failure(f'the kubeconfig has no context "{chosen}" (it has: {names}).')
        server = (
            _named(content, "clusters", cluster or str(context_entry.get("cluster", ""))).get(
                "cluster"
            )
            or {}
        )
        if not server.get("server"):
            raise Failure(
                "the kubeconfig names no cluster: set its current-context, or the provider's "
                "`context`."
            )
        self.namespace = str(context_entry.get("namespace") or "")
        self.server = str(server["server"]).rstrip("/")
        self._user = _named(content, "users", str(context_entry.get("user", ""))).get("user") or {}
        self._token: tuple[float, str] = (0.0, "")
        self._lock = threading.Lock()
        self._pool = _pool(self.server, server)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> tuple[Any, list[str]]:
        """Return the response and its warnings. Raises RefusedError or UnreachableError."""
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": "pulumi-kubernetes/4.34.2"}
        token = self._bearer()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            response = self._pool.request(
                method,
                url,
                body=json.dumps(body).encode() if body is not None else None,
                headers=headers,
                timeout=urllib3.Timeout(connect=10, read=60),
                retries=urllib3.Retry(2, redirect=0, status=0, read=0),
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self.server}: {_plain(error)}") from None
        try:
            content = json.loads(response.data)
        except ValueError:
            content = {
                "message": response.data.decode(errors="replace")[:500],
                "code": response.status,
            }
        if response.status >= 400:
            if not isinstance(content, dict):
                content = {}
            content.setdefault("code", response.status)
            raise ApiStatusError(content)
        warnings = [_warning(text) for text in response.headers.getlist("Warning")]
        return content, warnings

    def stream(self, path: str) -> Iterator[str]:
        """Yield the lines of a text response. Raises ApiStatusError or UnreachableError."""
        headers = {"Authorization": f"Bearer {token}"} if (token := self._bearer()) else {}
        try:
            response = self._pool.request(
                "GET",
                self.server + path,
                headers=headers,
                preload_content=False,
                timeout=urllib3.Timeout(connect=10, read=None),
            )
            if response.status >= 400:
                raise ApiStatusError(json.loads(response.data))
            rest = b""
            for chunk in response.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self.server}: {_plain(error)}") from None

    def _bearer(self) -> str:
        if self._user.get("token"):
            return str(self._user["token"])
        execution = self._user.get("exec")
        if not execution:
            return ""
        with self._lock:
            expiry, token = self._token
            if time.monotonic() > expiry:
                token = _credential_token(execution)
                self._token = (time.monotonic() + _TOKEN_SECONDS, token)
            return token


def _plain(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).split(": ", 1)[-1]


def _warning(text: str) -> str:
    parts = text.split('"', 1)
    return (
        parts[1].rsplit('"', 1)[0].replace('\\"', '"').replace("\\\\", "\\")
        if len(parts) > 1
        else text
    )


def _content(kubeconfig: Any) -> Mapping[str, Any]:
    if isinstance(kubeconfig, Mapping):
        return kubeconfig
    text = str(kubeconfig)
    if "\n" not in text and not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        if not path.is_file():
            raise Failure(
                f"the provider's kubeconfig is neither the content of one nor a file: {path.name}."
            )
        text = path.read_text()
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise Failure("the provider's kubeconfig cannot be read as YAML or JSON.") from None
    if not isinstance(content, Mapping):
        raise Failure("the provider's kubeconfig is not a kubeconfig.")
    return content


def _named(content: Mapping[str, Any], part: str, name: str) -> Mapping[str, Any]:
    for item in content.get(part) or ():
        if item.get("name") == name:
            entry: Mapping[str, Any] = item
            return entry
    return {}


def _pool(server: str, cluster: Mapping[str, Any]) -> urllib3.PoolManager:
    tls = ssl.create_default_context()
    if cluster.get("certificate-authority-data"):
        tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
    elif cluster.get("certificate-authority"):
        tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    proxy = cluster.get("proxy-url")
    # A proxy leads into the VPC; the sandbox's API server is on loopback.
    if proxy and urlsplit(server).hostname not in _LOOPBACK:
        return urllib3.ProxyManager(str(proxy), ssl_context=tls, maxsize=16)
    return urllib3.PoolManager(ssl_context=tls, maxsize=16)


def _credential_token(execution: Mapping[str, Any]) -> str:
    """Run a credential plugin; `aws eks get-token` is emulated, so the aws CLI is not needed."""
    command, arguments = (
        str(execution.get("command", "")),
        [str(item) for item in execution.get("args") or ()],
    )
    environment = {str(item["name"]): str(item["value"]) for item in execution.get("env") or ()}
    if Path(command).name == "aws" and "get-token" in arguments:
        name = _option(arguments, "--cluster-name") or _option(arguments, "--cluster-id")
        if not name:
            raise Failure("the kubeconfig's `aws eks get-token` names no cluster (--cluster-name).")
        region = _option(arguments, "--region") or environment.get("AWS_REGION")
        try:
            return eks_token.sign(name, region, _option(arguments, "--role-arn"))
        except (BotoCoreError, ClientError) as error:
            raise Failure(f"no token for the EKS cluster {name}: {error}") from None
    try:
        process = subprocess.run(
            [command, *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return str(json.loads(process.stdout)["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise Failure(
            f"the kubeconfig's credential plugin `{command}` gave no token: {type(error).__name__}."
        ) from None


def _option(arguments: list[str], name: str) -> str | None:
    for index, item in enumerate(arguments):
        if item == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if item.startswith(f"{name}="):
            return item.split("=", 1)[1]
    return None
