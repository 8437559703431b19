"""Every problem of a stack file in one error, each with the command that mends it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

Path = tuple[str | int, ...]
LONGEST_KEY = 80


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    path: Path
    """Keys from the top of the section down; empty for the file as a whole."""
    wrong: str
    """What is wrong; never a value as it was typed."""
    mends: tuple[str, ...]
    """Commands or advice, one line each."""
    namespace: str | None = None
    """What stands before the colon, where it isn't the project's name."""


class SettingsError(pulumi.RunError):
    """A stack file that can't be used. Pulumi prints a RunError without a traceback."""

    def __init__(self, file: str, problems: Sequence[Problem], project: str) -> None:
        self.file, self.problems = file, tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"{file} has {count}; nothing was touched."]
        for problem in problems:
            where = shown(problem.namespace or project, problem.path) if problem.path else file
            lines += ["", f"  {where}: {problem.wrong}", *(f"    {mend}" for mend in problem.mends)]
        super().__init__("\n".join(lines))


def shown(project: str, path: Path) -> str:
    """A path as `pulumi config set --path` writes it: `platform:cluster.deployers[0]`."""
    text = f"{project}:{_plain(path[0])}"
    for part in path[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").replace("-", "").isalnum() and part.isascii():
            text += f".{part}"
        else:
            text += f"[{json.dumps(_plain(part))}]"
    return text


def _plain(part: str | int) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in str(part))
    return text if len(text) <= LONGEST_KEY else f"{text[:LONGEST_KEY]}…"


def set_command(project: str, stack: str, path: Path, value: Any) -> str:
    """The command that sets `path` to `value`; a list or mapping is set as JSON."""
    if isinstance(value, dict | list | tuple) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return " && ".join(set_command(project, stack, (*path, key), item) for key, item in items)
    text = json.dumps(value) if isinstance(value, bool) or value is None else str(value)
    if isinstance(value, str) and _looks_like_a_number(value):
        return f"{_command('set', project, path)} --type string {shlex.quote(text)} --stack {shlex.quote(stack)}"
    return f"{_command('set', project, path)} {shlex.quote(text)} --stack {shlex.quote(stack)}"


def remove_command(project: str, stack: str, path: Path) -> str:
    """The command that removes `path`."""
    return f"{_command('rm', project, path)} --stack {shlex.quote(stack)}"


def secret_command(project: str, stack: str, name: str) -> str:
    """The command that asks for a secret's value and sets it, encrypted."""
    return f"pulumi config set --secret {shlex.quote(f'{project}:{name}')} --stack {shlex.quote(stack)}"


def _command(verb: str, project: str, path: Path) -> str:
    # Quoted even where the shell wouldn't need it: a reader sees where the path ends, and [0] never globs.
    quoted = shown(project, path).replace("'", "'\"'\"'")
    return f"pulumi config {verb} --path '{quoted}'"


def _looks_like_a_number(value: str) -> bool:
    # `--path` turns such text into a number, and version 1.30 into 1.3.
    try:
        float(value)
    except ValueError:
        return False
    return True
