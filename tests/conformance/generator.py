"""Random programs with random sequences of operations; a seed determines them."""

from __future__ import annotations

import random

from tests.conformance.scenario import (
    Scenario,
    Stage,
    breaks,
    destroy,
    drifts,
    preview,
    refresh,
    scenario,
    up,
)

_VALUES = ("1", "2", '"x"', "[1, 2]", '{"k": 1, "l": [2]}', "None", "pulumi.Output.secret(3)")
_OPTIONS = (
    "retain_on_delete=True",
    'ignore_changes=["v"]',
    'ignore_changes=["w.k"]',
    'additional_secret_outputs=["arn"]',
    'replace_on_changes=["w"]',
    "delete_before_replace=True",
)


class _Program:
    """Resources by name, in order; each refers to earlier ones only."""

    def __init__(self, random_: random.Random) -> None:
        self._random = random_
        self._lines: dict[str, str] = {}
        for name in "abcdef"[: random_.randint(1, 6)]:
            self._lines[name] = self._line(name)

    def _line(self, name: str) -> str:
        chance = self._random
        earlier = [other for other in self._lines if other < name]
        if chance.random() < 0.15:
            return f'Group("{name}")'
        options = [chance.choice(_OPTIONS)] if chance.random() < 0.3 else []
        if earlier and chance.random() < 0.3:
            options.append(f"parent={chance.choice(earlier)}")
        if earlier and chance.random() < 0.3:
            options.append(f"depends_on=[{chance.choice(earlier)}]")
        inputs = [f"{key}={chance.choice(_VALUES)}" for key in ("v", "w") if chance.random() < 0.6]
        if chance.random() < 0.25:
            inputs.append(f"{chance.choice(('size', 'kind'))}={chance.randint(1, 2)}")
        things = [other for other in earlier if self._lines[other].startswith("Thing")]
        if things and chance.random() < 0.5:
            key = chance.choice(("of", "of", "size", "kind"))
            inputs = [item for item in inputs if not item.startswith(f"{key}=")]
            inputs.append(f"{key}={chance.choice(things)}.{chance.choice(('arn', 'token', 'id'))}")
        opts = [f"Options({', '.join(options)})"] if options else []
        return f"Thing({', '.join([repr(name), *opts, *inputs])})"

    def change(self) -> None:
        """Change one resource; remove the last one sometimes."""
        name = self._random.choice(list(self._lines))
        if self._random.random() < 0.25 and len(self._lines) > 1:
            del self._lines[max(self._lines)]
        else:
            kind = self._lines[name][:5]
            line = self._line(name)
            if line[:5] == kind:  # a component does not become a custom resource
                self._lines[name] = line

    def drift(self) -> str:
        """Return the name of a resource to change outside."""
        return self._random.choice(list(self._lines))

    def __str__(self) -> str:
        return "\n".join(f"{name} = {line}" for name, line in self._lines.items()) + "\n"


def random_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    chance = random.Random(seed)
    program = _Program(chance)
    stages: list[Stage] = [up(str(program))]
    for _ in range(chance.randint(2, 4)):
        operation = chance.choice(("up", "up", "preview", "refresh", "failing"))
        if operation == "refresh":
            stages.append(refresh(before=drifts(program.drift(), v=9)))
            continue
        program.change()
        if operation == "preview":
            stages.append(preview(str(program)))
        elif operation == "failing":
            step = chance.choice(("create", "update", "delete"))
            stages.append(up(str(program), before=breaks(f"{step} {program.drift()}")))
            stages.append(up(before=breaks()))
        else:
            stages.append(up(str(program)))
    return scenario(*stages, destroy(), loose=True)
