"""The console's documents, and the requests that it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.console import create_app
from tests.sandbox.console.fake_source import EXECUTION, FakeSource

BASE = "http://127.0.0.1:8123"
TOKEN = "the-token"
APPROVAL = {
    "execution": EXECUTION.id,
    "stage": "Approve",
    "action": "Approve",
    "decision": "Approved",
    "summary": "looks good",
}
CHANGES: dict[str, dict[str, Any]] = {
    "approval": APPROVAL,
    "retry": {"execution": EXECUTION.id, "stage": "Build"},
    "stop": {"execution": EXECUTION.id, "abandon": True},
    "start": {},
    "release": {},
}


@pytest.fixture
def client(source: FakeSource) -> FlaskClient:
    return create_app(source, TOKEN).test_client()


def post(client: FlaskClient, name: str, body: Any, **headers: str) -> TestResponse:
    path = f"/api/stacks/dev/pipeline/{name}"
    sent = {"X-Console-Token": TOKEN, "Origin": BASE} | headers
    return client.post(path, json=body, base_url=BASE, headers=sent)


@pytest.mark.parametrize(
    "path", ["overview", "images", "stacks/dev", "stacks/dev/timeline", "stacks/dev/pipeline"]
)
def test_documents_are_json(client: FlaskClient, path: str) -> None:
    response = client.get(f"/api/{path}", base_url=BASE)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert response.json


def test_secret_outputs_have_no_value(client: FlaskClient) -> None:
    outputs = client.get("/api/stacks/dev", base_url=BASE).json["outputs"]  # type: ignore[index]
    assert {"name": "kubeconfig", "secret": True, "value": "", "local_url": ""} in outputs


def test_log_starts_after_the_lines_that_were_read(client: FlaskClient) -> None:
    response = client.get("/api/stacks/dev/log?build=build:1&after=198", base_url=BASE)
    assert response.json == {"lines": ["line 198", "line 199"], "next": 200, "running": False}


def test_unknown_stack_is_explained_in_one_sentence(client: FlaskClient) -> None:
    response = client.get("/api/stacks/other", base_url=BASE)
    assert response.status_code == 404
    assert response.json == {"error": "There is no stack 'other' in this project."}


def test_error_in_the_source_has_no_traceback(client: FlaskClient, source: FakeSource) -> None:
    source.images = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    response = client.get("/api/images", base_url=BASE)
    assert response.status_code == 500
    assert response.json == {"error": "Bug in the console: ZeroDivisionError: division by zero"}


def test_changes_reach_the_source(client: FlaskClient, source: FakeSource) -> None:
    for name in ("approval", "retry", "stop", "start"):
        response = post(client, name, CHANGES[name])
        assert response.json == {"execution": EXECUTION.id}, response.json
    assert source.calls == [
        ("decide", "dev", EXECUTION.id, "Approve", "Approve", "Approved", "looks good"),
        ("retry", "dev", EXECUTION.id, "Build"),
        ("stop", "dev", EXECUTION.id, True),
        ("start", "dev"),
    ]


def test_refused_change_has_the_reason(client: FlaskClient) -> None:
    response = post(client, "release", {})
    assert response.status_code == 409
    assert "the working tree has no commit" in str(response.json)


@pytest.mark.parametrize("name", list(CHANGES))
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Console-Token": ""},
        {"X-Console-Token": "wrong"},
        {"X-Console-Token": "the-tokeñ"},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Host": "example.com:8123"},
        {"Host": "127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_change_with_a_wrong_header_is_refused(
    client: FlaskClient, source: FakeSource, name: str, headers: dict[str, str]
) -> None:
    response = post(client, name, CHANGES[name], **headers)
    assert response.status_code == 403
    assert source.calls == []


@pytest.mark.parametrize("path", ["", "api/overview", "static/console.js"])
@pytest.mark.parametrize("host", ["example.com:8123", "127.0.0.1", "localhost:1", ""])
def test_reading_with_a_foreign_host_is_refused(client: FlaskClient, path: str, host: str) -> None:
    response = client.get(f"/{path}", base_url=BASE, headers={"Host": host})
    assert response.status_code == 403


@pytest.mark.parametrize("path", ["api/overview", "api/stacks/dev", "static/console.js"])
def test_reading_by_another_site_is_refused(client: FlaskClient, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://127.0.0.1:1"}):
        assert client.get(f"/{path}", base_url=BASE, headers=headers).status_code == 403


def test_link_of_another_site_leads_to_the_page(client: FlaskClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", base_url=BASE, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {**APPROVAL, "decision": "Maybe"},
        {**APPROVAL, "more": 1},
        {**APPROVAL, "stage": 1},
        {**APPROVAL, "summary": "x" * 513},
        {"execution": "1"},
    ],
)
def test_invalid_body_is_refused(client: FlaskClient, source: FakeSource, body: Any) -> None:
    response = post(client, "approval", body)
    assert response.status_code == 400
    assert str(response.json["error"]).startswith("The request is not valid: ")  # type: ignore[index]
    assert source.calls == []


def test_large_body_is_refused(client: FlaskClient, source: FakeSource) -> None:
    response = post(client, "approval", {**APPROVAL, "summary": "x" * 20_000})
    assert response.status_code in {400, 413}
    assert source.calls == []


def test_change_by_get_is_refused(client: FlaskClient, source: FakeSource) -> None:
    for name in CHANGES:
        path = f"/api/stacks/dev/pipeline/{name}"
        assert client.get(path, base_url=BASE).status_code == 405
    assert source.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "static/../server.py",
        "static/%2e%2e/server.py",
        "static/..%2fserver.py",
        "static/index.html",
        "static//etc/passwd",
        "../documents.py",
        "api/stacks/../../../../etc/passwd",
    ],
)
def test_path_outside_the_page_is_not_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/{path}", base_url=BASE).status_code == 404


def test_page_forbids_inline_scripts_and_other_origins(client: FlaskClient) -> None:
    response = client.get("/", base_url=BASE)
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    page = response.get_data(as_text=True)
    assert TOKEN in page
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page)


def test_each_application_has_its_own_token(source: FakeSource) -> None:
    pages = {create_app(source).test_client().get("/", base_url=BASE).data for _ in range(2)}
    assert len(pages) == 2
