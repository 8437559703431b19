"""Prints the support tables of the README: `python -m sandbox.providers.aws.support_table`."""

from __future__ import annotations

import sys

from sandbox.providers.aws import functions, handlers, sdk

BEGIN, END = "<!-- begin of the tables -->", "<!-- end of the tables -->"


def tables() -> str:
    """Return Markdown tables of each type's inputs, outputs and refused inputs."""
    lines = ["| type | inputs | outputs | not emulated (refused by name) |", "|---|---|---|---|"]
    for token, handler in sorted(handlers().items()):
        inputs = sorted({*handler.declared} - {"tagsAll"})
        outputs = sorted({*handler.outputs} | ({"tagsAll"} if handler.tagged else set()))
        refused = sorted(sdk.arguments(token) - {*inputs})
        cells = (
            f"`{token}`",
            ", ".join(inputs),
            ", ".join(outputs) or "none",
            ", ".join(refused) or "none",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| function | arguments |", "|---|---|"]
    for token, function in sorted(functions().items()):
        lines.append(f"| `{token}` | {', '.join(sorted(function.arguments)) or 'none'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(tables() + "\n")
