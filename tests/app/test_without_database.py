"""Without a database the service serves, and says so."""

import json

import pytest
from flask.testing import FlaskClient

from app.config import load
from app.factory import create_app
from tests.app.conftest import RELEASE


def test_the_page_names_the_release_and_says_that_there_is_no_guestbook(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    for fact in RELEASE.values():
        assert fact in answer.text
    assert "No database is configured here" in answer.text
    assert "<form" not in answer.text


def test_the_release_is_there_as_json(client: FlaskClient) -> None:
    assert client.get("/api/release").json == {
        "environment": "test",
        "version": "1.2.3",
        "commit": RELEASE["APP_COMMIT"],
        "image_digest": RELEASE["APP_IMAGE_DIGEST"],
        "pod": "app-7d9f",
        "database": "not configured",
    }


def test_it_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/livez").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready", "database": "not configured"}


def test_the_guestbooks_api_says_that_there_is_none(client: FlaskClient) -> None:
    answer = client.get("/api/entries")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["detail"] == "This deployment has no database, and so no guestbook."
    assert client.post("/", data={"name": "a", "message": "b"}).status_code == 400


def test_no_outside_asset_and_no_script_is_in_the_page(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "style=" not in page


def test_styles_may_be_kept_for_ever_and_exist(client: FlaskClient) -> None:
    address = client.get("/").text.split('rel="stylesheet" href="')[1].split('"')[0]
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.content_type == "text/css; charset=utf-8"
    assert "max-age=31536000" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/livez", "/api/release", "/nowhere", "/metrics"])
def test_every_answer_has_the_protecting_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in headers


def test_a_sane_request_id_is_kept_and_another_replaced(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-Id": "abc-123_45.6"}).headers["X-Request-Id"] == "abc-123_45.6"
    for wrong in ("short", "x" * 65, 'a"b{}<script>', "spaces in it"):
        given = client.get("/livez", headers={"X-Request-Id": wrong}).headers["X-Request-Id"]
        assert len(given) == 32
        assert given != wrong


def test_forwarding_headers_are_believed_only_when_configured() -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    assert "Strict-Transport-Security" not in create_app(load({})).test_client().get("/", headers=forwarded).headers
    behind = create_app(load({"APP_TRUSTED_PROXIES": "1"})).test_client()
    assert "max-age=" in behind.get("/", headers=forwarded).headers["Strict-Transport-Security"]
    # The kept page of one scheme must not be given to the other.
    assert "Strict-Transport-Security" not in behind.get("/").headers


def test_the_kept_page_is_the_same_page_under_another_request_id(client: FlaskClient) -> None:
    first, second = client.get("/"), client.get("/", headers={"X-Request-Id": "second-request"})
    assert first.data == second.data
    assert second.headers["X-Request-Id"] == "second-request"
    assert dict(first.headers) | {"X-Request-Id": ""} == dict(second.headers) | {"X-Request-Id": ""}


def test_errors_are_a_page_for_people_and_problem_json_for_programs(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Back to the release page" in page.text
    problem = client.get("/api/nowhere")
    assert problem.content_type == "application/problem+json"
    assert json.loads(problem.data)["request_id"] == problem.headers["X-Request-Id"]
    wrong = client.delete("/api/release")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]


def test_an_unforeseen_failure_tells_the_client_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(load({}))

    @app.get("/api/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    answer = app.test_client().get("/api/broken")
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert b"secret detail" not in answer.data
    assert b"Traceback" not in answer.data
    assert "secret detail" in caplog.text


def test_no_setting_of_the_environment_reaches_debug_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = create_app(load({}))
    assert not app.debug
    assert app.test_client().get("/console").status_code == 404
