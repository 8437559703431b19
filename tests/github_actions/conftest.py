"""A fake GitHub API in the environment of the commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.github_actions.fake_github import REPOSITORY, TOKEN, FakeGitHub, serving


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    with serving(FakeGitHub()) as fake:
        monkeypatch.setenv("GITHUB_API_URL", fake.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield fake
