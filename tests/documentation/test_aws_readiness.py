"""docs/aws-readiness.md is generated from the recordings and tables of today."""

from bench.prowler_findings import ACCEPTED, UNREAD
from tests.documentation import aws_readiness


def test_page_is_generated_from_recordings_and_tables() -> None:
    page = aws_readiness.DOCUMENT.read_text(encoding="utf-8")
    assert page == aws_readiness.document(), "run `python -m tests.documentation.aws_readiness`"


def test_page_has_each_reason() -> None:
    page = aws_readiness.document()
    reasons = [*(entry.reason for entry in ACCEPTED), *UNREAD.values()]
    assert [reason for reason in reasons if reason not in page] == []
