"""Isolation from the shell: no variable leads to a real account, a proxy or foreign modules."""

from __future__ import annotations

import json
import shlex
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.engine.loopback import loopback_exemptions
from sandbox.runtime.environment import clean_environment
from tests.end_to_end.conftest import Sandbox


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that refuses and records every request."""
    asked: list[str] = []

    class Refusing(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode("latin1").strip())
            self.wfile.write(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.fixture
def hostile(tmp_path: Path, proxy: tuple[str, list[str]]) -> dict[str, str]:
    """Variables, files and modules that would each redirect a command."""
    (tmp_path / "aws").write_text(
        "[default]\nignore_configured_endpoint_urls = true\n[profile "
        "real]\nignore_configured_endpoint_urls = true\n"
    )
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in ("boto3", "click", "components", "grpc", "pulumi", "settings", "yaml"):
        (modules / f"{name}.py").write_text(
            "raise ImportError('a module from PYTHONPATH was imported')\n"
        )
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"), proxy[0])
    return {
        **proxies,
        **{name.upper(): value for name, value in proxies.items()},
        "AWS_ACCESS_KEY_ID": "AKIAREALREALREALREAL",
        "AWS_CONFIG_FILE": str(tmp_path / "aws"),
        "AWS_ENDPOINT_URL_S3": proxy[0],
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_PROFILE": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "KUBECONFIG": str(tmp_path / "real-cluster"),
        "PULUMI_ACCESS_TOKEN": "real",
        "PULUMI_BACKEND_URL": "https://api.pulumi.com",
        "PULUMI_CONFIG_PASSPHRASE": "another",
        "PULUMI_STACK": "prod",
        "PYTHONPATH": str(modules),
    }


def test_no_shell_variable_reaches_a_real_account(
    tmp_path: Path, hostile: dict[str, str], proxy: tuple[str, list[str]]
) -> None:
    sandbox = Sandbox(tmp_path / "home")
    try:
        previewed = sandbox.run("preview", "dev", "--json", environment=hostile)
        assert previewed.returncode == 0, previewed.stderr[-2000:]
        assert json.loads(previewed.stdout)["changes"]["create"] > 100
        listed = sandbox.run("inventory", "--json", environment=hostile)
        assert json.loads(listed.stdout)["resources"] == []
        assert proxy[1] == []

        message = json.loads(sandbox.run("env", "dev", "--json", environment=hostile).stdout)
        assert message["variables"]["KUBECONFIG"].startswith(
            str(tmp_path / "home")
        )  # set although there is no cluster yet
        exports = sandbox.run("env", "dev", environment=hostile).stdout
        shell = " ".join(f"{name}={shlex.quote(value)}" for name, value in hostile.items())
        line = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
        asked = sandbox.shell(
            f"export {shell}; {exports}\nunset PYTHONPATH; python -c {shlex.quote(line)}"
        )
        assert asked.stdout == "123456789012\n", asked.stderr
        assert proxy[1] == []
    finally:
        sandbox.run("stop")


def test_proxies_are_kept_for_other_hosts() -> None:
    remaining = clean_environment(
        {"https_proxy": "http://proxy:3128", "no_proxy": "intern.example", "AWS_ROLE_ARN": "real"}
    )
    assert remaining["https_proxy"] == "http://proxy:3128"
    assert (
        remaining["no_proxy"] == remaining["NO_PROXY"] == "intern.example,127.0.0.1,localhost,::1"
    )
    assert "AWS_ROLE_ARN" not in remaining


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"no_proxy": "*"}, "*"),
        ({"NO_PROXY": "localhost, a.example"}, "localhost,a.example,127.0.0.1,::1"),
        ({"no_proxy": "", "NO_PROXY": "a.example"}, "a.example,127.0.0.1,localhost,::1"),
    ],
)
def test_proxy_exemptions_are_kept(given: dict[str, str], kept: str) -> None:
    assert loopback_exemptions(given) == {"no_proxy": kept, "NO_PROXY": kept}
