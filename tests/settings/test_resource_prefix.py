"""Names of project and stack."""

import pytest

from settings import SettingsError, parse
from tests.program.recording import TODAY
from tests.program.running import stack_file

REQUIREMENT = (
    "must be lower-case letters and digits, joined by single hyphens: "
    "it is the prefix of names in AWS"
)


@pytest.mark.parametrize(
    ("project", "stack", "message", "fix"),
    [
        (
            "platform",
            "Dev_1.x",
            f"the stack's name {REQUIREMENT}",
            "mv Pulumi.Dev_1.x.yaml Pulumi.dev-1-x.yaml && "
            "pulumi stack rename dev-1-x --stack Dev_1.x",
        ),
        (
            "platform",
            "a" * 46,
            "project and stack must have at most 53 characters together: "
            "an RDS identifier has at most 63",
            f"mv Pulumi.{'a' * 46}.yaml Pulumi.{'a' * 45}.yaml && "
            f"pulumi stack rename {'a' * 45} --stack {'a' * 46}",
        ),
        (
            "My.App",
            "dev",
            f"the project's name {REQUIREMENT}, and starts with a letter",
            "change `name` in Pulumi.yaml",
        ),
    ],
)
def test_name_that_aws_refuses_during_the_update_is_refused_before(
    project: str, stack: str, message: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(stack_file("dev"), project, stack, today=TODAY)
    assert str(caught.value) == (
        f"Pulumi.{stack}.yaml has 1 problem; nothing was changed.\n\n"
        f"  Pulumi.{stack}.yaml: {message}\n    {fix}"
    )
