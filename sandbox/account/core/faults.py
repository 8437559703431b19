"""Fault injection: makes chosen operations fail."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.wire import SERVICES, Call


@dataclass
class Fault:
    """Fails `operation` of `service` the next `count` times with `code`; `match` limits its
    parameters.
    """

    service: str
    operation: str
    code: str = "InternalFailure"
    message: str = "This fault was requested through /_sandbox/faults."
    count: int = 1
    status: int | None = None
    match: dict[str, Any] = field(default_factory=dict)
    hits: int = 0


class Faults:
    """The configured faults; `operation` "*" is any operation of the service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, raw: bytes) -> Fault:
        """Add a fault from JSON. Raises ValueError."""
        fault = json.loads(raw)
        if not isinstance(fault, dict) or not {"service", "operation"} <= set(fault):
            raise ValueError("a fault is a JSON object with at least 'service' and 'operation'")
        unknown = set(fault) - {
            "service",
            "operation",
            "code",
            "message",
            "count",
            "status",
            "match",
        }
        if unknown:
            raise ValueError(f"a fault has no key {', '.join(sorted(unknown))}")
        if fault["service"] not in SERVICES:
            raise ValueError(
                f"no service {fault['service']!r}; services are {', '.join(sorted(SERVICES))}"
            )
        fault = Fault(**fault)
        if fault.count < 1:
            raise ValueError("'count' must be at least 1")
        with self._lock:
            self._faults.append(fault)
        return fault

    def raise_for(self, call: Call) -> None:
        """Raise the AwsError of the first matching fault."""
        with self._lock:
            for fault in self._faults:
                named = fault.service == call.service and fault.operation in {"*", call.operation}
                if (
                    named
                    and fault.hits < fault.count
                    and all(call.get(k) == v for k, v in fault.match.items())
                ):
                    fault.hits += 1
                    raise AwsError(fault.code, fault.message, status=fault.status)

    def list(self) -> list[dict[str, Any]]:
        """Return all faults and how often each occurred."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
