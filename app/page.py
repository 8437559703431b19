"""The page for people: what has been released, and the guestbook with its form."""

from typing import Any, Final
from urllib.parse import parse_qsl

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from app.api import number
from app.body import whole_body
from app.config import Config
from app.entry import LARGEST_ID, MESSAGE_LENGTH, NAME_LENGTH, InvalidDraftError, draft
from app.errors import RETRY_AFTER_SECONDS, DatabaseUnavailableError, unavailable
from app.observation import count

PAGE_LENGTH: Final = 20


def page(config: Config, guestbook: Any) -> Blueprint:
    """The page's routes. `guestbook` is an app.guestbook.Guestbook, or None where no database is configured."""
    routes = Blueprint("page", __name__)

    def render(**more: Any) -> str:
        limits = {"name_length": NAME_LENGTH, "message_length": MESSAGE_LENGTH}
        return render_template("page.html", config=config, **limits, **more)

    def with_entries(status: int, before: int | None = None, **more: Any) -> Response:
        """The page with the newest entries. If the database is away the rest of the page still comes, and says so."""
        entries, notice, older = [], None, None
        try:
            entries = guestbook.newest(PAGE_LENGTH, before)
            older = entries[-1].id if len(entries) == PAGE_LENGTH else None
        except DatabaseUnavailableError as error:
            notice = unavailable(error)
        return Response(render(entries=entries, older=older, before=before, notice=notice, **more), status)

    @routes.get("/")
    def show() -> Response:
        if guestbook is None:
            return Response(render(entries=None))
        return with_entries(200, number("before", None, LARGEST_ID))

    @routes.post("/")
    def sign() -> Any:
        if guestbook is None:
            raise BadRequest("This deployment has no database, and so no guestbook.")
        fields = _form()
        try:
            entry = guestbook.add(draft(fields))
        except InvalidDraftError as error:
            return with_entries(422, typed=fields, errors=error.errors)
        except DatabaseUnavailableError as error:
            # The form comes back with what was typed in it: nothing is lost.
            answer = Response(render(entries=[], notice=unavailable(error), typed=fields), 503)
            answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return answer
        count("ENTRIES")
        # The query keeps the writer from being shown a page that was kept from before (app.page_cache).
        return redirect(f"/?signed={entry.id}#entry-{entry.id}", 303)

    return routes


def _form() -> dict[str, str]:
    """The posted fields. Flask's own reading lets wrong UTF-8 through as other text; here it is a 400."""
    if request.mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send the form as application/x-www-form-urlencoded.")
    try:
        body = whole_body().decode("ascii")
        pairs = parse_qsl(body, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=10)
    except ValueError:
        raise BadRequest("The form is not URL-encoded UTF-8.") from None
    return dict(pairs)
