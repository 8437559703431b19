"""Buildspecs of the projects, taken from the program and not from the source of a release.

Otherwise, a pushed commit could change the commands that promote, deploy and verify it.
"""

import re
from pathlib import Path
from textwrap import indent

# Beside this package in the clone and in the wheel; the working directory is the program's.
BUILDSPECS = Path(__file__).resolve().parents[2] / "app" / "buildspecs"
_RUN = re.compile(r"^(?P<indent> *)- bash (?P<script>[\w-]+\.sh)$", re.MULTILINE)
_SOURCE_COMMAND = re.compile(r"^(?P<indent> *)- source (?P<script>[\w-]+\.sh)$", re.MULTILINE)
_SOURCE = re.compile(r"^(?P<indent> *)source (?P<script>[\w-]+\.sh)$", re.MULTILINE)


def inline_buildspec(step: str) -> str:
    """Return the buildspec of a step, with the scripts that its commands run or source.

    `bash <script>.sh` becomes a subshell: CodeBuild runs the commands of a buildspec in one shell,
    which `exit` in a script would end.
    """
    text = (BUILDSPECS / f"{step}.yml").read_text(encoding="utf-8")
    text = _RUN.sub(lambda match: _command(match, f"(\n{_script(match)})\n"), text)
    text = _SOURCE_COMMAND.sub(lambda match: _command(match, _script(match)), text)
    return _SOURCE.sub(lambda match: indent(_script(match), match["indent"]).rstrip("\n"), text)


def _script(match: re.Match[str]) -> str:
    return (BUILDSPECS / match["script"]).read_text(encoding="utf-8")


def _command(match: re.Match[str], script: str) -> str:
    return f"{match['indent']}- |\n{indent(script, match['indent'] + '    ')}"
