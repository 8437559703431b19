"""docs/settings.md says what the code says."""

from pathlib import Path

from settings.reference import page


def test_the_settings_page_is_the_one_that_make_settings_writes() -> None:
    assert Path("docs/settings.md").read_text() == page()


def test_every_key_of_the_page_has_a_meaning() -> None:
    rows = [line.split(" | ") for line in page().splitlines() if line.startswith("| `platform:")]
    addons = "platform:cluster.addons."
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[1].strip() and addons not in row[0]] == []
