"""Buildspecs of the projects, taken from the program and not from the source of a release.

Otherwise, a pushed commit could change the commands that promote, deploy and verify it.
"""

import re
from pathlib import Path
from textwrap import indent

BUILDSPECS = Path("app/buildspecs")
_RUN_SCRIPT = re.compile(r"^(?P<indent> *)- bash (?P<script>[\w-]+\.sh)$", re.MULTILINE)


def inline_buildspec(step: str) -> str:
    """Return the buildspec of a step; a command `bash <script>.sh` becomes the script itself."""
    text = (BUILDSPECS / f"{step}.yml").read_text(encoding="utf-8")
    return _RUN_SCRIPT.sub(_inline_script, text)


def _inline_script(command: re.Match[str]) -> str:
    script = (BUILDSPECS / command["script"]).read_text(encoding="utf-8")
    return f"{command['indent']}- |\n{indent(script, command['indent'] + '    ')}"
