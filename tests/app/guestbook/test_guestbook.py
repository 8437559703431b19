"""The guestbook through the form and the API, with a real PostgreSQL."""

from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import create_app
from tests.app.conftest import load_config

HOSTILE = "'); DROP TABLE guestbook_entry; --"


def sign(book: FlaskClient, name: str, message: str, **headers: str) -> TestResponse:
    body = urlencode({"name": name, "message": message})
    return book.post(
        "/", data=body, content_type="application/x-www-form-urlencoded", headers=headers
    )


def test_signed_entry_is_on_the_page_and_in_the_api(book: FlaskClient) -> None:
    response = sign(book, "Ada", "line one\r\nline two")
    assert response.status_code == 303
    page = book.get(response.headers["Location"])
    assert "line one\nline two" in page.text
    (entry,) = book.get("/api/entries").get_json()["entries"]
    assert (entry["name"], entry["message"]) == ("Ada", "line one\nline two")
    assert response.headers["Location"].endswith(f"#entry-{entry['id']}")
    assert book.get(f"/api/entries/{entry['id']}").get_json() == entry


def test_sql_and_markup_are_stored_as_text(book: FlaskClient) -> None:
    response = book.post(
        "/api/entries", json={"name": HOSTILE, "message": "<script>alert(1)</script>"}
    )
    assert response.status_code == 201
    assert response.get_json()["name"] == HOSTILE
    page = book.get("/").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_pagination_returns_every_entry_once(book: FlaskClient) -> None:
    for number in range(45):
        assert (
            book.post(
                "/api/entries", json={"name": "n", "message": f"message {number}"}
            ).status_code
            == 201
        )
    result: list[str] = []
    before: int | None = None
    while True:
        page = book.get(
            "/api/entries", query_string={"limit": 20} | ({"before": before} if before else {})
        ).get_json()
        result += [entry["message"] for entry in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    assert result == [f"message {number}" for number in reversed(range(45))]
    first = book.get("/").text
    older = first.split('href="/?before=')[1].split("#")[0]
    assert "message 24<" in book.get(f"/?before={older}").text


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, {"name": "is required", "message": "is required"}),
        (
            {"name": " \t", "message": "\n"},
            {"name": "must not be empty", "message": "must not be empty"},
        ),
        (
            {"name": "x" * 81, "message": "y" * 1001},
            {
                "name": "has 81 characters; the maximum is 80",
                "message": "has 1001 characters; the maximum is 1000",
            },
        ),
        ({"name": 1, "message": ["a"]}, {"name": "must be text", "message": "must be text"}),
        (
            {"name": "a\nb", "message": "nul \x00"},
            {"name": "has an invalid character", "message": "has an invalid character"},
        ),
        (
            {"name": "half \ud800", "message": "m", "admin": True},
            {"name": "has an invalid character", "admin": "is not a field of an entry"},
        ),
    ],
)
def test_invalid_entry_is_refused_with_a_reason_for_each_field(
    book: FlaskClient, fields: dict[str, object], errors: dict[str, str]
) -> None:
    response = book.post("/api/entries", json=fields)
    assert response.status_code == 422
    assert response.get_json(force=True)["errors"] == errors
    assert book.get("/api/entries").get_json()["entries"] == []


def test_invalid_form_is_returned_with_its_text_and_errors(book: FlaskClient) -> None:
    response = sign(book, "x" * 81, "a message worth keeping")
    assert response.status_code == 422
    assert "a message worth keeping" in response.text
    assert "The name has 81 characters; the maximum is 80." in response.text
    assert 'aria-invalid="true"' in response.text


def test_longest_entry_is_accepted_by_form_and_api(book: FlaskClient) -> None:
    name, message = "🦉" * 80, "🦉" * 1000
    assert sign(book, name, message).status_code == 303
    assert book.post("/api/entries", json={"name": name, "message": message}).status_code == 201
    assert [entry["message"] for entry in book.get("/api/entries").get_json()["entries"]] == [
        message,
        message,
    ]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"name": "\xff"}', "application/json", 400),
        (b"[" * 16000, "application/json", 400),
        (b"1" * 16000, "application/json", 400),
        (b"name=a&message=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b"x" * 16385, "application/json", 413),
    ],
)
def test_invalid_api_body_has_its_status(
    book: FlaskClient, body: bytes, kind: str, status: int
) -> None:
    response = book.post("/api/entries", data=body, content_type=kind)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.get_json(force=True)["status"] == status


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"name=%FF&message=b", "application/x-www-form-urlencoded", 400),
        (b"name=\xff&message=b", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a=b" for _ in range(20)), "application/x-www-form-urlencoded", 400),
        (b"name=a%00&message=b", "application/x-www-form-urlencoded", 422),
        (b"{}", "application/json", 415),
        (b"x" * 16385, "application/x-www-form-urlencoded", 413),
    ],
)
def test_invalid_form_body_has_its_status(
    book: FlaskClient, body: bytes, kind: str, status: int
) -> None:
    response = book.post("/", data=body, content_type=kind)
    assert response.status_code == status
    assert response.content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "before=0",
        "before=-1",
        "before=9" + "9" * 19,
        "limit=٣",
    ],
)
def test_parameter_out_of_range_is_400(book: FlaskClient, query: str) -> None:
    assert book.get(f"/api/entries?{query}").status_code == 400


@pytest.mark.parametrize("entry", ["0", "999999", "9" * 30, "-1", "one"])
def test_missing_entry_is_404(book: FlaskClient, entry: str) -> None:
    response = book.get(f"/api/entries/{entry}")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"


def test_cross_origin_post_is_refused(book: FlaskClient) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert sign(book, "a", "b", **headers).status_code == 403
    assert book.get("/api/entries").get_json()["entries"] == []


def test_same_origin_post_is_accepted(book: FlaskClient) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}):
        assert sign(book, "a", "b", **headers).status_code == 303


def test_database_without_tables_makes_the_service_unready(empty_database: str) -> None:
    config = load_config(DATABASE_URL=empty_database)
    client = create_app(config).test_client()
    assert client.get("/readyz").status_code == 503
    assert client.get("/api/entries").status_code == 503
    assert client.get("/").status_code == 200
