"""What the documentation tells people to type is what the program takes."""

import re
from pathlib import Path

import pytest

from settings.sections import Section, Settings
from settings.translation import section_of

COMMAND = re.compile(r"pulumi config (?:set|rm) (?:--path )?'?platform:([\w.…-]+)")
# A misspelt key in the README's example of an error, and a stand-in for a secret's name.
NOT_SETTINGS = {"network.zone", "NAME"}


@pytest.mark.parametrize("file", ["README.md", "docs/aws.md", "docs/settings.md"])
def test_every_key_that_is_told_to_be_set_is_a_setting(file: str) -> None:
    keys = set(COMMAND.findall(Path(file).read_text(encoding="utf-8"))) - NOT_SETTINGS
    assert keys
    for key in keys:
        section: type[Section] = Settings
        *parents, last = key.split(".")
        for parent in parents:
            inner = section_of(section.model_fields.get(parent))
            assert inner is not None, f"{file}: {key}: {parent} isn't a section"
            section = inner
        assert last in section.model_fields, f"{file}: {key} isn't a setting"


@pytest.mark.parametrize("file", ["README.md", "docs/aws.md"])
def test_every_file_that_is_pointed_to_is_there(file: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", Path(file).read_text(encoding="utf-8")):
        assert (Path(file).parent / target).exists(), f"{file}: {target}"
