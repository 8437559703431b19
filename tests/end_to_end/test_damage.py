"""A few kinds of the damage and kills of `python -m bench damage` and `python -m bench kills`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.damage import Damages
from bench.kills import Kills


@pytest.fixture(scope="module")
def damages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damages]:
    damages = Damages(tmp_path_factory.mktemp("damage"), cluster=False)
    yield damages
    damages.stop()


@pytest.mark.parametrize(
    ("name", "damage", "result"),
    [
        ("account/journal.jsonl", "truncated", "refused: repair"),
        ("state/.pulumi/stacks/small/dev.json", "deleted", "refused: import"),
    ],
)
def test_next_run_after_damage_is_complete_or_names_the_remedy(
    damages: Damages, name: str, damage: str, result: str
) -> None:
    assert damages.try_damage(name, damage) == (result, "")


def test_next_run_after_a_kill_is_complete(tmp_path: Path) -> None:
    kills = Kills(tmp_path, seed=1)
    try:
        assert [kills.round() for _ in range(2)] == [""] * 2
    finally:
        kills.stop()
