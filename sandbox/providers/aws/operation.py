"""One operation on a resource: clients, waiters, retries, error messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from sandbox.providers.aws.session import Session, partition_of
from sandbox.providers.protocol import Failure, Resource

T = TypeVar("T")


@dataclass
class Call:
    """Everything that a handler needs to create, read, update or delete a resource."""

    session: Session
    resource: Resource
    region: str
    id: str | None = field(default=None, init=False)
    """Set by `made` during a creation; a later failure is a partial one."""

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service in the resource's region."""
        return self.session.client(service, self.region)

    @property
    def account(self) -> str:
        """The account ID."""
        return self.session.account

    @property
    def partition(self) -> str:
        """The ARN partition of the resource's region."""
        return partition_of(self.region)

    def arn(self, service: str, resource: str, *, region: bool = True, account: bool = True) -> str:
        """Return an ARN in this region and account; some services omit one or both."""
        return (
            f"arn:{self.partition}:{service}:{self.region if region else ''}:"
            f"{self.account if account else ''}:{resource}"
        )

    def record_created(self, id: str) -> str:
        """Record that the resource exists, so that a later failure does not lose it."""
        self.id = id
        return id

    def wait(
        self,
        state: Callable[[], str],
        until: Collection[str],
        *,
        failed: Collection[str] = (),
        seconds: float = 600,
        what: str = "it",
    ) -> str:
        """Poll the state until it is in `until`; fail if it is in `failed` or times out."""
        allowed = self.resource.timeout or seconds
        deadline, pause = time.monotonic() + allowed, 0.02
        while True:
            current = state()
            if current in until:
                return current
            if current in failed:
                raise Failure(f"{what} became {current}; expected {' or '.join(sorted(until))}")
            if time.monotonic() > deadline:
                raise Failure(
                    f"{what} was still {current} after {allowed:g} s; expected "
                    f"{' or '.join(sorted(until))}"
                )
            self._pause(pause)
            pause = min(pause * 1.5, 2.0)

    def retrying(self, action: Callable[[], T], codes: Collection[str], seconds: float = 60) -> T:
        """Retry while AWS returns one of these codes, which end with other operations."""
        deadline, pause = time.monotonic() + seconds, 0.1
        while True:
            try:
                return action()
            except ClientError as error:
                if code_of(error) not in codes or time.monotonic() > deadline:
                    raise
            self._pause(pause)
            pause = min(pause * 1.5, 1.0)

    def _pause(self, seconds: float) -> None:
        if self.resource.cancelled.wait(seconds):
            raise Failure("interrupted while waiting")


def code_of(error: BaseException) -> str:
    """Return the AWS error code of an exception, or ""."""
    return (
        str(error.response.get("Error", {}).get("Code", ""))
        if isinstance(error, ClientError)
        else ""
    )


def in_words(verb: str, noun: str, name: str, error: BaseException) -> str:
    """Return an error in the AWS provider's format: operation, resource, AWS's message."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        text = (
            f"operation {error.operation_name}, https response error StatusCode: {status},"
            f" api error {details.get('Code', 'Unknown')}: {details.get('Message', '')}"
        )
    elif isinstance(error, EndpointConnectionError):
        text = f"{error} Is the sandbox running? `python -m sandbox status` shows it."
    elif isinstance(error, BotoCoreError):
        text = f"the account's response is unusable: {' '.join(str(error).split())[:400]}"
    else:
        text = str(error)
    return f"{verb} {noun} ({name}): {text}"
