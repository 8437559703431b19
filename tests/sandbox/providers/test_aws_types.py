"""The lifecycle of every AWS type: preview, create, read, update, replace, import, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sandbox.providers.aws import handlers, sdk
from sandbox.providers.aws.properties import Property
from sandbox.providers.aws.properties import same as same_value
from sandbox.providers.property_values import UNKNOWN
from tests.sandbox.providers.aws_samples import SAMPLES, Needs, Sample
from tests.sandbox.providers.engine_client import CheckFailed, Client

_EVERY = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.token)


@pytest.fixture
def needs(aws: Client) -> Iterator[Needs]:
    result = Needs(aws)
    yield result
    result.remove()


@_EVERY
def test_type_has_a_complete_lifecycle(aws: Client, needs: Needs, sample: Sample) -> None:
    inputs = sample.inputs(needs)
    name = f"sample-{needs.number}"
    created = aws.create(sample.token, name, inputs)

    for output in {*handlers()[sample.token].outputs} - {*sample.absent}:
        assert output in created.state, f"create left {output} out of the state"
    response, _ = aws.diff(created, inputs)
    assert not response.diffs, "the same inputs must not be a change"

    read = aws.read(created)
    assert read is not None
    assert read.inputs == created.inputs, "a refresh without drift must not change the inputs"
    assert read.state == created.state, "a refresh without drift must not change the state"
    assert read.id == created.id

    imported = aws.import_(sample.token, name, sample.import_id(created))
    assert imported is not None
    assert imported.id == created.id
    named = handlers()[sample.token].autoname
    same = {**inputs, **({named.property: created.state[named.property]} if named else {})}
    response, _ = aws.diff(imported, same)
    untold = {key for key, spec in handlers()[sample.token].declared.items() if spec.write_only}
    assert not {*response.diffs} - untold, (
        "importing and then running the same program must not be a change"
    )

    if sample.update is not None:
        changed = {**inputs, **sample.update}
        response, _ = aws.diff(created, changed)
        assert set(sample.update) <= set(response.diffs)
        assert not response.replaces
        previewed = aws.update(created, changed, preview=True)
        for key in sample.update:
            assert same_value(
                previewed.state[key], changed[key], handlers()[sample.token].declared[key]
            )
        created = aws.update(created, changed)
        response, _ = aws.diff(created, changed)
        assert not response.diffs
        read = aws.read(created)
        assert read is not None
        assert read.inputs == created.inputs, "the update must have reached the account"
        inputs = changed

    if sample.replace is not None:
        response, _ = aws.diff(created, {**inputs, **sample.replace})
        assert set(sample.replace) == set(response.replaces)

    aws.delete(created)
    if not sample.lives_on:
        assert aws.read(created) is None
    aws.delete(created)  # deleting a missing resource succeeds


@_EVERY
def test_preview_has_inputs_and_unknown_computed_properties(
    aws: Client, needs: Needs, sample: Sample
) -> None:
    inputs = sample.inputs(needs)
    state = aws.preview(sample.token, "previewed", inputs)
    for output in handlers()[sample.token].outputs:
        assert state[output] is UNKNOWN
    for key in inputs:
        assert state[key] is not UNKNOWN


@_EVERY
def test_preview_accepts_unknown_inputs(aws: Client, needs: Needs, sample: Sample) -> None:
    inputs: dict[str, Any] = dict.fromkeys(sample.inputs(needs), UNKNOWN)
    state = aws.preview(sample.token, "previewed", inputs)
    for key in inputs:
        assert state[key] is UNKNOWN


def _with_unknowns(spec: Property) -> Iterator[Any]:
    """Return the property as unknown, as a whole and at each nested path."""
    yield UNKNOWN
    if spec.kind in ("list", "set", "map") and spec.items is not None:
        for inner in _with_unknowns(spec.items):
            yield {"key": inner} if spec.kind == "map" else [inner]
    for name, part in spec.fields.items():
        for inner in _with_unknowns(part):
            yield {name: inner}


@_EVERY
def test_preview_accepts_an_unknown_at_any_path(aws: Client, needs: Needs, sample: Sample) -> None:
    inputs = sample.inputs(needs)
    for key, spec in handlers()[sample.token].inputs.items():
        for value in _with_unknowns(spec):
            with suppress(CheckFailed):  # only an incomplete block may be refused
                aws.preview(sample.token, "previewed", {**inputs, key: value})


def test_every_declared_property_exists_in_the_sdk() -> None:
    for token, handler in handlers().items():
        existing = sdk.outputs(token) | sdk.arguments(token)
        assert existing, f"{token} is no type of pulumi_aws"
        declared = {*handler.inputs, *handler.outputs}
        assert declared <= existing, (
            f"{token} declares {sorted(declared - existing)}, which pulumi_aws does not have"
        )


def test_readme_lists_the_emulated_types() -> None:
    from sandbox.providers.aws import support_table

    readme = Path(support_table.__file__).with_name("README.md").read_text()
    written = readme.partition(support_table.BEGIN)[2].partition(support_table.END)[0]
    remedy = (
        "put what `python -m sandbox.providers.aws.support_table` prints between the two marks of "
        "sandbox/providers/aws/README.md"
    )
    assert written.strip() == support_table.tables(), remedy
