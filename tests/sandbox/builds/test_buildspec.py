"""Buildspecs that are refused, and how scalars are read."""

from __future__ import annotations

import pytest

from sandbox.builds import buildspec
from sandbox.builds.errors import PhaseError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0.2", "missing key phases"),
        ("version: 0.3\nphases: {build: {commands: [a]}}", "invalid value 0.3 at version"),
        ("version: 0.2\nphases: {buildd: {commands: [a]}}", "invalid value buildd at phases"),
        ("version: 0.2\nphases: {build: {command: [a]}}", "unknown key phases.build.command"),
        ("version: 0.2\nphases: {build: {commands: [a]}}\nenvs: 1", "unknown key envs"),
        (
            "version: 0.2\nphases: {build: {commands: [a: b]}}",
            "found subkeys instead at line 2, value of the key tag on line 1 might be empty",
        ),
        ("version: 0.2\nenv: {shell: fish}\nphases: {build: {}}", "unknown shell fish"),
        ("version: 0.2\nphases: {build: {on-failure: STOP}}", "invalid value STOP"),
        ("version: 0.2\nphases: {build: {}}\nproxy: {logs: yes}", "proxy is not emulated"),
        ("version: [0.2\nphases: a", "did not find expected"),
        (
            "version: 0.2\nphases:\n\tbuild: a",
            "found character that cannot start any token at line 3",
        ),
        ("- a", "must be a mapping"),
    ],
)
def test_invalid_buildspec_is_refused(text: str, message: str) -> None:
    with pytest.raises(PhaseError) as caught:
        buildspec.parse(text)
    assert caught.value.code == "YAML_FILE_ERROR"
    assert message in caught.value.message


def test_scalars_are_text() -> None:
    spec = buildspec.parse("""
version: 0.2
env: {variables: {A: 1, B: true, C: 3.10, D: ""}}
phases: {install: {runtime-versions: {python: 3.10}}}
""")
    assert spec.env.variables == {"A": "1", "B": "true", "C": "3.10", "D": ""}
    assert spec.phase("install").runtime_versions == {"python": "3.10"}


@pytest.mark.parametrize(
    ("mode", "count", "matches"),
    [("RETRY", 3, True), ("RETRY-7", 7, True), ("RETRY-2-timeout", 2, False), ("ABORT", 0, True)],
)
def test_retries(mode: str, count: int, matches: bool) -> None:
    number, pattern = buildspec.retries(mode)
    assert number == count
    assert (pattern is None or pattern.search("other") is not None) is matches
