"""Stores the databases' logs in the account's log groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config

from sandbox.account import Account
from sandbox.databases.log_shipper import LogEvent


class DatabaseLogs:
    """Implements `LogSink`.

    Events bypass the account's journal, which would grow with every line; after a restart the
    databases send their log files again.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def put(self, region: str, group: str, stream: str, events: Sequence[LogEvent]) -> bool:
        """Store events; return False if there is no such log group or stream."""
        return self._account.put_log_events(region, group, stream, events)

    def create(self, region: str, group: str, stream: str) -> None:
        """Create log group and stream, as RDS does."""
        logs: Any = boto3.client(
            "logs",
            region_name=region,
            endpoint_url=self._account.url,
            aws_access_key_id="rds",
            aws_secret_access_key="sandbox",  # noqa: S106 - the emulated account accepts any key
            config=Config(retries={"max_attempts": 0}),
        )
        for create, arguments in (
            (logs.create_log_group, {"logGroupName": group}),
            (logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**arguments)
            except logs.exceptions.ResourceAlreadyExistsException:
                continue
