"""Files of a build context, and the content hash over them."""

import os
from pathlib import Path, PurePosixPath

import pytest

from components.image.build_context import (
    ContextError,
    content_hash,
    context_files,
    ignore_patterns,
    is_ignored,
)

# Ignore file, path, and whether BuildKit ignores it: results of github.com/moby/patternmatcher
# v0.6.0 (ignorefile.ReadAll and MatchesOrParentMatches).
BUILDKIT_RESULTS = [
    ("*.md", "b.md", True),
    ("*.md", "docs/c.md", False),
    ("*.md", "B.MD", False),
    ("*.MD", "b.md", False),
    ("**/*.md", "docs/deep/d.md", True),
    ("**/*.md", "b.md", True),
    ("*/*.md", "docs/c.md", True),
    ("*/*.md", "docs/deep/d.md", False),
    ("docs", "docs/deep/d.md", True),
    ("docs", "other/docs/d.md", False),
    ("/docs/", "docs/c.md", True),
    ("docs/**", "docs/c.md", True),
    ("docs**", "docs-old/c.md", True),
    ("**/node_modules", "a/b/node_modules/c/d.js", True),
    ("**/deep\n!a/b/deep/keep.txt", "a/b/deep/other.txt", True),
    ("**/deep\n!a/b/deep/keep.txt", "a/b/deep/keep.txt", False),
    ("*\n!*.py", "a.py", False),
    ("*\n!*.py", "a.txt", True),
    ("!*.py\n*", "a.py", True),
    ("docs\n!docs/c.md", "docs/c.md", False),
    ("?.md", "b.md", True),
    ("?.md", "ab.md", False),
    ("?", "docs/c.md", False),
    ("**suffix", "a/prefix-suffix", True),
    ("**.md", "docs/c.md", True),
    ("[ab].md", "b.md", True),
    ("[a-c].md", "c.md", True),
    ("[^a].md", "b.md", True),
    ("[^a].md", "a.md", False),
    ("[!a].md", "b.md", False),
    ("[!a].md", "a.md", True),
    ("[!a].md", "!.md", True),
    ("[!-~].md", "a.md", True),
    ("\\#notes", "#notes", True),
    ("#notes", "#notes", False),
    (" #notes", "#notes", True),
    ("\\!notes", "!notes", True),
    ("\\*.md", "*.md", True),
    ("\\*.md", "b.md", False),
    ("a.b", "aXb", False),
    ("a+(b)", "a+(b)", True),
    ("\ufeff*.md", "b.md", True),
    ("\ufeff# comment\n*.md", "b.md", True),
    ("  *.md  ", "b.md", True),
    ("*.md\r\n*.py\r\n", "a.py", True),
    ("x/../b.md", "b.md", True),
    ("./b.md", "b.md", True),
    ("docs//c.md", "docs/c.md", True),
    ("!  b.md", "b.md", False),
    ("*\n!  b.md", "b.md", False),
    ("*\n!/b.md", "b.md", False),
    (".", "b.md", False),
    ("/", "b.md", False),
    ("..", "b.md", False),
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "templates").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "main.py").write_text("print('hello')\n")
    (folder / "templates" / "page.html").write_text("<p>hello</p>\n")
    return folder


def hash_of(context: Path, **inputs: str) -> str:
    return content_hash(context, "Dockerfile", inputs)


def test_hash_does_not_depend_on_times(context: Path) -> None:
    before = hash_of(context, platform="linux/amd64")
    os.utime(context / "main.py", (1, 1))
    assert hash_of(context, platform="linux/amd64") == before
    assert len(before) == 32


@pytest.mark.parametrize("change", ["content", "name", "mode", "new file", "platform", "link"])
def test_hash_changes_with_everything_the_builder_receives(context: Path, change: str) -> None:
    before = hash_of(context, platform="linux/amd64")
    platform = "linux/amd64"
    if change == "content":
        (context / "main.py").write_text("print('hallo')\n")
    elif change == "name":
        (context / "main.py").rename(context / "start.py")
    elif change == "mode":
        (context / "main.py").chmod(0o755)
    elif change == "new file":
        (context / "templates" / "other.html").write_text("")
    elif change == "link":
        (context / "link").symlink_to("main.py")
    else:
        platform = "linux/arm64"
    assert hash_of(context, platform=platform) != before


def test_hash_does_not_depend_on_ignored_files(context: Path) -> None:
    (context / ".dockerignore").write_text(
        "# comment\n*\n!*.py\n!templates/**\n**/__pycache__\nsecret?.py\n"
    )
    before = hash_of(context)
    (context / "notes.md").write_text("x")
    (context / "secret1.py").write_text("x")
    (context / "templates" / "__pycache__").mkdir()
    (context / "templates" / "__pycache__" / "x.pyc").write_text("x")
    assert hash_of(context) == before
    assert [str(file) for file in context_files(context, "Dockerfile")] == [
        "Dockerfile",
        "main.py",
        "templates/page.html",
    ]


@pytest.mark.parametrize(("ignore_file", "path", "ignored"), BUILDKIT_RESULTS)
def test_pattern_matches_as_in_buildkit(
    tmp_path: Path, ignore_file: str, path: str, ignored: bool
) -> None:
    (tmp_path / ".dockerignore").write_text(ignore_file, encoding="utf-8", newline="")
    patterns = ignore_patterns(tmp_path, "Dockerfile")
    assert is_ignored(PurePosixPath(path), patterns) is ignored


def test_ignore_file_of_the_dockerfile_precedes_that_of_the_context(context: Path) -> None:
    (context / ".dockerignore").write_text("main.py\n")
    (context / "Dockerfile.dockerignore").write_text("templates\n")
    files = {str(file) for file in context_files(context, "Dockerfile")}
    assert "main.py" in files
    assert "templates/page.html" not in files


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("[ab", "`[` is not closed by `]`"),
        ("!", "`!` needs a pattern"),
        ("!/", "`!` needs a pattern"),
        ("a\\", "`\\` at the end of a pattern escapes nothing"),
    ],
)
def test_pattern_that_buildkit_refuses_is_refused(
    context: Path, pattern: str, message: str
) -> None:
    (context / ".dockerignore").write_text(f"*.md\n{pattern}\n")
    with pytest.raises(ContextError) as caught:
        context_files(context, "Dockerfile")
    assert str(caught.value) == f"{context / '.dockerignore'}, line 2: {message}"


def test_context_of_the_service_contains_no_buildspecs_and_no_documentation() -> None:
    files = {str(file) for file in context_files(Path("app"), "Dockerfile")}
    assert {"Dockerfile", "requirements.txt", "factory.py"} <= files
    assert not [file for file in files if file.startswith("buildspecs") or file.endswith(".md")]


def test_missing_context_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextError) as caught:
        content_hash(tmp_path / "nowhere", "Dockerfile", {})
    assert str(caught.value) == f"the build context {tmp_path / 'nowhere'} is not a folder"


def test_missing_dockerfile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContextError) as caught:
        content_hash(tmp_path, "Dockerfile", {})
    assert str(caught.value) == f"{tmp_path / 'Dockerfile'} is missing: an image needs a Dockerfile"
