"""Configures all tests: compiled code is cached, examples of Hypothesis are reproducible."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from sandbox.runtime import interpreter

interpreter.isolate()

# Every run uses the same examples. `--hypothesis-profile=search` draws new ones; each failure
# becomes an @example with its fix.
_PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.register_profile("repeatable", _PATIENT, derandomize=True, database=None, max_examples=200)
settings.register_profile("search", _PATIENT, print_blob=True, max_examples=3000)
settings.load_profile("repeatable")

# The Pulumi CLI in the user's cache, which another clone may have built, starts its language host
# with this Python.
os.environ["SANDBOX_PYTHON"] = sys.executable

# Hypothesis mixes constants of loaded modules into its examples, which differ between workers of
# xdist; it has no setting for that.
_of_loaded_modules = providers._get_local_constants
providers._get_local_constants = lambda: (
    providers._local_constants
    if settings.default and settings.default.derandomize
    else _of_loaded_modules()
)

_TESTS = Path(__file__).parent
_MARKERS = {
    "app/db/test_outage.py": "database",
    "app/test_server.py": "server",
    "bootstrap": "engine",
    "conformance": "engine",
    "documentation/test_how_to_guides.py": "end_to_end",
    "documentation/test_aws_readiness.py": "slow",
    "documentation/test_site.py": "slow",
    "program/test_cfn_lint.py": "slow",
    "program/test_iam_linter.py": "slow",
    "documentation/test_tutorial.py": "end_to_end",
    "end_to_end": "end_to_end",
    "examples": "engine",
    "kubernetes_conformance": "server",
    "provider_conformance": "server",
    "sandbox/account": "server",
    "sandbox/builds": "server",
    "sandbox/console/test_command.py": "server",
    "sandbox/console/test_pipelines.py": "server",
    "sandbox/databases": "database",
    "sandbox/engine": "engine",
    "sandbox/images": "container",
    "sandbox/kubernetes": "server",
    "sandbox/pipelines": "server",
    "sandbox/providers": "server",
    "sandbox/runtime/test_stack_config.py": "engine",
    "settings/test_stack_file_mutations.py": "slow",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by path and fixture; pyproject.toml describes the markers."""
    for item in items:
        path = item.path.relative_to(_TESTS).as_posix()
        for prefix, marker in _MARKERS.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                item.add_marker(marker)
        if isinstance(item, pytest.Function):
            for fixture in {"postgres", "browser"}.intersection(item.fixturenames):
                item.add_marker("database" if fixture == "postgres" else fixture)
