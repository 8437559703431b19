"""A GitHub API that verifies each request and holds comments and issues."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_test"
REPOSITORY = "example/platform"
BOT = "github-actions[bot]"


@dataclass
class FakeGitHub:
    """The repository's content, and the requests that changed it."""

    comments: dict[int, dict[str, Any]] = field(default_factory=dict)
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    pull_requests: list[dict[str, Any]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    url: str = ""

    def add_comment(self, number: int, body: str, login: str = BOT) -> dict[str, Any]:
        id = 1000 + len(self.comments)
        comment = {"id": id, "issue": number, "body": body, "user": {"login": login}}
        comment["html_url"] = f"https://github.example/{REPOSITORY}/pull/{number}#comment-{id}"
        self.comments[id] = comment
        return comment

    def answer(  # noqa: PLR0911 - one return per route
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Serve one request; unknown routes and invalid bodies are refused as GitHub does."""
        if match := re.fullmatch(r"issues/(\d+)/comments", path):
            number = int(match[1])
            if method == "POST":
                return 201, self.add_comment(number, self._body(body, {"body"}))
            stored = [item for item in self.comments.values() if item["issue"] == number]
            return 200, self._page(stored, query)
        if (match := re.fullmatch(r"issues/comments/(\d+)", path)) and method == "PATCH":
            comment = self.comments.get(int(match[1]))
            if comment is None:
                return 404, {"message": "Not Found"}
            if comment["user"]["login"] != BOT:
                return 403, {"message": "Resource not accessible by integration"}
            comment["body"] = self._body(body, {"body"})
            return 200, comment
        if path == "issues" and method == "GET":
            stored = [
                item
                for item in self.issues.values()
                if item["state"] == query.get("state", "open")
                and query.get("labels", "") in [label["name"] for label in item["labels"]]
            ]
            return 200, self._page(stored, query)
        if path == "issues" and method == "POST":
            text = self._body(body, {"title", "body", "labels"})
            number = 1 + len(self.issues)
            labels = [{"name": name} for name in body["labels"]]
            issue = {"number": number, "title": body["title"], "body": text, "state": "open"}
            self.issues[number] = {**issue, "labels": labels}
            return 201, self.issues[number]
        if (match := re.fullmatch(r"issues/(\d+)", path)) and method == "PATCH":
            assert set(body) <= {"body", "state", "state_reason"}, body
            self.issues[int(match[1])].update(body)
            return 200, self.issues[int(match[1])]
        if re.fullmatch(r"commits/[0-9a-f]{40}/pulls", path) and method == "GET":
            return 200, self._page(self.pull_requests, query)
        return 404, {"message": "Not Found"}

    @staticmethod
    def _body(body: dict[str, Any], keys: set[str]) -> str:
        if set(body) != keys or not body["body"] or len(body["body"]) > 65_536:
            raise ValueError("Validation Failed")
        return str(body["body"])

    @staticmethod
    def _page(items: list[Any], query: dict[str, str]) -> list[Any]:
        size, page = int(query.get("per_page", "30")), int(query.get("page", "1"))
        assert size <= 100
        return items[(page - 1) * size : page * size]


@contextmanager
def serving(github: FakeGitHub) -> Iterator[FakeGitHub]:
    """Serve the API on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            status, response = self._checked(body)
            data = json.dumps(response).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _checked(self, body: dict[str, Any]) -> tuple[int, Any]:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return 401, {"message": "Bad credentials"}
            if self.headers["X-GitHub-Api-Version"] != "2022-11-28":
                return 400, {"message": "unsupported version"}
            if self.headers["Accept"] != "application/vnd.github+json":
                return 415, {"message": "Unsupported 'Accept' header"}
            parts = urlsplit(self.path)
            prefix = f"/repos/{REPOSITORY}/"
            if not parts.path.startswith(prefix):
                return 404, {"message": "Not Found"}
            path = parts.path.removeprefix(prefix)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if self.command != "GET":
                github.writes.append(f"{self.command} {path}")
            try:
                return github.answer(self.command, path, query, body)
            except ValueError as error:
                return 422, {"message": str(error)}

        do_GET = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815 - names of http.server

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    github.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        server.server_close()
