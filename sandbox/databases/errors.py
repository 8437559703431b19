"""Why a server did not start, as RDS reports it."""

from __future__ import annotations

import re

_LINE = re.compile(r"(?:FATAL|PANIC|ERROR): +(.+)")
_PARAMETER = re.compile(
    r"invalid value for parameter|is outside the valid range|requires a (Boolean|numeric|integer)"
    r"|configuration file .* contains errors|could not map anonymous shared memory"
    r"|must be (less|greater) than|invalid configuration parameter"
)


class ServerError(Exception):
    """A server's failure: the RDS status, and one sentence with the remedy."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def from_log(identifier: str, port: int, log: str) -> ServerError:
    """Return the error that a server's last output means."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if "No space left on device" in log:
        return ServerError(
            "storage-full",
            f"the disk is full; free space, then reboot DB instance {identifier}",
        )
    if "Address already in use" in log or "could not bind" in log:
        return ServerError(
            "failed",
            f"another process uses port {port}; end it or set another port, then reboot DB "
            f"instance {identifier}",
        )
    for line in lines:
        if _PARAMETER.search(line):
            message = re.split(r"(?:FATAL|LOG|ERROR): +", line)[-1]
            return ServerError(
                "incompatible-parameters",
                f"{message}; correct the parameter group, then reboot DB instance {identifier}",
            )
    fatal = [match[1] for line in lines if (match := _LINE.search(line))]
    last = fatal[-1] if fatal else lines[-1] if lines else "PostgreSQL exited without a message"
    return ServerError("failed", f"{last}; remove the cause, then reboot DB instance {identifier}")
