"""The files that a build is sent, by BuildKit's rules, and the digest over them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from components.image.build_context import ignore_patterns, is_ignored
from sandbox.images.build_context import context_digest, context_files

ALL = {"a.py", "b.md", "docs/c.md", "docs/deep/d.md"}


def create_files(directory: Path, *names: str) -> Path:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return directory


def files_with_ignore(tmp_path: Path, ignore: str, *names: str) -> set[str]:
    """Return the included files without the ignore file itself."""
    directory = create_files(tmp_path / "context", *names)
    dockerfile = create_files(tmp_path, "Dockerfile") / "Dockerfile"
    (directory / ".dockerignore").write_text(ignore, encoding="utf-8")
    return set(context_files(directory, dockerfile)) - {".dockerignore"}


CASES = [
    ("", ALL),
    ("*.md", ALL - {"b.md"}),
    ("**/*.md", {"a.py"}),
    ("*/*.md", ALL - {"docs/c.md"}),
    ("docs", {"a.py", "b.md"}),
    ("/docs/", {"a.py", "b.md"}),
    ("docs/**", {"a.py", "b.md"}),
    ("*\n!*.py", {"a.py"}),
    ("*\n!**/*.md", ALL - {"a.py"}),
    ("**/deep", ALL - {"docs/deep/d.md"}),
    ("**/*.md\n!docs/deep", {"a.py", "docs/deep/d.md"}),
    ("!docs\ndocs/c*\n", ALL - {"docs/c.md"}),
    ("# *.py\n\n?.md", ALL - {"b.md"}),
    (" # *.py", ALL),
    ("#*.py", ALL),
    ("*.MD", ALL),
    ("**.md", {"a.py"}),
    ("**c.md", ALL - {"docs/c.md"}),
    ("**p/d.md", ALL - {"docs/deep/d.md"}),
    ("  *.py  ", ALL - {"a.py"}),
    ("! *.py", ALL),
    ("[ab].*", {"docs/c.md", "docs/deep/d.md"}),
    ("[^a].*", ALL - {"b.md"}),
    ("[!a].*", ALL - {"a.py"}),
    ("./docs/../b.md", ALL - {"b.md"}),
    ("missing/../b.md", ALL - {"b.md"}),
    ("../b.md", ALL),
    ("..\n.\n/\n", ALL),
    ("\ufeffb.md", ALL - {"b.md"}),
    ("\ufeff# b.md", ALL),
]


@pytest.mark.parametrize(("ignore", "included"), CASES)
def test_ignored_files_are_excluded(tmp_path: Path, ignore: str, included: set[str]) -> None:
    assert files_with_ignore(tmp_path, ignore, *ALL) == included


@pytest.mark.parametrize(
    ("ignore", "included"),
    [
        (r"\#x", {"!x", "*x", "[x]", "ax"}),
        (r"\!x", {"#x", "*x", "[x]", "ax"}),
        (r"\*x", {"#x", "!x", "[x]", "ax"}),
        (r"\[x\]", {"#x", "!x", "*x", "ax"}),
        (r"[!#]x", {"*x", "[x]", "ax"}),
        (r"[^\#]x", {"#x", "[x]"}),
    ],
)
def test_escaped_characters_match_themselves(
    tmp_path: Path, ignore: str, included: set[str]
) -> None:
    assert files_with_ignore(tmp_path, ignore, "#x", "!x", "*x", "[x]", "ax") == included


def test_dockerfile_ignore_file_takes_precedence_over_context(tmp_path: Path) -> None:
    directory = create_files(tmp_path, "Dockerfile", "a.py", "b.py")
    (directory / ".dockerignore").write_text("a.py")
    (directory / "Dockerfile.dockerignore").write_text("b.py")
    files = context_files(directory, directory / "Dockerfile")
    assert "a.py" in files
    assert "b.py" not in files


def test_linked_directories_are_links(tmp_path: Path) -> None:
    directory = create_files(tmp_path / "context", "Dockerfile", "docs/a.md")
    (directory / "linked").symlink_to("docs")
    assert context_files(directory, directory / "Dockerfile") == [
        "Dockerfile",
        "docs/a.md",
        "linked",
    ]


def test_digest_depends_on_names_contents_and_executable_bits_alone(tmp_path: Path) -> None:
    directory = create_files(tmp_path, "Dockerfile", "a.sh", "b.md")
    (directory / ".dockerignore").write_text("*.md")
    dockerfile = directory / "Dockerfile"
    before = context_digest(directory, dockerfile)
    (directory / "b.md").write_text("changed, but ignored")
    os.utime(directory / "a.sh", (1, 1))
    assert context_digest(directory, dockerfile) == before
    digests = {before}
    (directory / "a.sh").chmod(0o755)
    digests.add(context_digest(directory, dockerfile))
    (directory / "a.sh").write_text("other")
    digests.add(context_digest(directory, dockerfile))
    (directory / "a.sh").rename(directory / "c.sh")
    digests.add(context_digest(directory, dockerfile))
    dockerfile.write_text("FROM scratch")
    digests.add(context_digest(directory, dockerfile))
    assert len(digests) == 5


@pytest.mark.parametrize("ignore", [ignore for ignore, _ in CASES])
def test_program_and_sandbox_exclude_the_same_files(tmp_path: Path, ignore: str) -> None:
    directory = create_files(tmp_path, "Dockerfile", *ALL)
    (directory / ".dockerignore").write_text(ignore, encoding="utf-8")
    patterns = ignore_patterns(directory, "Dockerfile")
    names = [*ALL, "Dockerfile", ".dockerignore"]
    program = {name for name in names if not is_ignored(PurePosixPath(name), patterns)}
    assert set(context_files(directory, directory / "Dockerfile")) == program
