"""Whether project and stack can be in the names of what AWS makes: `<project>-<stack>` begins all of them."""

import re
import shlex
from collections.abc import Iterator

from settings.errors import Problem

# Lower case for ECR; no dots for EKS, KMS and CodeBuild; no two hyphens together for RDS.
_FIT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
# The shortest of AWS's limits: an RDS identifier has at most 63 characters, of which `-database` takes 9.
LONGEST_PREFIX = 54
WANTED = "must be lower-case letters and digits, joined by single hyphens: names in AWS begin with it"


def unfit_names(project: str, stack: str) -> Iterator[Problem]:
    """What is wrong with the two names."""
    if not _FIT.fullmatch(project) or project[0].isdigit():
        yield Problem(
            path=(), wrong=f"the project's name {WANTED}, a letter first", mends=("change `name` in Pulumi.yaml",)
        )
    room = max(1, LONGEST_PREFIX - len(project) - 1)
    if not _FIT.fullmatch(stack):
        yield Problem(path=(), wrong=f"the stack's name {WANTED}", mends=(_renamed(stack, room),))
    elif len(project) + 1 + len(stack) > LONGEST_PREFIX:
        wrong = (
            f"project and stack must have at most {LONGEST_PREFIX - 1} characters together: RDS takes no longer names"
        )
        yield Problem(path=(), wrong=wrong, mends=(_renamed(stack, room),))


def _renamed(stack: str, room: int) -> str:
    fit = "-".join(re.findall(r"[a-z0-9]+", stack.lower()))[:room].strip("-") or "dev"
    file, new = (shlex.quote(f"Pulumi.{name}.yaml") for name in (stack, fit))
    return f"mv {file} {new} && pulumi stack rename {fit} --stack {shlex.quote(stack)}"
