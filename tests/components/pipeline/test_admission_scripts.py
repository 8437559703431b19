"""Scripts that sign images, verify signatures and check scans, with a registry and openssl."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.pipeline.buildspecs import inline_buildspec
from tests.sandbox.registry.client import Client, Running, credentials, emptied_ecr, emulated_ecr

TODAY = "2026-06-30"
# The AWS CLI, with ECR's answers from the registry and a key of openssl instead of KMS.
AWS = r"""
set -euo pipefail
arguments="$*"
value() { sed -n "s|.*$1\([^ ]*\).*|\1|p" <<<"$arguments"; }
case "$arguments" in
  *get-authorization-token*) echo "$TOKEN http://$HOST" ;;
  *describe-images*)
    url="http://$HOST/v2/app/manifests/$(value imageTag=)"
    headers="$(curl --silent --fail --user "$LOGIN" --head --header "Accept: */*" "$url")" ||
      { echo ImageNotFoundException >&2; exit 254; }
    tr -d '\r' <<<"$headers" | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p' ;;
  *"kms sign"*)
    openssl dgst -sha256 -sign "$KEYS/$(value '--key-id ')" "$(value '--message fileb://')" |
      base64 -w 0 ;;
  *"kms verify"*)
    openssl dgst -sha256 -prverify "$KEYS/$(value '--key-id ')" \
      -signature "$(value '--signature fileb://')" "$(value '--message fileb://')" ;;
  *describe-image-scan-findings*) cat "$SCAN_RESULT" ;;
  *get-pipeline-execution*) echo "$EXECUTION_TYPE" ;;
  *) echo "unexpected: aws $arguments" >&2; exit 2 ;;
esac
"""


def script(step: str, number: int) -> str:
    """A command of the build phase, or of the phase before it."""
    phases: dict[str, Any] = yaml.safe_load(inline_buildspec(step))["phases"]
    phase = phases.get("pre_build") or phases["build"]
    command: str = phase["commands"][number]
    return command


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Directory of the programs `aws`, `date` and `sleep`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in {"aws": AWS, "date": f"echo {TODAY}", "sleep": ""}.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}", encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


def run(command: str, path: Path, **environment: str) -> tuple[int, str]:
    result = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, (result.stdout + result.stderr).strip()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Any]]:
    with emulated_ecr() as endpoint:
        ecr = emptied_ecr(endpoint)
        running = Running(tmp_path_factory.mktemp("registry"))
        running.start()
        ecr.create_repository(repositoryName="app", imageTagMutability="IMMUTABLE")
        yield running, ecr
        running.stop()


def test_signature_covers_image_and_sbom(
    registry: tuple[Running, Any], path: Path, tmp_path: Path
) -> None:
    running, ecr = registry
    login = credentials(ecr)
    client = Client(running.host, login)
    digest = client.push("app", "commit")
    for key in ("ours", "other"):
        generate = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]
        subprocess.run([*generate, str(tmp_path / key)], check=True)
    environment = {
        "TOKEN": base64.b64encode(":".join(login).encode()).decode(),
        "LOGIN": ":".join(login),
        "HOST": running.host,
        "KEYS": str(tmp_path),
        "REPOSITORY_NAME": "app",
        "REPOSITORY_URL": f"{running.host}/app",
        "IMAGE_DIGEST": digest,
        "SIGNING_KEY": "ours",
    }
    sign, verify = script("sign", 1), script("deploy", 0)
    code, output = run(verify, path, **environment)
    assert code == 1
    assert output.startswith(f"app@{digest} is refused: it is not signed.")
    code, output = run(sign, path, **environment)
    assert (code, "has no SBOM" in output) == (1, True)
    tag = digest.replace(":", "-")
    client.push("app", f"{tag}.sbom")
    code, output = run(sign, path, **environment)
    assert code == 0, output
    assert run(sign, path, **environment) == (0, "The image is signed.")
    code, output = run(verify, path, **environment)
    assert code == 0, output
    code, output = run(verify, path, **{**environment, "SIGNING_KEY": "other"})
    assert code == 1
    assert output.endswith("is refused: its signature is not by other.")
    assert run(verify, path, **{**environment, "SIGNING_KEY": ""}) == (0, "")
    _check_format(client, tag, digest, running.host)
    other = client.push("app", "other")
    signature = client.call("GET", f"/v2/app/manifests/{tag}.sig").content
    client.put("app", f"{other.replace(':', '-')}.sig", signature)
    code, output = run(verify, path, **{**environment, "IMAGE_DIGEST": other})
    assert code == 1
    assert output.endswith("is refused: its signature is one of another image.")


def _check_format(client: Client, tag: str, digest: str, host: str) -> None:
    """cosign finds the signature by its tag, and ECR deletes it with its subject."""
    manifest = client.call("GET", f"/v2/app/manifests/{tag}.sig").json()
    assert manifest["subject"]["digest"] == digest
    [layer] = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert set(layer["annotations"]) == {"dev.cosignproject.cosign/signature"}
    payload = client.call("GET", f"/v2/app/blobs/{layer['digest']}").json()
    assert payload["critical"] == {
        "identity": {"docker-reference": f"{host}/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }


def finding(name: str, severity: str) -> dict[str, Any]:
    attributes = [{"key": "package_name", "value": "flask"}]
    return {"name": name, "severity": severity, "attributes": attributes}


ACCEPTED = {"id": "CVE-1", "reason": "not reachable", "until": TODAY}
OVER = {**ACCEPTED, "until": "2026-06-29"}
ENHANCED = {
    "severity": "CRITICAL",
    "packageVulnerabilityDetails": {
        "vulnerabilityId": "CVE-2",
        "vulnerablePackages": [{"name": "openssl", "version": "3.0"}],
    },
}


@pytest.mark.parametrize(
    ("scan", "findings", "environment", "code", "text"),
    [
        ("CRITICAL", {"findings": []}, {}, 0, "no finding of severity CRITICAL or above"),
        ("CRITICAL", {"findings": [finding("CVE-1", "HIGH")]}, {}, 0, "no finding"),
        ("HIGH", {"findings": [finding("CVE-1", "CRITICAL")]}, {}, 1, "CRITICAL CVE-1 in flask"),
        ("CRITICAL", {"enhancedFindings": [ENHANCED]}, {}, 1, "CRITICAL CVE-2 in openssl 3.0"),
        (
            "HIGH",
            {"findings": [finding("CVE-1", "HIGH")]},
            {"ACCEPTED_FINDINGS": json.dumps([ACCEPTED])},
            0,
            f"Accepted until {TODAY}: HIGH CVE-1 in flask (not reachable)",
        ),
        (
            "HIGH",
            {"findings": [finding("CVE-1", "HIGH")]},
            {"ACCEPTED_FINDINGS": json.dumps([OVER])},
            1,
            "1 finding(s) of severity HIGH or above",
        ),
        (
            "HIGH",
            {"findings": [finding("CVE-1", "HIGH")]},
            {"EXECUTION_ID": "1", "PIPELINE_NAME": "p", "EXECUTION_TYPE": "ROLLBACK"},
            0,
            "do not prevent a rollback",
        ),
        (
            "HIGH",
            {"findings": [finding("CVE-1", "HIGH")]},
            {"EXECUTION_ID": "1", "PIPELINE_NAME": "p", "EXECUTION_TYPE": "STANDARD"},
            1,
            "app@sha256:1 is refused: its scan has 1 finding(s)",
        ),
    ],
)
def test_findings_of_the_severity_or_above_prevent_a_release(
    path: Path,
    tmp_path: Path,
    scan: str,
    findings: dict[str, Any],
    environment: dict[str, str],
    code: int,
    text: str,
) -> None:
    result = {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": findings}
    assert_scan(path, tmp_path, result, code, text, SCAN=scan, **environment)


@pytest.mark.parametrize("status", ["UNSUPPORTED_IMAGE", "FAILED", "IN_PROGRESS"])
def test_image_without_a_complete_scan_is_refused(path: Path, tmp_path: Path, status: str) -> None:
    result = {"imageScanStatus": {"status": status, "description": "why"}}
    expected = "scan has not ended" if status == "IN_PROGRESS" else f"({status}: why)"
    assert_scan(path, tmp_path, result, 1, expected, SCAN="CRITICAL")
    assert_scan(path, tmp_path, result, 0, "", SCAN="NONE")


def assert_scan(
    path: Path, tmp_path: Path, result: dict[str, Any], code: int, text: str, **environment: str
) -> None:
    file = tmp_path / "scan.json"
    file.write_text(json.dumps(result), encoding="utf-8")
    defaults = {"REPOSITORY_NAME": "app", "IMAGE_DIGEST": "sha256:1", "ACCEPTED_FINDINGS": "[]"}
    variables = {**defaults, "SCAN_RESULT": str(file), **environment}
    ended, output = run(script("deploy", 1), path, **variables)
    assert (ended, text in output) == (code, True), output
