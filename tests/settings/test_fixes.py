"""Commands that fix a problem."""

import shlex
from typing import Any

import pytest

from tests.settings.stack_files import changed, error_of, parsed


@pytest.mark.parametrize(
    ("path", "value"),
    [("cluster.nodes", 5), ("network", [1]), ("network.interface_endpoints", "sts")],
)
def test_value_in_place_of_a_section_or_list_is_removed_first(path: str, value: Any) -> None:
    (problem,) = error_of(changed("dev", {path: value})).problems
    assert problem.fixes[0] == f"pulumi config rm --path 'platform:{path}' --stack dev"
    assert problem.fixes[1].startswith(f"pulumi config set --path 'platform:{path}")


def test_running_the_fixes_makes_the_stack_file_valid() -> None:
    raw = changed(
        "dev",
        {
            "network.zones": 9,
            "network.nat": "singel",
            "cluster.version": 1.35,
            "lifecycle": "?",
            "workload.prot": 1,
        },
    )
    for problem in error_of(raw).problems:
        for fix in problem.fixes:
            words = shlex.split(fix)
            keys = words[words.index("--path") + 1].removeprefix("platform:").split(".")
            section = raw
            for key in keys[:-1]:
                section = section[key]
            if words[2] == "rm":
                del section[keys[-1]]
            else:
                text = words[words.index("--stack") - 1]
                is_number = "--type" not in words and text.isdigit()
                section[keys[-1]] = int(text) if is_number else text
    parsed(raw)
