"""Validates project and stack as the prefix of physical names, `<project>-<stack>`."""

import re
import shlex
from collections.abc import Iterator

from settings.errors import Problem

# Lower case for ECR; no dots for EKS, KMS and CodeBuild; no consecutive hyphens for RDS.
_VALID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
# The shortest limit: an RDS identifier has at most 63 characters, of which `-database` takes 9.
MAX_PREFIX_LENGTH = 54
REQUIREMENT = (
    "must be lower-case letters and digits, joined by single hyphens: "
    "it is the prefix of names in AWS"
)


def invalid_names(project: str, stack: str) -> Iterator[Problem]:
    """Report an invalid project or stack name."""
    if not _VALID.fullmatch(project) or project[0].isdigit():
        message = f"the project's name {REQUIREMENT}, and starts with a letter"
        yield Problem(path=(), message=message, fixes=("change `name` in Pulumi.yaml",))
    max_length = max(1, MAX_PREFIX_LENGTH - len(project) - 1)
    if not _VALID.fullmatch(stack):
        fix = _rename_command(stack, max_length)
        yield Problem(path=(), message=f"the stack's name {REQUIREMENT}", fixes=(fix,))
    elif len(stack) > max_length:
        message = (
            f"project and stack must have at most {MAX_PREFIX_LENGTH - 1} characters together: "
            "an RDS identifier has at most 63"
        )
        yield Problem(path=(), message=message, fixes=(_rename_command(stack, max_length),))


def _rename_command(stack: str, max_length: int) -> str:
    name = "-".join(re.findall(r"[a-z0-9]+", stack.lower()))[:max_length].strip("-") or "dev"
    file, new_file = (shlex.quote(f"Pulumi.{stack_name}.yaml") for stack_name in (stack, name))
    return f"mv {file} {new_file} && pulumi stack rename {name} --stack {shlex.quote(stack)}"
