"""docs/settings.md is up to date."""

from pathlib import Path

from settings.docs_table import page


def test_settings_page_is_generated_from_the_code() -> None:
    assert Path("docs/settings.md").read_text(encoding="utf-8") == page()


def test_every_key_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `platform:")]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[1].strip()] == []
