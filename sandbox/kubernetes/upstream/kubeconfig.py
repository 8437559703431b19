"""An API server by a kubeconfig's context: its address, its trust and the user's credentials."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

Json = dict[str, Any]
_CONNECT_SECONDS = 10
_PLUGIN_SECONDS = 60
# A plugin's token lives longer; it is renewed early, because the file does not say how long.
_TOKEN_SECONDS = 300.0
_UNSUPPORTED = {
    "auth-provider": "Kubernetes removed it; use an exec plugin",
    "act-as": "use a user without it",
}


class UpstreamError(Exception):
    """The API server or its kubeconfig is unusable; the message names the remedy."""


class StatusError(Exception):
    """An error response of the API server."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Upstream:
    """The API server of a context; connections carry the credentials of the context's user."""

    def __init__(self, path: Path, context: str = "") -> None:
        content = _load(path)
        name = context or str(content.get("current-context") or "")
        entry = _named(content, "contexts", name).get("context")
        if not entry:
            names = ", ".join(str(item.get("name")) for item in content.get("contexts") or ())
            problem = f"has no context {name}" if name else "has no current context"
            raise UpstreamError(
                f"the kubeconfig {path} {problem}. Add #CONTEXT with one of its contexts: "
                f"{names or 'it has none'}."
            )
        self.description = f"context {name} of {path}"
        cluster = _named(content, "clusters", str(entry.get("cluster"))).get("cluster") or {}
        user = _named(content, "users", str(entry.get("user"))).get("user") or {}
        self._directory = path.parent  # relative paths in the file start there
        if not cluster.get("server"):
            raise UpstreamError(f"{self.description} names no server. Correct the file.")
        if cluster.get("proxy-url"):
            raise UpstreamError(
                f"{self.description} needs a proxy, which the sandbox does not use. Name a "
                "context that reaches the API server directly."
            )
        for setting, remedy in _UNSUPPORTED.items():
            if user.get(setting):
                raise UpstreamError(f"{self.description} uses {setting}: {remedy}.")
        self._url = urlsplit(str(cluster["server"]).rstrip("/"))
        self._server_name = str(cluster.get("tls-server-name") or self._url.hostname)
        self._user = user
        self._lock = threading.Lock()
        self._plugin_token = (0.0, "")
        try:
            self._tls = self._context(cluster)
        except (OSError, ValueError) as error:
            raise UpstreamError(
                f"a certificate or key of {self.description} cannot be used: {error}. Correct "
                "the file."
            ) from None

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._url.geturl()

    def path(self, path: str) -> str:
        """Return the path of a request below the server's URL."""
        return self._url.path + path

    def connect(self, timeout: float | None = None) -> http.client.HTTPConnection:
        """Open a connection. `timeout` limits each read; None waits. Raises UpstreamError."""
        secure = self._url.scheme == "https"
        host, port = self._url.hostname or "", self._url.port or (443 if secure else 80)
        connection = http.client.HTTPConnection(host, port)
        try:
            plain = socket.create_connection((host, port), _CONNECT_SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock = (
                self._tls.wrap_socket(plain, server_hostname=self._server_name) if secure else plain
            )
            connection.sock.settimeout(timeout)
        except OSError as error:
            raise UpstreamError(
                f"{self.description} ({self.server}) does not answer: {error}."
            ) from None
        return connection

    def authorization(self) -> dict[str, str]:
        """Return the header that authenticates the user; empty with a client certificate."""
        if token := self._token():
            return {"Authorization": f"Bearer {token}"}
        if self._user.get("username"):
            pair = f"{self._user['username']}:{self._user.get('password', '')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        **query: str,
    ) -> Json:
        """Return the document of a response. Raises StatusError and UpstreamError."""
        headers = {"Accept": "application/json", "User-Agent": "sandbox", **self.authorization()}
        if body is not None:
            headers["Content-Type"] = content_type
        connection = self.connect(timeout=60)
        try:
            target = self.path(path) + (f"?{urlencode(query)}" if query else "")
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise UpstreamError(
                f"{self.description} ({self.server}) does not answer: {error}."
            ) from None
        finally:
            connection.close()
        try:
            document: Json = json.loads(content)
        except ValueError:
            document = {"message": content.decode(errors="replace")[:300]}
        if response.status >= 400:
            raise StatusError(response.status, str(document.get("message", response.reason)))
        return document

    def _token(self) -> str:
        if self._user.get("token"):
            return str(self._user["token"])
        if self._user.get("tokenFile"):
            return (self._directory / str(self._user["tokenFile"])).read_text().strip()
        if not self._user.get("exec"):
            return ""
        with self._lock:
            expiry, token = self._plugin_token
            if time.monotonic() > expiry:
                token = str(self._run_plugin().get("token") or "")
                self._plugin_token = (time.monotonic() + _TOKEN_SECONDS, token)
            return token

    def _run_plugin(self) -> Json:
        plugin: Mapping[str, Any] = self._user["exec"]
        variables = {str(item["name"]): str(item["value"]) for item in plugin.get("env") or ()}
        request = {
            "apiVersion": plugin.get("apiVersion", "client.authentication.k8s.io/v1"),
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        try:
            ran = subprocess.run(
                [str(plugin["command"]), *map(str, plugin.get("args") or ())],
                env={**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(request)},
                capture_output=True,
                text=True,
                check=True,
                timeout=_PLUGIN_SECONDS,
            )
            status: Json = json.loads(ran.stdout)["status"]
        except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            raise UpstreamError(
                f"the credential plugin `{plugin.get('command')}` of {self.description} fails "
                f"({type(error).__name__}). Run `kubectl get namespaces` with this context to "
                "see why."
            ) from None
        return status

    def _context(self, cluster: Mapping[str, Any]) -> ssl.SSLContext:
        authority = self._pem(cluster, "certificate-authority")
        context = ssl.create_default_context(cadata=authority or None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate = self._pem(self._user, "client-certificate")
        key = self._pem(self._user, "client-key")
        if self._user.get("exec") and not certificate:
            status = self._run_plugin()
            certificate = str(status.get("clientCertificateData") or "")
            key = str(status.get("clientKeyData") or "")
            self._plugin_token = (
                time.monotonic() + _TOKEN_SECONDS,
                str(status.get("token") or ""),
            )
        if certificate:
            with _temporary_file(f"{certificate}\n{key}") as file:
                context.load_cert_chain(file)
        return context

    def _pem(self, entry: Mapping[str, Any], name: str) -> str:
        if entry.get(f"{name}-data"):
            return base64.b64decode(str(entry[f"{name}-data"])).decode()
        if entry.get(name):
            return (self._directory / str(entry[name])).read_text()
        return ""


@contextmanager
def _temporary_file(content: str) -> Iterator[str]:
    """Yield a file that only its owner reads: `ssl` takes certificates from files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(content)
        file.flush()
        yield file.name


def _load(path: Path) -> Json:
    remedy = "Name a file that `kubectl --kubeconfig` can use."
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UpstreamError(f"there is no kubeconfig {path}. {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UpstreamError(f"the kubeconfig {path} cannot be read ({error}). {remedy}") from None
    except yaml.YAMLError:
        raise UpstreamError(f"{path} is not YAML. {remedy}") from None
    if not isinstance(content, dict):
        raise UpstreamError(f"{path} is no kubeconfig. {remedy}")
    return content


def _named(content: Mapping[str, Any], part: str, name: str) -> Mapping[str, Any]:
    for item in content.get(part) or ():
        if item.get("name") == name:
            entry: Mapping[str, Any] = item
            return entry
    return {}
