"""An API server by a kubeconfig's context: its address, its trust and the user's credentials."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from sandbox.kubernetes.upstream.credential_plugin import (
    CredentialPlugin,
    CredentialPluginError,
    Credentials,
)

Json = dict[str, Any]
_CONNECT_SECONDS = 10
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
        self._cluster = cluster
        self._lock = threading.Lock()
        self._tls_context: ssl.SSLContext | None = None
        self._loaded = ("", "")
        self._plugin: CredentialPlugin | None = None
        if user.get("exec"):
            self._plugin = CredentialPlugin(user["exec"], self._directory, self._plugin_cluster())
        self._usable_tls()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._url.geturl()

    def _plugin_cluster(self) -> Mapping[str, Any]:
        """Return the cluster's entry with its authority as data."""
        file = self._cluster.get("certificate-authority")
        if not file or self._cluster.get("certificate-authority-data"):
            return self._cluster
        with contextlib.suppress(OSError):  # which the first connection reports
            content = (self._directory / str(file)).read_bytes()
            data = base64.b64encode(content).decode()
            return {**self._cluster, "certificate-authority-data": data}
        return self._cluster

    def _usable_tls(self) -> ssl.SSLContext:
        try:
            return self._tls()
        except (OSError, ValueError) as error:
            raise UpstreamError(
                f"a certificate or key of {self.description} cannot be used: {error}. Correct "
                "the file."
            ) from None

    def path(self, path: str) -> str:
        """Return the path of a request below the server's URL."""
        return self._url.path + path

    def connect(self, timeout: float | None = None) -> http.client.HTTPConnection:
        """Open a connection. `timeout` limits each read; None waits. Raises UpstreamError."""
        secure = self._url.scheme == "https"
        host, port = self._url.hostname or "", self._url.port or (443 if secure else 80)
        connection = http.client.HTTPConnection(host, port)
        tls = self._usable_tls() if secure else None
        try:
            plain = socket.create_connection((host, port), _CONNECT_SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock = (
                tls.wrap_socket(plain, server_hostname=self._server_name) if tls else plain
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
        try:
            return self._request(method, path, body, content_type, query)
        except StatusError as error:
            if error.code != 401 or not self.renew_credentials():
                raise
        return self._request(method, path, body, content_type, query)

    def renew_credentials(self) -> bool:
        """Get other credentials for the next request; return whether a plugin can."""
        if self._plugin is None:
            return False
        self._plugin.forget()
        return True

    def _request(
        self, method: str, path: str, body: Any, content_type: str, query: Mapping[str, str]
    ) -> Json:
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
            file = self._directory / str(self._user["tokenFile"])
            try:
                return file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UpstreamError(
                    f"the token file {file} of {self.description} cannot be read: {error}."
                ) from None
        return self._plugin_credentials().token

    def _plugin_credentials(self) -> Credentials:
        """Return the credentials of the user's plugin; empty ones without a plugin."""
        if self._plugin is None:
            return Credentials()
        try:
            return self._plugin.credentials()
        except CredentialPluginError as error:
            raise UpstreamError(
                f"the credential plugin `{self._user['exec'].get('command')}` of "
                f"{self.description} fails: {error}. `kubectl get namespaces` with this context "
                "shows its messages."
            ) from None

    def _tls(self) -> ssl.SSLContext:
        """Return the context of new connections, with the user's present client certificate."""
        certificate = self._pem(self._user, "client-certificate")
        key = self._pem(self._user, "client-key")
        if not certificate:
            credentials = self._plugin_credentials()
            certificate, key = credentials.certificate, credentials.key
        with self._lock:
            if self._tls_context is None or self._loaded != (certificate, key):
                self._tls_context = self._context(certificate, key)
                self._loaded = (certificate, key)
            return self._tls_context

    def _context(self, certificate: str, key: str) -> ssl.SSLContext:
        authority = self._pem(self._cluster, "certificate-authority")
        context = ssl.create_default_context(cadata=authority or None)
        if self._cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
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
