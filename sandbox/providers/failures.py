"""The failures of providers, without the SDK that `protocol` imports."""

from __future__ import annotations

from typing import Any


class Failure(Exception):  # noqa: N818 -- reads as what it is where it is raised
    """The request failed without effect; the text is one paragraph for the user."""


class PartialFailure(Failure):
    """The resource exists, but not as requested; the engine records `id` and `state`."""

    def __init__(
        self, message: str, id: str, state: dict[str, Any], inputs: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.id, self.state, self.inputs = id, state, inputs
