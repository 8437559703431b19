"""Failure of a phase, as `contexts` of the phase show it."""

from __future__ import annotations


class PhaseError(Exception):
    """A phase has failed: AWS's status code, and the reason."""

    def __init__(self, code: str, message: str, *, status: str = "FAILED") -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class StoppedError(PhaseError):
    """The build was ended from outside: `status` is STOPPED, TIMED_OUT, FAULT or FAILED."""

    def __init__(self, status: str, message: str = "") -> None:
        codes = {"TIMED_OUT": "BUILD_TIMED_OUT", "STOPPED": "BUILD_STOPPED"}
        code = codes.get(status, "INTERNAL_ERROR")
        super().__init__(code, message, status=status)
