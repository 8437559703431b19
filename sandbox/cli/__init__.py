"""The command line: `sandbox COMMAND …`, or `python -m sandbox COMMAND …`."""

from sandbox.cli.commands import main

__all__ = ["main"]
