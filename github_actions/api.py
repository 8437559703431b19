"""The part of GitHub's REST API that the workflows use."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VERSION = "2022-11-28"
MAX_BODY = 65_536  # characters of a comment or an issue
_PAGE = 100


class GitHubError(Exception):
    """A request failed; the message has method, path, status and GitHub's reason."""


@dataclass(frozen=True)
class GitHub:
    """A repository's API, with a token of the workflow."""

    repository: str
    token: str
    url: str = "https://api.github.com"

    @classmethod
    def of_workflow(cls) -> GitHub:
        """Return the API of the running workflow. Raises GitHubError if a variable is missing."""
        try:
            repository, token = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"]
        except KeyError as error:
            raise GitHubError(f"the variable {error.args[0]} is not set") from None
        return cls(repository, token, os.environ.get("GITHUB_API_URL", cls.url))

    def write_comment(self, pull_request: int, marker: str, body: str) -> str:
        """Create or update the one comment that begins with `marker`; return its address."""
        for comment in self._pages(f"issues/{pull_request}/comments"):
            if comment["body"].startswith(marker):
                path = f"issues/comments/{comment['id']}"
                return str(self._request("PATCH", path, {"body": body})["html_url"])
        created = self._request("POST", f"issues/{pull_request}/comments", {"body": body})
        return str(created["html_url"])

    def pull_requests_of(self, commit: str) -> list[int]:
        """Return the open pull requests whose newest commit is this one."""
        return [
            int(item["number"])
            for item in self._pages(f"commits/{commit}/pulls")
            if item["state"] == "open" and item["head"]["sha"] == commit
        ]

    def open_issue(self, label: str, marker: str) -> dict[str, Any] | None:
        """Return the open issue with this label whose body begins with `marker`."""
        for issue in self._pages(f"issues?state=open&labels={label}"):
            if "pull_request" not in issue and (issue["body"] or "").startswith(marker):
                return issue
        return None

    def create_issue(self, title: str, body: str, label: str) -> dict[str, Any]:
        """Create an issue."""
        content = {"title": title, "body": body, "labels": [label]}
        issue: dict[str, Any] = self._request("POST", "issues", content)
        return issue

    def update_issue(self, number: int, **fields: str) -> None:
        """Change `body`, `state` or `state_reason` of an issue."""
        self._request("PATCH", f"issues/{number}", fields)

    def comment(self, number: int, body: str) -> None:
        """Add a comment to an issue."""
        self._request("POST", f"issues/{number}/comments", {"body": body})

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        separator, page = "&" if "?" in path else "?", 1
        while True:
            items = self._request("GET", f"{path}{separator}per_page={_PAGE}&page={page}")
            yield from items
            if len(items) < _PAGE:
                return
            page += 1

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the URL is GitHub's, or the test's
            f"{self.url}/repos/{self.repository}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "User-Agent": "platform-workflows",
                "X-GitHub-Api-Version": VERSION,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - see above
                return json.load(response)
        except urllib.error.HTTPError as error:
            reason = error.read().decode(errors="replace")[:300]
            raise GitHubError(f"{method} {path}: {error.code} {reason}") from None
        except urllib.error.URLError as error:
            raise GitHubError(f"{method} {path}: {error.reason}") from None
