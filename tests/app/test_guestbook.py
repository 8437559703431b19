"""The guestbook through the page's form and the API, in a real PostgreSQL."""

from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

HOSTILE = "'); DROP TABLE guestbook_entry; --"


def sign(book: FlaskClient, name: str, message: str, **headers: str) -> TestResponse:
    body = urlencode({"name": name, "message": message})
    return book.post("/", data=body, content_type="application/x-www-form-urlencoded", headers=headers)


def test_a_signed_entry_is_on_the_page_at_once_and_in_the_api(book: FlaskClient) -> None:
    book.get("/")  # so that a page from before is kept
    answer = sign(book, "Ada", "line one\r\nline two")
    assert answer.status_code == 303
    page = book.get(answer.headers["Location"])
    assert "line one\nline two" in page.text
    (entry,) = book.get("/api/entries").get_json()["entries"]
    assert (entry["name"], entry["message"]) == ("Ada", "line one\nline two")
    assert answer.headers["Location"].endswith(f"#entry-{entry['id']}")
    assert book.get(f"/api/entries/{entry['id']}").get_json() == entry


def test_sql_and_markup_in_fields_are_text(book: FlaskClient) -> None:
    answer = book.post("/api/entries", json={"name": HOSTILE, "message": "<script>alert(1)</script>"})
    assert answer.status_code == 201
    assert answer.get_json()["name"] == HOSTILE
    page = book.get("/").text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_pages_go_back_in_time_without_gaps(book: FlaskClient) -> None:
    for number in range(45):
        assert book.post("/api/entries", json={"name": "n", "message": f"message {number}"}).status_code == 201
    found: list[str] = []
    before: int | None = None
    while True:
        page = book.get("/api/entries", query_string={"limit": 20} | ({"before": before} if before else {})).get_json()
        found += [entry["message"] for entry in page["entries"]]
        before = page["next_before"]
        if before is None:
            break
    assert found == [f"message {number}" for number in reversed(range(45))]
    first = book.get("/").text
    older = first.split('href="/?before=')[1].split("#")[0]
    assert "message 24<" in book.get(f"/?before={older}").text


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({}, {"name": "is missing", "message": "is missing"}),
        ({"name": " \t", "message": "\n"}, {"name": "is empty", "message": "is empty"}),
        ({"name": "x" * 81, "message": "y" * 1001},
         {"name": "is 81 characters long, and may have 80", "message": "is 1001 characters long, and may have 1000"}),
        ({"name": 1, "message": ["a"]}, {"name": "must be a text", "message": "must be a text"}),
        ({"name": "a\nb", "message": "nul \x00"},
         {"name": "has a character that can't be written", "message": "has a character that can't be written"}),
        ({"name": "half \ud800", "message": "m", "admin": True},
         {"name": "has a character that can't be written", "admin": "is not a field of an entry"}),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_field_by_field(
    book: FlaskClient, fields: dict[str, object], errors: dict[str, str]
) -> None:
    answer = book.post("/api/entries", json=fields)
    assert answer.status_code == 422
    assert answer.get_json(force=True)["errors"] == errors
    assert book.get("/api/entries").get_json()["entries"] == []


def test_the_form_comes_back_with_what_was_typed_and_what_is_wrong(book: FlaskClient) -> None:
    answer = sign(book, "x" * 81, "a message worth keeping")
    assert answer.status_code == 422
    assert "a message worth keeping" in answer.text
    assert "The name is 81 characters long, and may have 80." in answer.text
    assert 'aria-invalid="true"' in answer.text


def test_the_longest_entry_fits_through_the_form_and_the_api(book: FlaskClient) -> None:
    name, message = "🦉" * 80, "🦉" * 1000
    assert sign(book, name, message).status_code == 303
    assert book.post("/api/entries", json={"name": name, "message": message}).status_code == 201
    assert [entry["message"] for entry in book.get("/api/entries").get_json()["entries"]] == [message, message]


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
def test_a_wrong_body_gets_its_own_code(book: FlaskClient, body: bytes, kind: str, status: int) -> None:
    answer = book.post("/api/entries", data=body, content_type=kind)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.get_json(force=True)["status"] == status


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
def test_a_wrong_form_gets_its_own_code(book: FlaskClient, body: bytes, kind: str, status: int) -> None:
    answer = book.post("/", data=body, content_type=kind)
    assert answer.status_code == status
    assert answer.content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=ten", "before=0", "before=-1", "before=9" + "9" * 19, "limit=٣"]
)
def test_a_parameter_out_of_range_is_a_400(book: FlaskClient, query: str) -> None:
    assert book.get(f"/api/entries?{query}").status_code == 400


@pytest.mark.parametrize("entry", ["0", "999999", "9" * 30, "-1", "one"])
def test_an_entry_that_is_not_there_is_a_404(book: FlaskClient, entry: str) -> None:
    answer = book.get(f"/api/entries/{entry}")
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_a_post_from_another_site_is_refused_and_writes_nothing(book: FlaskClient) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ):
        assert sign(book, "a", "b", **headers).status_code == 403
    assert book.get("/api/entries").get_json()["entries"] == []


def test_a_post_from_the_page_itself_or_from_a_program_is_taken(book: FlaskClient) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}):
        assert sign(book, "a", "b", **headers).status_code == 303


def test_a_database_without_tables_makes_the_service_unready_and_not_broken(empty_database: str) -> None:
    from app.config import load
    from app.factory import create_app

    client = create_app(load({"DATABASE_URL": empty_database})).test_client()
    assert client.get("/readyz").status_code == 503
    assert client.get("/api/entries").status_code == 503
    assert client.get("/").status_code == 200
