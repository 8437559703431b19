"""Runs `__main__.py` under mocks, with a stack file and changes to it."""

import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
import pulumi.runtime
import yaml

from tests.program.recording import RecordedEks, Recording, RecordingMonitor

ROOT = Path(__file__).resolve().parents[2]


def stack_file(stack: str) -> dict[str, Any]:
    """Configuration of the stack file, without prefix."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    return {
        key.removeprefix("platform:"): value
        for key, value in yaml.safe_load(text)["config"].items()
    }


def run(
    body: Callable[[], None],
    *,
    project: str = "platform",
    stack: str = "dev",
    config: Mapping[str, str] | None = None,
    secret_keys: Sequence[str] = (),
) -> Recording:
    """Run `body` as a program until all its outputs are resolved."""
    recording = Recording()
    recording.monitor = monitor = RecordingMonitor(recording)
    pulumi.runtime.set_mocks(
        recording, project=project, stack=stack, preview=False, monitor=monitor
    )
    pulumi.runtime.set_all_config(dict(config or {}), list(secret_keys))
    with mock.patch("components.cluster.addon_catalog.eks_client", lambda *_: RecordedEks()):
        # The SDK's decorator has no types.
        pulumi.runtime.test(body)()  # type: ignore[no-untyped-call]
    return recording


def run_program(
    stack: str, changes: Mapping[str, Any] | None = None, secrets: Mapping[str, str] | None = None
) -> Recording:
    """Run the program. `changes` maps dotted keys to values: `{"cluster.compute": "auto"}`."""
    values = stack_file(stack)
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value
    config = {
        f"platform:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    config |= {f"platform:{key}": value for key, value in (secrets or {}).items()}
    return run(
        _main,
        stack=stack,
        config=config,
        secret_keys=[f"platform:{key}" for key in secrets or {}],
    )


def run_bootstrap() -> Recording:
    """Run the program of `make bootstrap` with its stack file."""
    text = (ROOT / "bootstrap" / "Pulumi.main.yaml").read_text(encoding="utf-8")
    config = {"bootstrap:prefix": "platform"}
    for key, value in yaml.safe_load(text)["config"].items():
        config[key] = value if isinstance(value, str) else json.dumps(value)
    program = str(ROOT / "bootstrap" / "__main__.py")
    return run(
        lambda: _discard(runpy.run_path(program, run_name="__main__")),
        project="bootstrap",
        stack="main",
        config=config,
    )


def _discard(variables: Mapping[str, Any]) -> None:
    """Return nothing: the SDK would await a program's result."""


def _main() -> None:
    runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__")
