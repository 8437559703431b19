"""Problems of a stack file, each with the command that fixes it, in one error."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

Path = tuple[str | int, ...]
MAX_KEY_LENGTH = 80


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem."""

    path: Path
    """Keys from the section down; empty for the file as a whole."""
    message: str
    """Never repeats a value."""
    fixes: tuple[str, ...]
    """Commands or advice, one line each."""
    namespace: str | None = None
    """Prefix of the key, if it is not the project's name."""


class SettingsError(pulumi.RunError):
    """Invalid stack file. Pulumi prints a RunError without a traceback."""

    def __init__(self, file: str, problems: Sequence[Problem], project: str) -> None:
        self.file, self.problems = file, tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = [f"{file} has {count}; nothing was changed."]
        for problem in problems:
            key = (
                formatted_path(problem.namespace or project, problem.path) if problem.path else file
            )
            lines += ["", f"  {key}: {problem.message}", *(f"    {fix}" for fix in problem.fixes)]
        super().__init__("\n".join(lines))


def formatted_path(project: str, path: Path) -> str:
    """Format a path as `pulumi config set --path` takes it: `platform:cluster.deployers[0]`."""
    text = f"{project}:{_printable(path[0])}"
    for part in path[1:]:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("_", "").replace("-", "").isalnum() and part.isascii():
            text += f".{part}"
        else:
            text += f"[{json.dumps(_printable(part))}]"
    return text


def _printable(part: str | int) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in str(part))
    return text if len(text) <= MAX_KEY_LENGTH else f"{text[:MAX_KEY_LENGTH]}…"


def set_command(project: str, stack: str, path: Path, value: Any) -> str:
    """Command that sets `path` to `value`; one command per entry of a list or mapping."""
    if isinstance(value, dict | list | tuple) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return " && ".join(set_command(project, stack, (*path, key), item) for key, item in items)
    text = json.dumps(value) if isinstance(value, bool) or value is None else str(value)
    # `--path` converts text that looks like a number, version 1.30 to 1.3.
    string = " --type string" if isinstance(value, str) and _is_number(value) else ""
    command = _command("set", project, path)
    return f"{command}{string} {shlex.quote(text)} --stack {shlex.quote(stack)}"


def remove_command(project: str, stack: str, path: Path) -> str:
    """Command that removes `path`."""
    return f"{_command('rm', project, path)} --stack {shlex.quote(stack)}"


def secret_command(project: str, stack: str, name: str) -> str:
    """Command that prompts for a secret's value and stores it encrypted."""
    key = shlex.quote(f"{project}:{name}")
    return f"pulumi config set --secret {key} --stack {shlex.quote(stack)}"


def _command(verb: str, project: str, path: Path) -> str:
    # Always quoted: the end of the path is visible, and the shell does not expand [0].
    quoted = formatted_path(project, path).replace("'", "'\"'\"'")
    return f"pulumi config {verb} --path '{quoted}'"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
