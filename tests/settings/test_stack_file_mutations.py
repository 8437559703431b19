"""A damaged stack file is accepted, or refused with file, key and remedy, without a traceback.

`make bench` runs 2,000 mutations.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.stack_file_mutations import ROOT, STACKS, mutate, refusal


@settings(
    max_examples=300,
    deadline=5000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(STACKS), st.randoms(use_true_random=False))
def test_mutated_stack_file_is_refused_or_accepted(
    tmp_path: Path, stack: str, chance: random.Random
) -> None:
    text = mutate((ROOT / f"Pulumi.{stack}.yaml").read_text(), chance)
    reason = refusal(text, tmp_path, stack)
    assert reason is None or f"Pulumi.{stack}.yaml" in reason


@pytest.mark.parametrize("stack", STACKS)
def test_stack_file_of_the_project_is_accepted(tmp_path: Path, stack: str) -> None:
    assert refusal((ROOT / f"Pulumi.{stack}.yaml").read_text(), tmp_path, stack) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("enabled: true", "enabled: true\n    name: rdsadmin", "database.name: is reserved"),
        ("enabled: true", "enabled: true\n    name: template1", "database.name: is reserved"),
        ("enabled: true", 'enabled: true\n    engine_version: "14.0"', "must be a PostgreSQL ver"),
        ("branch: main", "branch: ..", "pipeline.source.branch: must be"),
        ("branch: main", "branch: x.lock", "pipeline.source.branch: must be"),
        ("branch: main", "branch: a..b", "pipeline.source.branch: must be"),
        ("team: platform", 'team: ""', "aws.tags.team: must be a tag's value"),
        ("keep: 20", "keep: 1:30", "'1:30' is ambiguous"),
        ("minimum: 1", "minimum: 1\n    environment: {PATH: /bin}", "environment.PATH: is set by"),
        ("minimum: 1", "minimum: 1\n    environment: {LD_PRELOAD: x}", "is set by the image"),
        ("minimum: 1", 'minimum: 1\n    environment: {A: "\\0"}', "must not contain NUL"),
        ("cidr: 10.10.0.0/16", "cidr: 127.0.0.0/16", "network.cidr: must be a private network"),
        ("cidr: 10.10.0.0/16", "cidr: 0.0.0.0/16", "network.cidr: must be a private network"),
        ("172.20.0.0/16", "169.254.0.0/16", "service_cidr: must be a private network"),
        ("      team: platform", "\n".join(f"      t{n}: x" for n in range(60)), "at most 46"),
    ],
)
def test_value_that_a_service_refuses_is_refused_with_its_key(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    assert old in text
    assert reason in (refusal(text.replace(old, new, 1), tmp_path, "dev") or "accepted")


def test_api_that_is_open_to_all_networks_together_is_refused(tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    networks = "\n".join(f"        - {number}.0.0.0/8" for number in range(256))
    text = text.replace(
        "        - 203.0.113.0/24 # doc", f"{networks}\n        - 203.0.113.0/24 # doc"
    )
    assert "these networks open the Kubernetes API" in (refusal(text, tmp_path, "dev") or "")


def test_instance_class_must_offer_the_database_version(tmp_path: Path) -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    changed = text.replace("enabled: true", 'enabled: true\n    engine_version: "14.4"')
    assert "db.m7g offers PostgreSQL 14 from 14.5 on" in (refusal(changed, tmp_path, "prod") or "")
    accepted = text.replace("enabled: true", 'enabled: true\n    engine_version: "14.5"')
    assert refusal(accepted, tmp_path, "prod") is None
