"""Lifecycle policies against the examples and rules of the ECR user guide."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.account.services.ecr.lifecycle_policy import DAY, Candidate, expired

NOW = 1000 * DAY


def policy(*selections: dict[str, Any]) -> str:
    rules = [
        {"rulePriority": number, "selection": selection, "action": {"type": "expire"}}
        for number, selection in enumerate(selections, 1)
    ]
    return json.dumps({"rules": rules})


def images(*specification: tuple[str, tuple[str, ...], float]) -> list[Candidate]:
    """Candidates from (digest, tags, age in days), oldest first as they were pushed."""
    return [
        Candidate(digest=name, tags=tags, pushed_at=NOW - age * DAY)
        for name, tags, age in specification
    ]


def test_images_older_than_count_number_days_expire() -> None:
    rule = {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 14,
    }
    digests = expired(
        policy(rule), images(("old", (), 15), ("tagged", ("v1",), 99), ("new", (), 13)), NOW
    )
    assert digests == {"old": 1}


def test_newest_images_stay_and_push_order_breaks_ties() -> None:
    rule = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}
    digests = expired(policy(rule), images(("a", (), 1), ("b", ("x",), 1), ("c", (), 1)), NOW)
    assert digests == {"a": 1}


def test_image_selected_by_higher_priority_rule_is_counted_but_not_expired() -> None:
    keep = {
        "tagStatus": "tagged",
        "tagPrefixList": ["prod"],
        "countType": "imageCountMoreThan",
        "countNumber": 1,
    }
    rest = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}
    digests = expired(
        policy(keep, rest),
        images(("old", (), 4), ("prod1", ("prod1",), 3), ("mid", (), 2), ("prod2", ("prod2",), 1)),
        NOW,
    )
    assert digests == {"prod1": 1, "old": 2}


def test_all_patterns_must_match_a_tag() -> None:
    rule = {
        "tagStatus": "tagged",
        "tagPatternList": ["*-test", "alpha*"],
        "countType": "imageCountMoreThan",
        "countNumber": 1,
    }
    digests = expired(
        policy(rule),
        images(("a", ("alpha", "b-test"), 3), ("b", ("alpha",), 2), ("c", ("alpha-test",), 1)),
        NOW,
    )
    assert digests == {"a": 1}


def test_bound_image_is_neither_expired_nor_counted() -> None:
    rule = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    sbom = Candidate(digest="sbom", tags=(), pushed_at=NOW, bound=True)
    assert expired(policy(rule), [*images(("app", ("v1",), 5)), sbom], NOW) == {}


@given(ages=st.lists(st.integers(0, 400), max_size=30), keep=st.integers(1, 10))
def test_count_keeps_the_newest_images(ages: list[int], keep: int) -> None:
    rule = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}
    pushed = images(*((str(n), (), float(age)) for n, age in enumerate(sorted(ages, reverse=True))))
    gone = expired(policy(rule), pushed, NOW)
    assert len(pushed) - len(gone) == min(keep, len(pushed))
    assert all(int(digest) < len(pushed) - keep for digest in gone)
