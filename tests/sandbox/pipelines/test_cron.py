"""Cron expressions of deployment windows."""

from __future__ import annotations

from datetime import datetime

import pytest

from sandbox.pipelines.cron import matches


@pytest.mark.parametrize(
    ("expression", "moment", "open"),
    [
        ("* * * ? * *", "2026-11-26 00:00", True),
        ("0 0-29 9-17 ? * MON-FRI", "2026-11-26 17:29", True),  # a Thursday
        ("0 0-29 9-17 ? * MON-FRI", "2026-11-26 17:30", False),
        ("0 * 9-17 ? * MON-FRI", "2026-11-28 12:00", False),
        ("* * 22-2 ? * FRI-MON", "2026-11-28 01:00", True),
        ("* * 22-2 ? * FRI-MON", "2026-11-26 23:00", False),
        ("* */15 * * * ?", "2026-11-26 08:45", True),
        ("* 5/15 * * * ?", "2026-11-26 08:15", False),
        ("* * * L * ?", "2026-02-28 08:00", True),
        ("* * * L-3 * ?", "2026-02-25 08:00", True),
        ("* * * 15W * ?", "2026-11-16 08:00", True),  # the 15th is a Sunday
        ("* * * 1W * ?", "2026-08-03 08:00", True),  # the 1st is a Saturday
        ("* * * ? * 6L", "2026-11-27 08:00", True),
        ("* * * ? * 6L", "2026-11-20 08:00", False),
        ("* * * ? * FRI#3", "2026-11-20 08:00", True),
        ("* * * ? * FRI#3", "2026-11-27 08:00", False),
        ("* * * ? JAN,NOV * 2027", "2026-11-20 08:00", False),
    ],
)
def test_window(expression: str, moment: str, open: bool) -> None:
    assert matches(expression, datetime.fromisoformat(moment)) is open


@pytest.mark.parametrize(
    "expression", ["* * * *", "* 60 * * * ?", "* * * * FOO ?", "* */0 * * * ?"]
)
def test_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="cron"):
        matches(expression, datetime.fromisoformat("2026-11-26 08:00"))
