"""References to variables in configurations: `#{namespace.NAME}`.

Source: CodePipeline User Guide, "Variables reference".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.pipelines.records import Execution

_REFERENCE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")


class UnresolvedVariableError(Exception):
    """A reference to a variable that no action or execution has defined."""


def resolve(configuration: Mapping[str, str], execution: Execution) -> dict[str, str]:
    """Return the configuration with all references replaced.

    Raises UnresolvedVariableError for an undefined variable.
    """

    def value(match: re.Match[str]) -> str:
        namespace, name = match.groups()
        values = _namespace(namespace, execution)
        if name not in values:
            names = ", ".join(sorted(values)) or "none"
            raise UnresolvedVariableError(
                f"Variable reference {match.group()} cannot be resolved: the namespace "
                f"'{namespace}' has no variable '{name}' in this execution (it has: {names})"
            )
        return values[name]

    return {key: _REFERENCE.sub(value, text) for key, text in configuration.items()}


def _namespace(name: str, execution: Execution) -> Mapping[str, str]:
    if name == "codepipeline":
        return {"PipelineExecutionId": execution.id}
    if name == "variables":
        return execution.variables
    return execution.outputs.get(name, {})
