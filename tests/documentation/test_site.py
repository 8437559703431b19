"""The documentation site builds strictly, and contains every document of the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_site_has_no_broken_link_and_every_page(tmp_path: Path) -> None:
    quiet = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=PROJECT,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    listed = subprocess.run(
        ["git", "ls-files", "*.md", ":!docs/preview-comment.md"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    navigation = (PROJECT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    assert [name for name in listed if name not in navigation] == []
    page = tmp_path / "site" / "docs" / "tutorial.html"
    used = re.findall(r'<(?:link|script|img)[^>]* (?:href|src)="([^"#]+)"', page.read_text())
    assert any(name.endswith(".css") for name in used)
    assert [name for name in used if not (page.parent / name).exists()] == []  # none is external
