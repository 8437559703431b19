"""Runs Pulumi programs where no Pulumi CLI is installed.

`run(Request(…), display) -> Result` carries out one operation; `display_for(stream)` makes a display for people.
`export_stack`, `import_stack`, `stack_outputs` and `list_stacks` read and write the same state as the Pulumi CLI.
"""

from sandbox.engine.display.plain import PlainDisplay
from sandbox.engine.display.tree import display_for
from sandbox.engine.errors import EngineError, UsageError, WrongPassphraseError
from sandbox.engine.operation import run
from sandbox.engine.request import Diagnostic, Display, PropertyChange, Request, Result, Step
from sandbox.engine.state.stacks import export_stack, import_stack, list_stacks, stack_outputs

__all__ = [
    "Diagnostic",
    "Display",
    "EngineError",
    "PlainDisplay",
    "PropertyChange",
    "Request",
    "Result",
    "Step",
    "UsageError",
    "WrongPassphraseError",
    "display_for",
    "export_stack",
    "import_stack",
    "list_stacks",
    "run",
    "stack_outputs",
]
