"""Security groups and rules that EC2 accepts."""

import re

import pytest

from tests.program.recording import Recording
from tests.program.running import run_program

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_descriptions_have_the_character_set_of_ec2(stack: str) -> None:
    recording: Recording = run_program(stack)
    descriptions = [
        r.inputs["description"] for r in recording.resources if "securityGroup" in r.type
    ]
    assert descriptions
    assert [text for text in descriptions if not DESCRIPTION.fullmatch(text)] == []
