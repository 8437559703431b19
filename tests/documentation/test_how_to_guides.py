"""The commands of the how-to guides, in an order in which they follow each other."""

from __future__ import annotations

import pytest

from tests.documentation.commands import run, steps
from tests.documentation.project import PROJECT, Clone

GUIDES = PROJECT / "docs" / "how-to"
ORDER = (
    "upgrade-kubernetes",
    "grant-access",
    "break-glass",
    "rotate-secrets",
    "restore-the-database",
    "destroy-a-protected-environment",
)
# In test_tutorial.py, which has releases, and in end_to_end: test_eks_action.py and
# test_infrastructure.py.
OTHER_TESTS = {"roll-back", "deploy-with-the-eks-action", "update-through-the-pipeline"}
STACKS = {"upgrade-kubernetes": "dev", "destroy-a-protected-environment": "prod"}


def test_each_guide_with_commands_is_tested() -> None:
    with_commands = {path.stem for path in GUIDES.glob("*.md") if steps(path)}
    assert with_commands == {*ORDER, *OTHER_TESTS}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("guide", ORDER)
def test_commands_of_the_guide_print_what_it_shows(clone: Clone, guide: str) -> None:
    if guide == "upgrade-kubernetes":
        clone.run("sandbox", "config", "set", "--path", "platform:cluster.version", "1.34",
                  "--type", "string", "--stack", "dev")  # fmt: skip
    if stack := STACKS.get(guide):
        ran = clone.run("sandbox", "up", stack, "--yes", "--skip-preview")
        assert ran.returncode == 0, ran.stdout + ran.stderr
    variables = clone.run("bash", "-c", f'eval "$(sandbox env {stack or "dev"})"; env -0').stdout
    environment = clone.environment | dict(
        line.split("=", 1) for line in variables.split("\0") if line
    )
    environment["SANDBOX_HOME"] = clone.environment["SANDBOX_HOME"]
    list(run(GUIDES / f"{guide}.md", clone.directory, environment))
