"""Scripts of the buildspecs in app/buildspecs."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

BUILDSPECS = Path("app/buildspecs")


def buildspec(step: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (BUILDSPECS / f"{step}.yml").read_text(encoding="utf-8")
    )
    return document


@pytest.mark.parametrize("step", sorted(file.stem for file in BUILDSPECS.glob("*.yml")))
def test_commands_are_valid_bash(step: str) -> None:
    phases = buildspec(step)["phases"]
    script = "\n".join(command for phase in phases.values() for command in phase["commands"])
    result = subprocess.run(
        ["bash", "-n"], input=script, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_promotion_copies_the_manifest_unchanged() -> None:
    """Without the option, buildx wraps a single manifest in an index with another digest."""
    script = (BUILDSPECS / "promote.yml").read_text(encoding="utf-8")
    assert "imagetools create --prefer-index=false" in script


@pytest.mark.parametrize(
    ("page", "failures", "code", "last_line"),
    [
        (
            "sha256:new",
            0,
            0,
            "In 1 minutes after that, 0 of 12 questions were not answered in 2 s.",
        ),
        (
            "sha256:new",
            1,
            1,
            "http://one.test failed 1 of 1 times, or took longer than 2 s: not a release to keep.",
        ),
        ("sha256:old", 0, 1, "http://one.test doesn't answer as sha256:new."),
    ],
    ids=["healthy", "failing during the bake", "another release"],
)
def test_verification_requests_the_service_for_the_bake_time(
    tmp_path: Path, page: str, failures: int, code: int, last_line: str
) -> None:
    (script,) = buildspec("verify")["phases"]["build"]["commands"]
    # Responds at first; during the bake (time-out 2 s), the given number of requests fail.
    curl = f"""case "$*" in *"--max-time 2 "*)
        echo . >> {tmp_path}/requests
        if [ "$(wc -l < {tmp_path}/requests)" -le {failures} ]; then exit 22; fi
    esac
    echo {page}"""
    for name, body in {"curl": curl, "sleep": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "URL": "http://one.test",
        "IMAGE_DIGEST": "sha256:new",
        "BAKE_MINUTES": "1",
    }
    result = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    output = (result.stdout + result.stderr).splitlines()
    assert (result.returncode, output[-1]) == (code, last_line)


@pytest.mark.parametrize("step", ["build", "promote"])
def test_commit_of_a_source_without_one_is_a_hash_of_its_content(step: str, tmp_path: Path) -> None:
    document = buildspec(step)
    (command,) = [c for c in document["phases"]["pre_build"]["commands"] if "sha256sum" in c]
    assert "COMMIT" in document["env"]["exported-variables"]

    def commit_of(folder: str, text: str, commit: str = "content") -> str:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "a file.txt").write_text(text)
        return subprocess.run(
            ["bash", "-c", f'set -euo pipefail\n{command}\necho "$COMMIT"'],
            cwd=path,
            env={**os.environ, "COMMIT": commit},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    assert re.fullmatch("[0-9a-f]{40}", commit_of("one", "text"))
    assert commit_of("one", "text") == commit_of("two", "text") != commit_of("three", "other")
    assert commit_of("one", "text", commit="abc") == "abc"
