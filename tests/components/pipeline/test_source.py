"""Sources of a release and the status of their connection."""

from typing import Any

from settings.sections import Source
from tests.components.factories import pipeline, record

CONNECTION_ARN = "arn:aws:codeconnections:us-east-1:123456789012:connection/c"


def connection_status(**changes: Any) -> str | None:
    """Status that the pipeline exports."""
    statuses: list[str] = []

    def program() -> None:
        connection = pipeline("one", **changes).connection
        if connection is not None:
            connection.apply(statuses.append)

    record(program)
    return statuses[0] if statuses else None


def test_pending_connection_says_where_to_accept_it() -> None:
    assert connection_status() == (
        "PENDING: releases start after a person has accepted one-physical once, at "
        "https://us-east-1.console.aws.amazon.com/codesuite/settings/connections?region=us-east-1"
    )


def test_existing_connection_has_no_status() -> None:
    source = Source(kind="github", repository="a/b", branch="main", connection_arn=CONNECTION_ARN)
    assert connection_status(source=source) is None


def test_s3_source_has_no_connection() -> None:
    assert connection_status(source=Source(kind="s3")) is None
