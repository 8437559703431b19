"""Client certificates and exec plugins of a kubeconfig, against a server that checks them."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.kubernetes.upstream.kubeconfig import StatusError, Upstream, UpstreamError
from sandbox.runtime.certificate_authority import CertificateAuthority
from tests.sandbox.kubernetes.conftest import Demo
from tests.sandbox.kubernetes.test_upstream import forwarded

pytestmark = pytest.mark.server

TOKEN = "issued-by-the-plugin"


class Api(ThreadingHTTPServer):
    """Answers callers with a client certificate of its authority or an accepted token."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = CertificateAuthority(directory / "tls")
        self.accepted = {TOKEN}
        certificate, key = self.authority.issue("api", ["localhost"], ["127.0.0.1"])
        file = directory / "server.pem"
        file.write_bytes(certificate + key)
        super().__init__(("127.0.0.1", 0), _Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(file)
        tls.load_verify_locations(self.authority.certificate)
        tls.verify_mode = ssl.CERT_OPTIONAL
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def client_certificate(self, user: str) -> tuple[str, str]:
        """Return certificate and key of a user in PEM."""
        directory = self.directory / "tls"
        issuer = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
        ca_key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user)]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
            .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
            .add_extension(usage, critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(pem).decode(), private.decode()

    def kubeconfig(self, user: dict[str, Any]) -> Path:
        cluster = {
            "server": f"https://127.0.0.1:{self.server_port}",
            "certificate-authority": "tls/ca.pem",
        }
        content = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path = self.directory / "config"
        path.write_text(json.dumps(content))
        return path


class _Handler(BaseHTTPRequestHandler):
    server: Api
    connection: ssl.SSLSocket

    def do_GET(self) -> None:
        subject: Any = (self.connection.getpeercert() or {}).get("subject", ())
        user = dict(item for part in subject for item in part).get("commonName", "")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.server.accepted:
            user = "token"
        body = json.dumps({"user": user, "message": "Unauthorized"}).encode()
        self.send_response(200 if user else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    server = Api(tmp_path)
    yield server
    server.shutdown()
    server.server_close()


Plugin = Callable[..., dict[str, Any]]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Return a function that writes a plugin and returns its user entry.

    The plugin prints `status.json`, and appends its input from kubectl to `runs`.
    """
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "credentials"
    script.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$KUBERNETES_EXEC_INFO" >> {tmp_path}/runs\n'
        f'cat "{tmp_path}/$1"\n'
    )
    script.chmod(0o755)

    def write(entry: dict[str, Any] | None = None, **status: str) -> dict[str, Any]:
        (tmp_path / "status.json").write_text(json.dumps({"status": status}))
        command = {"command": "./bin/credentials", "args": ["status.json"]}
        return {
            "exec": {**command, "apiVersion": "client.authentication.k8s.io/v1"} | (entry or {})
        }

    return write


def runs(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "runs").read_text().splitlines()]


def user(upstream: Upstream) -> str:
    return str(upstream.request("GET", "/version")["user"])


def test_client_certificate_authenticates_its_user(api: Api, tmp_path: Path) -> None:
    certificate, key = api.client_certificate("deployer")
    data = {
        f"client-{name}-data": base64.b64encode(text.encode()).decode()
        for name, text in (("certificate", certificate), ("key", key))
    }
    assert user(Upstream(api.kubeconfig(data))) == "deployer"
    (tmp_path / "client.pem").write_text(certificate)
    (tmp_path / "client.key").write_text(key)
    files = {"client-certificate": "client.pem", "client-key": "client.key"}
    upstream = Upstream(api.kubeconfig(files))
    assert user(upstream) == "deployer"
    for name, text in zip(("pem", "key"), api.client_certificate("renewed"), strict=True):
        (tmp_path / f"client.{name}").write_text(text)
    assert user(upstream) == "renewed"
    (tmp_path / "client.key").write_text("no key")
    with pytest.raises(UpstreamError, match=r"a certificate or key of context x of .* be used"):
        user(upstream)


def test_caller_without_certificate_is_unauthorized(api: Api) -> None:
    with pytest.raises(StatusError, match="Unauthorized") as refused:
        user(Upstream(api.kubeconfig({})))
    assert refused.value.code == 401


def test_endpoint_forwards_with_a_client_certificate(api: Api, demo: Demo, tmp_path: Path) -> None:
    certificate, key = api.client_certificate("deployer")
    (tmp_path / "client.pem").write_text(certificate)
    (tmp_path / "client.key").write_text(key)
    path = api.kubeconfig({"client-certificate": "client.pem", "client-key": "client.key"})
    host, endpoint = forwarded(tmp_path / "forwarded", path, demo.principals)
    try:
        status, body = endpoint.request("GET", "/api/v1/namespaces")
        assert (status, body["user"]) == (200, "deployer")
    finally:
        host.stop()


def test_token_of_a_plugin_is_used_until_it_expires(
    api: Api, plugin: Plugin, tmp_path: Path
) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = plugin({"provideClusterInfo": True}, token=TOKEN, expirationTimestamp=later)
    upstream = Upstream(api.kubeconfig(entry))
    assert [user(upstream), user(upstream)] == ["token", "token"]
    [run] = runs(tmp_path)
    assert (run["kind"], run["spec"]["interactive"]) == ("ExecCredential", False)
    authority = base64.b64encode(api.authority.certificate.read_bytes()).decode()
    assert run["spec"]["cluster"] == {
        "server": f"https://127.0.0.1:{api.server_port}",
        "certificate-authority-data": authority,
    }
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    upstream = Upstream(api.kubeconfig(plugin(token=TOKEN, expirationTimestamp=soon)))
    user(upstream)
    before = len(runs(tmp_path))
    user(upstream)
    assert len(runs(tmp_path)) > before


def test_refused_token_of_a_plugin_is_renewed(
    api: Api, plugin: Plugin, demo: Demo, tmp_path: Path
) -> None:
    path = api.kubeconfig(plugin(token=TOKEN))
    upstream = Upstream(path)
    host, endpoint = forwarded(tmp_path / "forwarded", path, demo.principals)
    try:
        assert endpoint.request("GET", "/api/v1/namespaces")[1]["user"] == "token"
        assert user(upstream) == "token"
        api.accepted = {"renewed"}
        plugin(token="renewed")
        assert user(upstream) == "token"
        assert endpoint.request("GET", "/api/v1/namespaces")[1]["user"] == "token"
        api.accepted = set()
        with pytest.raises(StatusError, match="Unauthorized"):
            user(upstream)
        assert endpoint.request("GET", "/api/v1/namespaces")[0] == 401
    finally:
        host.stop()


def test_client_certificate_of_a_plugin_is_renewed_when_it_expires(
    api: Api, plugin: Plugin
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def issue(name: str) -> dict[str, Any]:
        certificate, key = api.client_certificate(name)
        return plugin(
            clientCertificateData=certificate, clientKeyData=key, expirationTimestamp=soon
        )

    upstream = Upstream(api.kubeconfig(issue("first")))
    assert user(upstream) == "first"
    issue("second")
    assert user(upstream) == "second"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            {"command": "no-such-plugin", "installHint": "Install it."},
            "no such command. Install it.",
        ),
        ({"command": "false"}, "it ended with code 1"),
        ({"command": "echo"}, "it printed no ExecCredential with a status"),
        ({}, "it printed neither a token nor a client certificate"),
    ],
)
def test_failing_plugin_is_reported_with_the_reason(
    api: Api, plugin: Plugin, entry: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UpstreamError) as refused:
        user(Upstream(api.kubeconfig(plugin(entry))))
    assert f"of context x of {api.directory / 'config'} fails: " in str(refused.value)
    assert reason in str(refused.value)
