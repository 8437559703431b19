"""Glob patterns of triggers.

Source: CodePipeline User Guide, "Working with glob patterns in syntax".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache


def selects(criteria: Mapping[str, Sequence[str]], value: str) -> bool:
    """Whether includes contain a value and excludes do not; excludes alone include the rest."""
    includes, excludes = criteria.get("includes") or (), criteria.get("excludes") or ()
    if any(_expression(pattern).fullmatch(value) for pattern in excludes):
        return False
    return not includes or any(_expression(pattern).fullmatch(value) for pattern in includes)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Translate `*` (not across /), `**`, `?`, `[…]`, `{…,…}` and a backslash's escape."""
    text, index, groups = "", 0, 0
    while index < len(pattern):
        character = pattern[index]
        if pattern.startswith("**", index):
            text, index = text + ".*", index + 1
        elif character == "*":
            text += "[^/]*"
        elif character == "?":
            text += "[^/]"
        elif character == "[" and (end := pattern.find("]", index + 2)) > 0:
            inside = pattern[index + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            text += f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
            index = end
        elif character == "{" and "}" in pattern[index:]:
            text, groups = text + "(?:", groups + 1
        elif character == "}" and groups:
            text, groups = text + ")", groups - 1
        elif character == "," and groups:
            text += "|"
        elif character == "\\" and index + 1 < len(pattern):
            index += 1
            text += re.escape(pattern[index])
        else:
            text += re.escape(character)
        index += 1
    return re.compile(text, re.DOTALL)
