"""Makes chosen operations fail, so that people see what their program does when AWS does."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.account.core.errors import AwsError
from sandbox.account.core.wire import SERVICES, Call


@dataclass
class Fault:
    """Fail `operation` of `service` the next `count` times with `code`; `match` are parameters it must have."""

    service: str
    operation: str
    code: str = "InternalFailure"
    message: str = "This failure was asked for through /_sandbox/faults."
    count: int = 1
    status: int | None = None
    match: dict[str, Any] = field(default_factory=dict)
    hits: int = 0


class Faults:
    """The faults that are set. `operation` "*" means any operation of the service."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, raw: bytes) -> Fault:
        """Set a fault from its JSON form. Raises ValueError that names what is wrong with it."""
        wanted = json.loads(raw)
        if not isinstance(wanted, dict) or not {"service", "operation"} <= set(wanted):
            raise ValueError("a fault is a JSON object with at least 'service' and 'operation'")
        unknown = set(wanted) - {
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
        if wanted["service"] not in SERVICES:
            raise ValueError(
                f"no service {wanted['service']!r}; services are {', '.join(sorted(SERVICES))}"
            )
        fault = Fault(**wanted)
        if fault.count < 1:
            raise ValueError("'count' is how often to fail, at least 1")
        with self._lock:
            self._faults.append(fault)
        return fault

    def raise_for(self, call: Call) -> None:
        """Raise the AwsError of the first fault that this call meets."""
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
        """Return all faults with how often each was met."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
