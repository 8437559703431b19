"""The page: the release, and the guestbook with its form."""

from urllib.parse import parse_qsl

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.wrappers import Response as BaseResponse

from app import telemetry
from app.config import Config
from app.errors import UNAVAILABLE, DatabaseUnavailableError, report_unavailable, retry_later
from app.guestbook.models import (
    MAX_ID,
    MESSAGE_LENGTH,
    NAME_LENGTH,
    Entry,
    InvalidDraftError,
    parse_draft,
)
from app.guestbook.parsing import integer_argument, read_body
from app.guestbook.store import Guestbook

_PAGE_LENGTH = 20
_MAX_FIELDS = 10


def blueprint(config: Config, guestbook: Guestbook | None) -> Blueprint:
    """Return the page's routes; `guestbook` is None without a database."""
    routes = Blueprint("page", __name__)

    def render(entries: list[Entry] | None, **values: object) -> str:
        limits = {"name_length": NAME_LENGTH, "message_length": MESSAGE_LENGTH}
        return render_template("page.html", config=config, entries=entries, **limits, **values)

    def render_entries(status: int, before: int | None = None, **values: object) -> Response:
        """Render the newest entries, or a notice while the database is unavailable."""
        entries: list[Entry] = []
        older, notice = None, None
        if guestbook is not None:
            try:
                entries = guestbook.newest(_PAGE_LENGTH, before)
                older = entries[-1].id if len(entries) == _PAGE_LENGTH else None
            except DatabaseUnavailableError as error:
                report_unavailable(error)
                notice = UNAVAILABLE
        page = render(entries, older=older, before=before, notice=notice, **values)
        return Response(page, status)

    @routes.get("/")
    def show() -> Response:
        if guestbook is None:
            return Response(render(None))
        return render_entries(200, integer_argument("before", MAX_ID))

    @routes.post("/")
    def sign() -> BaseResponse:
        if guestbook is None:
            raise BadRequest("This deployment has no database, and so no guestbook.")
        fields = _form_fields()
        try:
            entry = guestbook.add(parse_draft(fields))
        except InvalidDraftError as error:
            return render_entries(422, typed=fields, errors=error.errors)
        except DatabaseUnavailableError as error:
            report_unavailable(error)
            page = render([], notice=UNAVAILABLE, typed=fields)  # the form keeps its text
            return retry_later(Response(page, 503))
        telemetry.ENTRIES.inc()
        return redirect(f"/#entry-{entry.id}", 303)

    return routes


def _form_fields() -> dict[str, str]:
    """Return the form's fields. Flask's parser replaces invalid UTF-8; this one refuses it."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send the form as application/x-www-form-urlencoded.")
    try:
        text = read_body().decode("ascii")
        return dict(
            parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        )
    except ValueError:
        raise BadRequest("The form is not URL-encoded UTF-8.") from None
