"""Properties of all requests, and responses as openapi.json describes them."""

import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it has no types

from app.factory import create_app
from tests.app.conftest import RELEASE, load_config, migrate
from tests.app.postgresql import Postgres

DOCUMENT: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "app" / "openapi.json").read_text()
)


@pytest.fixture(scope="module")
def shared_book(postgres: Postgres) -> Iterator[FlaskClient]:
    """A client with one database for all examples."""
    url = postgres.new_database()
    migrate(url)
    yield create_app(load_config(**RELEASE, DATABASE_URL=url)).test_client()


def conforms(schema: dict[str, Any], value: object) -> None:
    whole = {
        "$schema": DOCUMENT["jsonSchemaDialect"],
        **schema,
        "components": DOCUMENT["components"],
    }
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def described(method: str, path: str, status: int) -> dict[str, Any]:
    """Return the description of a response; KeyError for an undescribed one."""
    response: dict[str, Any] = DOCUMENT["paths"][path][method]["responses"][str(status)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return response


def check(
    client: FlaskClient, method: str, template: str, path: str, **more: Any
) -> tuple[int, Any]:
    response = client.open(path, method=method.upper(), **more)
    (kind, content) = next(
        iter(described(method, template, response.status_code)["content"].items())
    )
    assert response.mimetype == kind
    value = json.loads(response.data)
    conforms(content["schema"], value)
    assert "Traceback" not in response.text
    return response.status_code, value


text = st.text(st.characters(codec=None), max_size=90)
value = st.one_of(text, st.none(), st.integers(), st.booleans(), st.lists(text, max_size=2))


def test_openapi_document_is_valid_and_served(client: FlaskClient) -> None:
    assert client.get("/openapi.json").get_json() == DOCUMENT
    assert DOCUMENT["openapi"] == "3.1.0"
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in json.dumps(DOCUMENT).split('"$ref": "#/')[1:]:
        result: Any = DOCUMENT
        for part in reference.split('"')[0].split("/"):
            result = result[part]


def test_openapi_document_describes_exactly_the_routes() -> None:
    app = create_app(load_config())
    served = {
        (rule.rule.replace("<int:entry_id>", "{id}"), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if rule.rule.startswith("/api/") and method not in ("HEAD", "OPTIONS")
    }
    assert served == {
        (path, method) for path, methods in DOCUMENT["paths"].items() for method in methods
    }


@given(fields=st.dictionaries(st.sampled_from(["name", "message", "other"]), value))
@example(fields={"name": "\x00", "message": "\ud800"})
def test_any_json_object_is_stored_or_refused_as_described(
    shared_book: FlaskClient, fields: dict[str, Any]
) -> None:
    status, response = check(
        shared_book,
        "post",
        "/api/entries",
        "/api/entries",
        data=json.dumps(fields),
        content_type="application/json",
    )
    if status == 201:
        for key in ("name", "message"):
            assert (
                response[key]
                == unicodedata.normalize("NFC", fields[key].replace("\r\n", "\n")).strip()
            )
        path = f"/api/entries/{response['id']}"
        assert check(shared_book, "get", "/api/entries/{id}", path) == (200, response)
    else:
        assert status == 422


@given(
    body=st.binary(max_size=400),
    kind=st.sampled_from(["application/json", "text/plain", "application/xml", ""]),
)
def test_any_body_gets_a_described_response(
    shared_book: FlaskClient, body: bytes, kind: str
) -> None:
    status, _ = check(
        shared_book, "post", "/api/entries", "/api/entries", data=body, content_type=kind
    )
    assert status in (400, 411, 415, 422)


@given(
    limit=st.one_of(st.integers(-5, 200).map(str), text),
    before=st.one_of(st.none(), st.integers(-5, 2**70).map(str), text),
)
def test_any_list_parameters_get_a_described_response(
    shared_book: FlaskClient, limit: str, before: str | None
) -> None:
    query = f"limit={quote(limit, errors='replace')}" + (
        f"&before={quote(before, errors='replace')}" if before else ""
    )
    status, response = check(shared_book, "get", "/api/entries", f"/api/entries?{query}")
    if status == 200:
        assert len(response["entries"]) <= int(limit)


@given(name=text, message=text)
def test_any_form_is_stored_or_refused(shared_book: FlaskClient, name: str, message: str) -> None:
    fields = [quote(field, errors="surrogatepass") for field in (name, message)]
    body = f"name={fields[0]}&message={fields[1]}"
    response = shared_book.post("/", data=body, content_type="application/x-www-form-urlencoded")
    assert response.status_code in (303, 400, 422)


@given(
    path=st.text(max_size=60),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
)
def test_no_path_and_method_is_a_server_error(client: FlaskClient, path: str, method: str) -> None:
    # The test client reads two leading slashes as a host.
    assert (
        client.open("/" + quote(path, errors="replace").lstrip("/"), method=method).status_code
        < 500
    )
