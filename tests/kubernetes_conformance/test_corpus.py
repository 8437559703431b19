"""The emulated API server answers as the real one; the record is that of the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sandbox.runtime import kubernetes_build
from tests.kubernetes_conformance import differences, servers
from tests.kubernetes_conformance.answers import Answer
from tests.kubernetes_conformance.cases import CASES

Answers = dict[str, list[Answer]]


@pytest.fixture(scope="module")
def expected() -> Answers:
    return differences.RECORD.load()


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    with servers.emulated(tmp_path_factory.mktemp("emulated")) as server:
        return servers.run_all(server, CASES)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    if kubernetes_build.built() is None:
        pytest.skip("the real API server is not built; `make kubernetes` builds it")
    with servers.real(tmp_path_factory.mktemp("real")) as server:
        yield servers.run_all(server, CASES)


@pytest.mark.parametrize("name", CASES)
def test_emulated_server_answers_as_the_real_one(
    expected: Answers, emulated: Answers, name: str
) -> None:
    # Through JSON, because the record has no tuples.
    answers = json.loads(json.dumps(emulated[name]))
    if name in differences.KNOWN:
        assert answers != expected[name], f"{name} agrees; remove it from the listed differences"
    else:
        assert answers == expected[name]


@pytest.mark.server
def test_record_is_that_of_the_built_server(expected: Answers, real: Answers) -> None:
    differing = [name for name in CASES if real[name] != expected[name]]
    assert not differing, f"record the answers again: {differing}"
    assert differences.RECORD.version() == kubernetes_build.version()


def test_document_is_generated_from_the_differences() -> None:
    assert differences.DOCUMENT.read_text() == differences.document()
