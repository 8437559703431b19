"""What the engine tells its user when it can't go on."""

from __future__ import annotations


class EngineError(Exception):
    """Something is wrong that the message names, with where it is and what to do; the CLI exits with 1."""


class UsageError(EngineError):
    """The request itself is wrong (a missing stack, an unreadable project file); the CLI exits with 2."""


class WrongPassphraseError(EngineError):
    """The stack's secrets were sealed with another passphrase."""


class StepError(EngineError):
    """One resource's step failed; others go on. `urn` is empty where the failure belongs to the whole operation."""

    def __init__(self, urn: str, message: str) -> None:
        super().__init__(message)
        self.urn = urn


class ProviderError(EngineError):
    """A provider refused or failed a call; `partial` holds what it left behind, where it said so.

    `lost`: the call broke off, so nobody knows how far it went.
    """

    def __init__(
        self, message: str, *, unimplemented: bool = False, lost: bool = False, partial: PartialState | None = None
    ) -> None:
        super().__init__(message)
        self.unimplemented, self.lost = unimplemented, lost
        self.partial = partial


class PartialState:
    """A resource that exists although its operation failed: id, outputs, inputs (may be None) and the reasons."""

    def __init__(
        self, identifier: str, outputs: dict[str, object], inputs: dict[str, object] | None, reasons: list[str]
    ) -> None:
        self.id = identifier
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons
