"""Guestbook entries and their validation."""

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

NAME_LENGTH = 80
MESSAGE_LENGTH = 1000
MAX_ID = 2**63 - 1
MAX_PAGE_LENGTH = 100


@dataclass(frozen=True)
class Draft:
    """A valid entry that is not stored yet."""

    name: str
    message: str


@dataclass(frozen=True)
class Entry:
    """A stored entry; `created_at` is in UTC."""

    id: int
    name: str
    message: str
    created_at: datetime

    def to_json(self) -> dict[str, object]:
        """Return the entry as JSON (schema `Entry` in openapi.json)."""
        created_at = self.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return asdict(self) | {"created_at": created_at}


class InvalidDraftError(Exception):
    """An invalid draft; `errors` maps fields to reasons."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))


def parse_draft(fields: Mapping[str, object]) -> Draft:
    """Validate fields of a request; text is normalized (NFC) and stripped.

    Raises InvalidDraftError.
    """
    errors: dict[str, str] = {}
    name = _parse_text(fields, "name", NAME_LENGTH, errors, multiline=False)
    message = _parse_text(fields, "message", MESSAGE_LENGTH, errors, multiline=True)
    unknown = sorted(set(fields) - {"name", "message"})
    errors.update(dict.fromkeys(unknown[:5], "is not a field of an entry"))
    if errors:
        raise InvalidDraftError(errors)
    return Draft(name, message)


def _parse_text(
    fields: Mapping[str, object],
    key: str,
    max_length: int,
    errors: dict[str, str],
    *,
    multiline: bool,
) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        errors[key] = "is required" if value is None else "must be text"
        return ""
    # Browsers send the line breaks of a text area as CR LF.
    value = unicodedata.normalize("NFC", value.replace("\r\n", "\n")).strip()
    if not value:
        errors[key] = "must not be empty"
    elif len(value) > max_length:
        errors[key] = f"has {len(value)} characters; the maximum is {max_length}"
    elif any(_is_invalid(character, multiline=multiline) for character in value):
        errors[key] = "has an invalid character"
    return value


def _is_invalid(character: str, *, multiline: bool) -> bool:
    """Whether it is a control character (PostgreSQL cannot store NUL) or a surrogate."""
    allowed = multiline and character in "\n\t"
    return unicodedata.category(character) in ("Cc", "Cs") and not allowed
