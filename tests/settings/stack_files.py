"""Stack files with changes, and the problems that validation reports."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from settings import Settings, SettingsError, parse
from settings.errors import Problem
from tests.program.recording import TODAY
from tests.program.running import stack_file


def changed(stack: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration of a stack file with changes by dotted key; `...` removes the key."""
    raw = copy.deepcopy(stack_file(stack))
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = raw
        for parent in parents:
            section = section.setdefault(parent, {})
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return raw


def parsed(raw: Mapping[str, Any], stack: str = "dev", **options: Any) -> Settings:
    return parse(raw, "platform", stack, today=TODAY, **options)


def error_of(raw: Mapping[str, Any], stack: str = "dev", **options: Any) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        parsed(raw, stack, **options)
    return caught.value


def assert_refused(
    stack: str, changes: Mapping[str, Any], key: str, message: str, command: str
) -> None:
    """Assert that the changes have one problem; `command` lacks `pulumi config` and the stack."""
    problems = error_of(changed(stack, changes), stack).problems
    assert len(problems) == 1, [problem.message for problem in problems]
    (problem,) = problems
    assert ".".join(map(str, problem.path)) == key
    assert problem.message == message
    assert problem.fixes[0] == f"pulumi config {command} --stack {stack}"


def problem_paths(problems: tuple[Problem, ...]) -> set[str]:
    return {".".join(map(str, problem.path)) for problem in problems}
