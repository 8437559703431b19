"""The engine's exceptions."""

from __future__ import annotations


class EngineError(Exception):
    """An error whose message names place and remedy; exit code 1."""


class UsageError(EngineError):
    """An invalid request, such as an unknown stack or an unreadable project; exit code 2."""


class ConfigurationError(UsageError):
    """Configuration that does not match Pulumi.yaml; exit code 1, as the Pulumi CLI's."""


class WrongPassphraseError(EngineError):
    """The stack's secrets are encrypted with another passphrase."""


class StepError(EngineError):
    """One resource's step failed and others continue; `urn` is empty for the whole operation."""

    def __init__(self, urn: str, message: str) -> None:
        super().__init__(message)
        self.urn = urn


class ProviderError(EngineError):
    """A provider refused or failed a call.

    `partial` is what it created nevertheless, if it reported that. `lost`: the connection broke, so
    the outcome is unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        unimplemented: bool = False,
        lost: bool = False,
        partial: PartialState | None = None,
    ) -> None:
        super().__init__(message)
        self.unimplemented, self.lost = unimplemented, lost
        self.partial = partial


class PartialState:
    """A resource that exists although its operation failed: ID, outputs, inputs, reasons."""

    def __init__(
        self,
        identifier: str,
        outputs: dict[str, object],
        inputs: dict[str, object] | None,
        reasons: list[str],
    ) -> None:
        self.id = identifier
        self.outputs = outputs
        self.inputs = inputs
        self.reasons = reasons
