"""Prints what the AWS provider emulates, as the tables in this folder's README: `python -m sandbox.providers.aws.support_table`."""

from __future__ import annotations

import sys

from sandbox.providers.aws import functions, handlers, sdk

BEGIN, END = "<!-- begin of the tables -->", "<!-- end of the tables -->"


def tables() -> str:
    """The tables in Markdown: each type's inputs and outputs, and which of the SDK's inputs are refused."""
    lines = ["| type | inputs | outputs | not emulated (refused by name) |", "|---|---|---|---|"]
    for token, handler in sorted(handlers().items()):
        inputs = sorted({*handler.declared} - {"tagsAll"})
        outputs = sorted({*handler.outputs} | ({"tagsAll"} if handler.tagged else set()))
        refused = sorted(sdk.arguments(token) - {*inputs})
        cells = (f"`{token}`", ", ".join(inputs), ", ".join(outputs) or "none", ", ".join(refused) or "none")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| function | arguments |", "|---|---|"]
    for token, function in sorted(functions().items()):
        lines.append(f"| `{token}` | {', '.join(sorted(function.arguments)) or 'none'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(tables() + "\n")
