"""The application without a database."""

import json

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from tests.app.conftest import RELEASE, load_config


def test_page_shows_the_release_without_guestbook(client: FlaskClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    for fact in RELEASE.values():
        assert fact in response.text
    assert "No database is configured here" in response.text
    assert "<form" not in response.text


def test_release_is_served_as_json(client: FlaskClient) -> None:
    assert client.get("/api/release").json == {
        "environment": "test",
        "version": "1.2.3",
        "commit": RELEASE["APP_COMMIT"],
        "image_digest": RELEASE["APP_IMAGE_DIGEST"],
        "pod": "app-7d9f",
        "database": "not configured",
    }


def test_service_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/livez").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready", "database": "not configured"}


def test_api_without_a_database_is_404(client: FlaskClient) -> None:
    response = client.get("/api/entries")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert (
        response.get_json(force=True)["detail"]
        == "This deployment has no database, and so no guestbook."
    )
    assert client.post("/", data={"name": "a", "message": "b"}).status_code == 400


def test_page_has_no_external_asset_and_no_script(client: FlaskClient) -> None:
    page = client.get("/").text
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page
    assert "style=" not in page


def test_stylesheet_is_cacheable(client: FlaskClient) -> None:
    address = client.get("/").text.split('rel="stylesheet" href="')[1].split('"')[0]
    response = client.get(address)
    assert response.status_code == 200
    assert response.content_type == "text/css; charset=utf-8"
    assert "max-age=31536000" in response.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["/", "/livez", "/api/release", "/nowhere", "/metrics"])
def test_every_response_has_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in headers


def test_valid_request_id_is_kept_and_invalid_replaced(client: FlaskClient) -> None:
    assert (
        client.get("/livez", headers={"X-Request-Id": "abc-123_45.6"}).headers["X-Request-Id"]
        == "abc-123_45.6"
    )
    for invalid in ("short", "x" * 65, 'a"b{}<script>', "spaces in it"):
        inputs = client.get("/livez", headers={"X-Request-Id": invalid}).headers["X-Request-Id"]
        assert len(inputs) == 32
        assert inputs != invalid


def test_forwarding_headers_are_trusted_only_when_configured() -> None:
    forwarded = {"X-Forwarded-Proto": "https"}
    assert (
        "Strict-Transport-Security"
        not in create_app(load_config()).test_client().get("/", headers=forwarded).headers
    )
    behind = create_app(load_config(APP_TRUSTED_PROXIES="1")).test_client()
    assert "max-age=" in behind.get("/", headers=forwarded).headers["Strict-Transport-Security"]
    assert "Strict-Transport-Security" not in behind.get("/").headers


def test_errors_are_html_pages_or_problem_json(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Back to the release page" in page.text
    problem = client.get("/api/nowhere")
    assert problem.content_type == "application/problem+json"
    assert json.loads(problem.data)["request_id"] == problem.headers["X-Request-Id"]
    invalid = client.delete("/api/release")
    assert invalid.status_code == 405
    assert "GET" in invalid.headers["Allow"]


def test_unexpected_exception_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(load_config())

    @app.get("/api/broken")
    def broken() -> str:
        raise RuntimeError("secret detail")

    response = app.test_client().get("/api/broken")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert b"secret detail" not in response.data
    assert b"Traceback" not in response.data
    assert "secret detail" in caplog.text


def test_debug_mode_cannot_be_enabled_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = create_app(load_config())
    assert not app.debug
    assert app.test_client().get("/console").status_code == 404
