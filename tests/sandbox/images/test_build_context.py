"""Which files a build is sent, by the rules of Docker's documentation, and the digest over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.images import context


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


@pytest.mark.parametrize(
    ("ignore", "sent"),
    [
        ("", {"a.py", "b.md", "docs/c.md", "docs/deep/d.md"}),
        ("*.md", {"a.py", "docs/c.md", "docs/deep/d.md"}),
        ("**/*.md", {"a.py"}),
        ("*/*.md", {"a.py", "b.md", "docs/deep/d.md"}),
        ("docs", {"a.py", "b.md"}),
        ("/docs/", {"a.py", "b.md"}),
        ("docs/**", {"a.py", "b.md"}),
        ("*\n!*.py", {"a.py"}),
        ("**/*.md\n!docs/deep", {"a.py", "docs/deep/d.md"}),
        ("# *.py\n\n?.md", {"a.py", "docs/c.md", "docs/deep/d.md"}),
        ("[ab].*", {"docs/c.md", "docs/deep/d.md"}),
        ("./docs/../b.md", {"a.py", "docs/c.md", "docs/deep/d.md"}),
    ],
)
def test_ignored_files_are_not_sent(tmp_path: Path, ignore: str, sent: set[str]) -> None:
    folder = tree(tmp_path / "context", "a.py", "b.md", "docs/c.md", "docs/deep/d.md")
    dockerfile = tree(tmp_path, "Dockerfile") / "Dockerfile"
    (folder / ".dockerignore").write_text(ignore)
    assert set(context.files(folder, dockerfile)) - {".dockerignore"} == sent - (
        {".dockerignore"} if ignore.startswith("*\n") else set()
    )


def test_an_ignore_file_of_the_dockerfile_goes_before_that_of_the_context(tmp_path: Path) -> None:
    folder = tree(tmp_path, "Dockerfile", "a.py", "b.py")
    (folder / ".dockerignore").write_text("a.py")
    (folder / "Dockerfile.dockerignore").write_text("b.py")
    assert "a.py" in set(context.files(folder, folder / "Dockerfile"))
    assert "b.py" not in set(context.files(folder, folder / "Dockerfile"))


def test_the_digest_follows_names_contents_and_executable_bits_and_nothing_else(tmp_path: Path) -> None:
    folder = tree(tmp_path, "Dockerfile", "a.sh", "b.md")
    (folder / ".dockerignore").write_text("*.md")
    dockerfile = folder / "Dockerfile"
    before = context.digest(folder, dockerfile)
    (folder / "b.md").write_text("changed, but ignored")
    import os

    os.utime(folder / "a.sh", (1, 1))
    assert context.digest(folder, dockerfile) == before
    seen = {before}
    (folder / "a.sh").chmod(0o755)
    seen.add(context.digest(folder, dockerfile))
    (folder / "a.sh").write_text("other")
    seen.add(context.digest(folder, dockerfile))
    (folder / "a.sh").rename(folder / "c.sh")
    seen.add(context.digest(folder, dockerfile))
    dockerfile.write_text("FROM scratch")
    seen.add(context.digest(folder, dockerfile))
    assert len(seen) == 5
