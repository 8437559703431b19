"""What a guestbook entry is and what it may hold. Knows no database, so that it costs nothing to import."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

NAME_LENGTH: Final = 80
MESSAGE_LENGTH: Final = 1000
LARGEST_ID: Final = 2**63 - 1
LARGEST_PAGE: Final = 100


@dataclass(frozen=True)
class Draft:
    """An entry that someone wants to write: valid, not stored."""

    name: str
    message: str


@dataclass(frozen=True)
class Entry:
    """An entry as stored. `created_at` is in UTC."""

    id: int
    name: str
    message: str
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The entry as the API describes it (schema `Entry` in openapi.json)."""
        return {
            "id": self.id,
            "name": self.name,
            "message": self.message,
            "created_at": self.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        }


class InvalidDraftError(Exception):
    """`errors` has one sentence for each field that is wrong."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))


def draft(fields: Mapping[str, object]) -> Draft:
    """A draft from what a client sent. Raises InvalidDraftError. Unicode is normalised (NFC) and the ends are trimmed."""
    errors: dict[str, str] = {}
    name = _text(fields, "name", NAME_LENGTH, errors, lines=False)
    message = _text(fields, "message", MESSAGE_LENGTH, errors, lines=True)
    errors.update(dict.fromkeys(sorted(set(fields) - {"name", "message"})[:5], "is not a field of an entry"))
    if errors:
        raise InvalidDraftError(errors)
    return Draft(name, message)


def _text(fields: Mapping[str, object], key: str, longest: int, errors: dict[str, str], *, lines: bool) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        errors[key] = "is missing" if value is None else "must be a text"
        return ""
    # A browser sends the lines of a text area with CR LF.
    value = unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip()
    if not value:
        errors[key] = "is empty"
    elif len(value) > longest:
        errors[key] = f"is {len(value)} characters long, and may have {longest}"
    elif any(_forbidden(character, lines=lines) for character in value):
        errors[key] = "has a character that can't be written"
    return value


def _forbidden(character: str, *, lines: bool) -> bool:
    # Control characters (PostgreSQL can't store NUL at all) and halves of surrogate pairs (no UTF-8 can).
    return unicodedata.category(character) in ("Cc", "Cs") and not (lines and character in "\n\t")
