"""Each engine continues the other's stacks; random programs; the document of differences."""

from __future__ import annotations

import pytest

from tests.conformance.differences import DOCUMENT, document
from tests.conformance.engines import (
    Laboratory,
    cli,
    compare_one,
    differences,
    embedded,
    play,
)
from tests.conformance.generator import random_scenario
from tests.conformance.programs import IN_CI, SCENARIOS
from tests.pulumi import needs_cli

# Programs whose stack each engine continues at every stage.
_CONTINUED = (
    "chain",
    "delete before replace with replaced dependents",
    "nested components",
    "secret replacement",
    "failed creation after deletion",
    "failed deletion of the replaced",
    "partial creation",
    "vanished dependency",
    "replaced provider",
)


@needs_cli
@pytest.mark.parametrize("name", _CONTINUED)
@pytest.mark.parametrize("first", ["embedded", "cli"])
def test_each_engine_continues_the_others_stack(shared: Laboratory, name: str, first: str) -> None:
    engines = (embedded, cli) if first == "embedded" else (cli, embedded)
    scenario = SCENARIOS[name]
    alone, together = play(shared, scenario, embedded), play(shared, scenario, *engines)
    assert not differences(alone, together, loose=scenario.loose)


@needs_cli
@pytest.mark.parametrize("seed", range(8))
def test_engines_agree_on_random_programs(shared: Laboratory, seed: int) -> None:
    result = compare_one(shared, random_scenario(seed))
    assert not result, "\n".join(result)


def test_document_of_differences_is_current() -> None:
    assert document() == DOCUMENT.read_text(), "run `python -m tests.conformance --document`"


def test_ci_runs_at_least_120_programs() -> None:
    assert len(IN_CI) >= 120
