"""The sandbox's Kubernetes provider answers as Pulumi's; the record is that of Pulumi's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.provider_conformance import build, differences, providers
from tests.provider_conformance.cases import CASES
from tests.provider_conformance.providers import Answers
from tests.sandbox.kubernetes.conftest import Demo

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def expected() -> Answers:
    return differences.RECORD.load()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with providers.cluster(tmp_path_factory.mktemp("cluster")) as demo:
        yield demo


@pytest.fixture(scope="module")
def answers(demo: Demo) -> Answers:
    with providers.sandbox_provider(demo) as client:
        # Through JSON, because the record has no tuples.
        result: Answers = json.loads(json.dumps(providers.run_all(client, demo, "sandbox")))
    return result


@pytest.mark.parametrize("name", CASES)
def test_sandbox_provider_answers_as_pulumis(
    expected: Answers, answers: Answers, name: str
) -> None:
    if name in differences.KNOWN:
        assert answers[name] != expected[name], f"{name} agrees; remove it from the differences"
    else:
        assert answers[name] == expected[name]


def test_record_is_that_of_the_pinned_provider() -> None:
    """`python -m tests.provider_conformance --record` renews it, and prints what differs."""
    assert differences.RECORD.version() == build.version()


def test_document_is_generated_from_the_differences() -> None:
    assert differences.DOCUMENT.read_text() == differences.document()
