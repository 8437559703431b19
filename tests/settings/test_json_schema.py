"""docs/stack-file.schema.json agrees with the settings; the validator is jsonschema."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from bench.stack_file_mutations import ROOT, STACKS, mutate, refusal
from settings import json_schema

VALIDATOR = Draft202012Validator(json_schema.schema())


def problems(text: str) -> list[str]:
    document = yaml.safe_load(text)
    # Numbers of JSON; YAML has dates as well.
    plain: Any = json.loads(json.dumps(document, default=str))
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in VALIDATOR.iter_errors(plain)
    ]


def test_schema_is_generated_from_the_code() -> None:
    assert json_schema.FILE.read_text(encoding="utf-8") == json_schema.text()
    Draft202012Validator.check_schema(json_schema.schema())


@pytest.mark.parametrize("stack", STACKS)
def test_stack_files_are_valid_and_name_the_schema(stack: str) -> None:
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    assert problems(text) == []
    assert "# yaml-language-server: $schema=docs/stack-file.schema.json" in text.splitlines()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("zones: 2", "zones: 9", "network.zones"),
        ("zones: 2", "zonse: 2", "network"),
        ("platform:network:", "platform:netwrk:", "config"),
        ('version: "1.35"', "version: 1.35", "cluster.version"),
        ("nat: single", "nat: double", "network.nat"),
        ("flow_log_days: 7", "flow_log_days: 8", "network.flow_log_days"),
        ("region: us-east-1", "region: us-east-9", "aws.region"),
        ("cidr: 10.10.0.0/16", "cidr: 10.10.0.0", "network.cidr"),
        ("instance_class: db.t4g.micro", "instance_class: t4g", "database.instance_class"),
        ("    namespace: guestbook\n", "", "workload"),
    ],
)
def test_invalid_value_is_reported_at_its_key(old: str, new: str, key: str) -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    assert old in text
    result = problems(text.replace(old, new, 1))
    assert result
    assert all(key in problem for problem in result)


def test_secret_is_valid_and_plain_text_in_its_place_is_not() -> None:
    text = (ROOT / "Pulumi.dev.yaml").read_text()
    assert problems(f"{text}  platform:API_TOKEN:\n    secure: v1:abc\n") == []
    assert problems(f"{text}  platform:API_TOKEN: abc\n")


@settings(
    max_examples=150,
    deadline=5000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(STACKS), st.randoms(use_true_random=False))
def test_what_the_settings_accept_is_valid(
    tmp_path: Path, stack: str, chance: random.Random
) -> None:
    text = mutate((ROOT / f"Pulumi.{stack}.yaml").read_text(), chance)
    if refusal(text, tmp_path, stack) is None:
        assert problems(text) == []
