"""One operation on one resource: its clients, waiting for states, retrying what settles, and errors in words."""

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
    """What a handler has in hand while it creates, reads, updates or deletes."""

    session: Session
    resource: Resource
    region: str
    id: str | None = field(default=None, init=False)
    """Set by `made` while a creation goes on: from then on a failure leaves something behind."""

    def client(self, service: str) -> Any:
        """The boto3 client of a service in the resource's region."""
        return self.session.client(service, self.region)

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return self.session.account

    @property
    def partition(self) -> str:
        """The ARN partition of the resource's region."""
        return partition_of(self.region)

    def arn(self, service: str, resource: str, *, region: bool = True, account: bool = True) -> str:
        """An ARN in this call's region and account, of which some services leave out one or both."""
        return (
            f"arn:{self.partition}:{service}:{self.region if region else ''}:"
            f"{self.account if account else ''}:{resource}"
        )

    def made(self, id: str) -> str:
        """Note that the resource exists from now on, so that a later failure doesn't lose it."""
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
        """Ask for the state until it is one of `until`; fail on one of `failed` or after the time allowed."""
        allowed = self.resource.timeout or seconds
        deadline, pause = time.monotonic() + allowed, 0.02
        while True:
            current = state()
            if current in until:
                return current
            if current in failed:
                raise Failure(f"{what} became {current}; wanted {' or '.join(sorted(until))}")
            if time.monotonic() > deadline:
                raise Failure(f"{what} was still {current} after {allowed:g} s; wanted {' or '.join(sorted(until))}")
            self._pause(pause)
            pause = min(pause * 1.5, 2.0)

    def retrying(self, action: Callable[[], T], codes: Collection[str], seconds: float = 60) -> T:
        """Try again while AWS answers with one of these codes, which pass by themselves when other deletions end."""
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
    """The AWS error code of a boto3 error, or nothing."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def in_words(verb: str, noun: str, name: str, error: BaseException) -> str:
    """One paragraph in the AWS provider's manner: what was tried on what, and what AWS answered."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        said = (
            f"operation {error.operation_name}, https response error StatusCode: {status},"
            f" api error {details.get('Code', 'Unknown')}: {details.get('Message', '')}"
        )
    elif isinstance(error, EndpointConnectionError):
        said = f"{error} Is the sandbox's account running? `python -m sandbox status` tells."
    elif isinstance(error, BotoCoreError):
        said = f"the account's answer can't be used: {' '.join(str(error).split())[:400]}"
    else:
        said = str(error)
    return f"{verb} {noun} ({name}): {said}"
