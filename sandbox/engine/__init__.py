"""The embedded engine: runs Pulumi programs without a Pulumi CLI.

`operation.run(Request(…), display)` executes one operation and returns its Result. The module is
not imported here, because it takes a quarter of a second. `display_for(stream)` returns a display.
`export_stack`, `import_stack`, `stack_outputs` and `list_stacks` use the same state as the Pulumi
CLI.
"""

from sandbox.engine.display.plain import PlainDisplay
from sandbox.engine.display.tree import display_for
from sandbox.engine.errors import EngineError, UsageError, WrongPassphraseError
from sandbox.engine.request import (
    Deviations,
    Diagnostic,
    Display,
    PropertyChange,
    Request,
    Result,
    Step,
)
from sandbox.engine.state.stacks import export_stack, import_stack, list_stacks, stack_outputs

__all__ = [
    "Deviations",
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
    "stack_outputs",
]
