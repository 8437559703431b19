"""Validates a stack's configuration by the program's own rules, before the program starts.

A project names the module in its pyproject.toml: `check` of `[tool.sandbox]`. `python -m MODULE`
reads `project`, `stack`, `values` and `secret_keys` as JSON, and prints a list of problems.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.engine.language_host.project import interpreter, load_project
from sandbox.runtime.environment import clean_environment
from sandbox.runtime.home import Home
from sandbox.runtime.stack_files import OverrideError, StackFileError, override_key

SECONDS = 60.0


@dataclass(frozen=True)
class Problem:
    """A problem of one key, with commands that fix it."""

    key: str
    message: str
    fixes: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """The check of one project; `module` is "" if the project has none."""

    home: Home
    project: Path
    name: str
    module: str

    @classmethod
    def of_project(cls, home: Home, project: Path, name: str) -> Check:
        """Return the check that the project's pyproject.toml names."""
        try:
            document = tomllib.loads((project / "pyproject.toml").read_text())
        except (OSError, ValueError):
            document = {}
        return cls(
            home, project, name, document.get("tool", {}).get("sandbox", {}).get("check", "")
        )

    def run(
        self,
        stack: str,
        config: Mapping[str, Any],
        overrides: Sequence[str],
        original: Mapping[str, Any],
    ) -> None:
        """Refuse an invalid configuration.

        Raises OverrideError for problems that only `overrides` cause, else StackFileError.
        `original` is the configuration without them.
        """
        if not self.module:
            return
        problems = self._problems(stack, config)
        if not problems:
            return
        inherited = self._problems(stack, original) if overrides else problems
        caused = [problem for problem in problems if problem not in inherited]
        if caused:
            raise OverrideError(_of_options(caused, overrides, self.name, stack))
        raise StackFileError(_of_file(problems, stack))

    def _problems(self, stack: str, config: Mapping[str, Any]) -> list[Problem]:
        request = json.dumps(
            {
                "project": self.name,
                "stack": stack,
                "values": {key: _text(value) for key, value in config.items()},
                "secret_keys": [key for key, value in config.items() if _is_secret(value)],
            }
        )
        accepted = self.home.path / "config" / f"{stack}.accepted"
        digest = self._digest(request)
        if accepted.is_file() and accepted.read_text() == digest:
            return []  # the program validates again; this only saves a second
        try:
            ran = subprocess.run(
                [str(interpreter(load_project(self.project))), "-m", self.module],
                cwd=self.project,
                env=clean_environment(),
                input=request,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=True,
            )
            problems = [
                Problem(item["key"], item["message"], tuple(item["fixes"]))
                for item in json.loads(ran.stdout)
            ]
        except (OSError, ValueError, subprocess.SubprocessError):
            return []  # the program reports what its check cannot
        if not problems:
            self.home.prepare()
            accepted.write_text(digest)
        return problems

    def _digest(self, request: str) -> str:
        digest = hashlib.sha256(request.encode())
        for file in sorted((self.project / self.module.replace(".", "/")).rglob("*.py")):
            digest.update(file.read_bytes())
        return digest.hexdigest()


def _is_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(map(_is_secret, value.values()))
    return isinstance(value, list) and any(map(_is_secret, value))


def _text(value: Any) -> str:
    """Return a value as the program gets it: text, or JSON for anything else."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _of_file(problems: Sequence[Problem], stack: str) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    file = f"Pulumi.{stack}.yaml"
    lines = [f"{file} has {count}; nothing was changed."]
    for problem in problems:
        lines += ["", f"  {problem.key or file}: {problem.message}"]
        lines += [f"    {_with_sandbox(fix)}" for fix in problem.fixes]
    return "\n".join(lines)


def _with_sandbox(fix: str) -> str:
    return re.sub(r"\bpulumi (config|stack ls)\b", r"sandbox \1", fix).replace(
        "sandbox stack ls", "sandbox status"
    )


def _of_options(
    problems: Sequence[Problem], overrides: Sequence[str], project: str, stack: str
) -> str:
    """Format problems under the option that sets the key, or else under the key."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"the options -c for stack {stack} have {count}; nothing was changed."]
    keys = {override_key(override, project): override for override in overrides}
    for problem in problems:
        option = next((key for key in keys if _is_within(problem.key, key)), None)
        name = f"-c {option.removeprefix(f'{project}:')}" if option else problem.key
        if option and option != problem.key:
            name = f"{name} ({problem.key})"
        fixes = [text for fix in problem.fixes if (text := _as_option(fix, project))]
        lines += ["", f"  {name}: {problem.message}"]
        lines += [f"    {fix}" for fix in fixes or ["omit this option, or give another value"]]
    return "\n".join(lines)


def _is_within(key: str, option: str) -> bool:
    return key == option or key.startswith((f"{option}.", f"{option}["))


def _as_option(fix: str, project: str) -> str:
    """Return the `-c` that does what a `pulumi config set` command does; "" for others."""
    words = shlex.split(fix) if fix.count("'") % 2 == 0 else []
    if words[:3] != ["pulumi", "config", "set"] or "&&" in words or "--secret" in words:
        return ""
    plain: list[str] = []
    rest = iter(words[3:])
    for word in rest:
        if word in ("--stack", "--type"):
            next(rest, None)
        elif word != "--path":
            plain.append(word)
    key, value = (*plain, "", "")[:2]
    return f"-c {shlex.quote(key.removeprefix(f'{project}:') + '=' + value)}"
