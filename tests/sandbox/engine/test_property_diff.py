"""Changed properties: `old => new`, JSON by its parts, nothing cut where it differs."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.engine.display.property_diff import describe_change
from sandbox.engine.request import PropertyChange


def lines(old: Any, new: Any, kind: str = "update") -> list[str]:
    return [line.plain for line in describe_change(PropertyChange("p", kind, old, new))]


def statement(sid: str, *actions: str) -> dict[str, Any]:
    return {"Sid": sid, "Action": list(actions)}


def test_policy_shows_the_changed_statement_only() -> None:
    old = json.dumps({"Version": "2012", "Statement": [statement("A", "x"), statement("B", "y")]})
    new = json.dumps({"Version": "2012", "Statement": [statement("A", "x"), statement("B", "z")]})
    assert lines(old, new) == ["~ p: (json)", '    ~ Statement[1].Action[0]: "y" => "z"']


def test_inserted_element_is_one_addition() -> None:
    assert lines('["b", "c"]', '["a", "b", "c"]') == ["~ p: (json)", '    + [0]: "a"']
    assert lines('["a", "b", "c"]', '["b", "c"]') == ["~ p: (json)", '    - [0]: "a"']


def test_json_within_json_is_compared_by_its_parts() -> None:
    old, new = (json.dumps({"body": json.dumps({"width": width})}) for width in (1, 2))
    assert lines(old, new) == ["~ p: (json)", "    ~ body.width: 1 => 2"]


def test_lines_of_a_text_are_compared_one_by_one() -> None:
    assert lines("a\nb\nc\n", "a\nx\nc\n") == ["~ p: (text)", "    - b", "    + x"]


def test_unknown_or_secret_value_is_not_quoted() -> None:
    assert lines("[secret]", "[secret]") == ["~ p: [secret] => [secret]"]
    assert lines('{"a": 1}', "output<computed>") == ["~ p: (json) => output<computed>"]


def test_replacing_change_says_so() -> None:
    change = PropertyChange("cidr", "update", "a", "b", replaces=True)
    assert describe_change(change)[0].plain == '~ cidr: "a" => "b"  (replaces)'


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=200)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(documents, documents)
def test_different_values_are_never_shown_alike(old: Any, new: Any) -> None:
    for before, after in ((old, new), (json.dumps(old), json.dumps(new))):
        if before != after:
            for line in lines(before, after):
                left, separator, right = line.partition(" => ")
                assert not separator or left.rpartition(": ")[2] != right
