"""Load balancers as builds reach them, with curl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sandbox.builds import host_names
from sandbox.runtime.certificate_authority import CertificateAuthority

pytestmark = pytest.mark.server

NAME = "guestbook.example.com"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"served")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_curl_verifies_a_load_balancer_by_its_name_and_uses_no_proxy(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on PATH")
    authority = CertificateAuthority(tmp_path / "tls")
    certificate, key = authority.issue(NAME, [NAME])
    (tmp_path / "server.pem").write_bytes(certificate + key)
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    (tmp_path / "home").mkdir()
    listener = {f"{NAME}:443": server.server_port}
    host_names.write(tmp_path, {}, listener, authority.pem)
    try:
        ran = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "20", f"https://{NAME}/"],
            env={"HOME": str(tmp_path / "home"), "HTTPS_PROXY": "http://127.0.0.1:1"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.shutdown()
        server.server_close()
    assert (ran.stdout, ran.stderr) == ("served", "")
