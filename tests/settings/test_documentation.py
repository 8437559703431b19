"""Commands and links in the documentation are valid."""

import re
from pathlib import Path

import pytest

from settings.pydantic_errors import section_of
from settings.sections import Section, Settings

COMMAND = re.compile(r"(?:pulumi|sandbox) config (?:set|rm) (?:--path )?'?platform:([\w.…-]+)")
# A placeholder for the name of a secret.
NOT_SETTINGS = {"NAME"}


@pytest.mark.parametrize("file", ["docs/aws.md", "docs/settings.md"])
def test_documented_command_sets_an_existing_key(file: str) -> None:
    keys = set(COMMAND.findall(Path(file).read_text(encoding="utf-8"))) - NOT_SETTINGS
    assert keys
    for key in keys:
        section: type[Section] = Settings
        *parents, last = key.split(".")
        for parent in parents:
            inner = section_of(section.model_fields.get(parent))
            assert inner is not None, f"{file}: {key}: {parent} is not a section"
            section = inner
        assert last in section.model_fields, f"{file}: {key} is not a setting"


@pytest.mark.parametrize(
    "file",
    ["README.md", "CONTRIBUTING.md", "app/README.md", *map(str, sorted(Path("docs").glob("*.md")))],
)
def test_linked_file_exists(file: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", Path(file).read_text(encoding="utf-8")):
        assert (Path(file).parent / target).exists(), f"{file}: {target}"
