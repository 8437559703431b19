"""Finds files by the patterns of artifacts, caches and reports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path


def find(base: Path, patterns: Sequence[str], exclude: Sequence[str] = ()) -> list[Path]:
    """Return the files below `base` that match a pattern and no exclusion, sorted.

    A pattern without wildcards that names a directory matches nothing, as on AWS.
    """
    included = [_compile(_relative(base, pattern)) for pattern in patterns]
    excluded = [_compile(_relative(base, pattern)) for pattern in exclude]
    return [
        base / name
        for name in sorted(_files(base))
        if any(p.fullmatch(name) for p in included) and not any(p.fullmatch(name) for p in excluded)
    ]


def _relative(base: Path, pattern: str) -> str:
    if pattern.startswith("/"):
        pattern = os.path.relpath(pattern, base)
    return pattern.removeprefix("./")


def _files(base: Path) -> Iterator[str]:
    for directory, folders, files in os.walk(base):
        links = [name for name in folders if (Path(directory) / name).is_symlink()]
        for name in (*files, *links):
            yield os.path.relpath(Path(directory) / name, base)


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Translate * and ? (without /), ** (any number of directories), […] and {a,b}."""
    output, position, depth = "", 0, 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            output, position = f"{output}(?:.*/)?", position + 3
            continue
        if rest.startswith("**"):
            output, position = f"{output}.*", position + 2
            continue
        character = pattern[position]
        position += 1
        if character == "{":
            depth += 1
            output += "(?:"
        elif character == "}" and depth:
            depth -= 1
            output += ")"
        elif character == "," and depth:
            output += "|"
        elif character == "[" and "]" in rest:
            end = pattern.index("]", position)
            output += f"[{pattern[position:end].replace('!', '^', 1)}]"
            position = end + 1
        else:
            output += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
    return re.compile(output + ")" * depth, re.DOTALL)
