"""The tag of an image is its content: nothing else changes it, and nothing of it goes unnoticed."""

import os
from pathlib import Path

import pytest

from components.image.context import ContextError, content_hash, context_files


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "templates").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "main.py").write_text("print('hello')\n")
    (folder / "templates" / "page.html").write_text("<p>hello</p>\n")
    return folder


def tag(context: Path, **inputs: str) -> str:
    return content_hash(context, "Dockerfile", inputs)


def test_two_clones_of_one_commit_give_one_tag(context: Path) -> None:
    before = tag(context, platform="linux/amd64")
    os.utime(context / "main.py", (1, 1))
    assert tag(context, platform="linux/amd64") == before
    assert len(before) == 32


@pytest.mark.parametrize("change", ["content", "name", "mode", "new file", "platform", "link"])
def test_whatever_docker_would_see_changes_the_tag(context: Path, change: str) -> None:
    before = tag(context, platform="linux/amd64")
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
    assert tag(context, platform=platform) != before


def test_ignored_files_change_nothing(context: Path) -> None:
    (context / ".dockerignore").write_text(
        "# not sent\n*\n!*.py\n!templates/**\n**/__pycache__\nsecret?.py\n"
    )
    before = tag(context)
    (context / "notes.md").write_text("x")
    (context / "secret1.py").write_text("x")
    (context / "templates" / "__pycache__").mkdir()
    (context / "templates" / "__pycache__" / "x.pyc").write_text("x")
    assert tag(context) == before
    assert [str(file) for file in context_files(context, "Dockerfile")] == [
        "Dockerfile",
        "main.py",
        "templates/page.html",
    ]


def test_the_real_context_holds_the_service_and_not_its_buildspecs() -> None:
    files = {str(file) for file in context_files(Path("app"), "Dockerfile")}
    assert {"Dockerfile", "requirements.txt", "factory.py"} <= files
    assert not [file for file in files if file.startswith("buildspecs") or file.endswith(".md")]


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContextError) as caught:
        content_hash(tmp_path / "nowhere", "Dockerfile", {})
    assert str(caught.value) == f"the build context {tmp_path / 'nowhere'} is not a folder"


def test_a_context_without_a_dockerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContextError) as caught:
        content_hash(tmp_path, "Dockerfile", {})
    assert str(caught.value) == f"{tmp_path / 'Dockerfile'} is missing: an image needs a Dockerfile"
