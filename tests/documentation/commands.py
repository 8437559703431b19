"""Runs the commands of a Markdown document and compares their output with what it shows.

A `sh` block is run. A `text` block after it must occur in its output; `…` stands for any text, also
over several lines. Other blocks are not run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """Commands and the outputs that the document shows for them."""

    commands: str
    outputs: list[str] = field(default_factory=list)


def steps(document: Path) -> list[Step]:
    """Return the steps of a document in their order."""
    result: list[Step] = []
    for language, text in _BLOCK.findall(document.read_text()):
        if language == "sh":
            result.append(Step(text))
        elif language == "text":
            result[-1].outputs.append(text)
    return result


def run(document: Path, directory: Path, environment: Mapping[str, str]) -> Iterator[Step]:
    """Run the document's steps in one shell's directory and variables; yield each that passed."""
    state = directory / ".shell"  # exported variables, from step to step
    state.write_text("")
    for step in steps(document):
        script = f"set -a; source {state}; set +a\n{step.commands}\nexport -p > {state}\n"
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=directory,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,
        )
        assert ran.returncode == 0, f"{step.commands}\n{ran.stdout}"
        for shown in step.outputs:
            assert re.search(_pattern(shown), _squeezed(ran.stdout)), (
                f"{document.name} shows\n{shown}\nfor\n{step.commands}\nwhich printed\n{ran.stdout}"
            )
        yield step


def _pattern(shown: str) -> str:
    return ".*".join(re.escape(part) for part in _squeezed(shown).split("…"))


def _squeezed(text: str) -> str:
    """Join lines and spaces, so that the width of tables does not matter."""
    return " ".join(text.split())
