"""The exception that becomes an AWS error response."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException


class AwsError(ServiceException):
    """An error with an AWS code; `fields` are the other members of its shape."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, **fields: Any
    ) -> None:
        super().__init__(code, message)
        self.status = status
        for name, value in fields.items():
            setattr(self, name, value)


def not_emulated(service: str, operation: str, what: str = "") -> AwsError:
    """Return the error for an operation that the sandbox does not emulate."""
    detail = f" ({what})" if what else ""
    return AwsError(
        "NotImplemented",
        (
            f"{service}:{operation}{detail} is not emulated by the sandbox; "
            "sandbox/account/README.md lists what is."
        ),
        status=501,
    )
