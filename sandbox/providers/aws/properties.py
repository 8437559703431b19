"""Typed declarations of resource properties: validation, defaults, equality, differences.

    {"cidrBlock": text(required=True, replaces=True, rule=cidr), "policy": policy()}

Names are Pulumi's (camelCase). `computed` marks values that AWS sets when the program does not, so
removing one changes nothing; `write_only` marks values that AWS does not return, so the state keeps
the program's. A `set_of` compares without order, JSON documents semantically.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sandbox.providers.aws.policy_documents import same_json, same_policy
from sandbox.providers.property_values import UNKNOWN, Unknown, is_known
from sandbox.providers.protocol import Change

Kind = Literal["text", "integer", "number", "boolean", "list", "set", "map", "block", "any"]
Rule = Callable[[Any], str | None]
"""Returns the problem of a known value, to follow "must be …", or None."""


@dataclass(frozen=True, kw_only=True)
class Property:
    """A property of a resource or of a nested block."""

    kind: Kind
    required: bool = False
    default: Any = None
    replaces: bool = False
    computed: bool = False
    write_only: bool = False
    secret: bool = False
    one_of: Sequence[str] = ()
    rule: Rule | None = None
    same: Callable[[Any, Any], bool] | None = None
    """Semantic equality of two known values."""
    items: Property | None = None
    fields: Mapping[str, Property] = field(default_factory=dict)


def text(**options: Any) -> Property:
    """Declare a string."""
    return Property(kind="text", **options)


def integer(**options: Any) -> Property:
    """Declare an integer."""
    return Property(kind="integer", **options)


def number(**options: Any) -> Property:
    """Declare a number."""
    return Property(kind="number", **options)


def boolean(**options: Any) -> Property:
    """Declare a boolean."""
    return Property(kind="boolean", **options)


def list_of(items: Property, **options: Any) -> Property:
    """Declare a list."""
    return Property(kind="list", items=items, **options)


def set_of(items: Property, **options: Any) -> Property:
    """Declare a set."""
    return Property(kind="set", items=items, **options)


def map_of(items: Property | None = None, **options: Any) -> Property:
    """Declare a map, of strings by default."""
    return Property(kind="map", items=items or text(), **options)


def block(fields: Mapping[str, Property], **options: Any) -> Property:
    """Declare a nested block."""
    return Property(kind="block", fields=fields, **options)


def policy(**options: Any) -> Property:
    """Declare an IAM policy document, compared semantically."""
    return Property(kind="text", rule=_json, same=same_policy, **options)


def json_text(**options: Any) -> Property:
    """Declare a JSON document, compared semantically."""
    return Property(kind="text", rule=_json, same=same_json, **options)


def length(least: int, most: int) -> Rule:
    """Return a rule for the length of a text or list."""
    return lambda value: (
        None if least <= len(value) <= most else f"{least} to {most} long, not {len(value)}"
    )


def between(least: float, most: float) -> Rule:
    """Return a rule for a number's range."""
    return lambda value: None if least <= value <= most else f"from {least} to {most}, not {value}"


def _json(value: str) -> str | None:
    try:
        json.loads(value)
    except ValueError as error:
        return f"JSON: {error}"
    return None


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a suggestion of the nearest valid name, or ""."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


# Validation


@dataclass
class Checking:
    """Validates a resource's inputs: converts values, sets defaults, collects problems by property
    path.
    """

    unknown_name: Callable[[str, Sequence[str], Iterable[str]], str]
    """Returns the problem of an undeclared name; the last argument is the declared names."""
    is_default: Callable[[str, Sequence[str], Any], bool] = lambda _name, _path, _value: False
    """Whether an undeclared name has the value that it has without being set."""
    failures: list[tuple[str, str]] = field(default_factory=list)

    def block(
        self, values: Mapping[str, Any], declared: Mapping[str, Property], path: tuple[str, ...]
    ) -> dict[str, Any]:
        """Validate a block; return it with converted values and defaults."""
        result: dict[str, Any] = {}
        for name, value in values.items():
            if name.startswith("__"):
                continue
            if name in declared:
                result[name] = self.value(value, declared[name], (*path, name))
            elif not self.is_default(name, path, value):
                self.failures.append(
                    (_join((*path, name)), self.unknown_name(name, path, declared))
                )
        for name, spec in declared.items():
            if result.get(name) is None:
                result.pop(name, None)
                if spec.default is not None:
                    result[name] = spec.default
                elif spec.required:
                    self.failures.append(
                        (_join((*path, name)), f'is missing the required property "{name}"')
                    )
        return result

    def value(self, value: Any, spec: Property, path: tuple[str, ...]) -> Any:  # noqa: PLR0911 -- one per kind
        """Validate a value; return it converted."""
        if value is None:
            return value
        if isinstance(value, Mapping) and spec.same in (same_json, same_policy):
            value = (
                json.dumps(value) if is_known(value) else UNKNOWN
            )  # SDKs may send a decoded document
        if isinstance(value, Unknown):
            return value
        if spec.kind in ("list", "set"):
            if not isinstance(value, (list, tuple)):
                return self._wrong(value, path, "a list")
            items = [
                self.value(item, spec.items or text(), (*path, str(i)))
                for i, item in enumerate(value)
            ]
            return self._validated(items, spec, path)
        if spec.kind == "map":
            if not isinstance(value, Mapping):
                return self._wrong(value, path, "a map")
            return self._validated(
                {
                    key: self.value(item, spec.items or text(), (*path, key))
                    for key, item in value.items()
                },
                spec,
                path,
            )
        if spec.kind == "block":
            if not isinstance(value, Mapping):
                return self._wrong(value, path, "a structure")
            return self._validated(self.block(value, spec.fields, path), spec, path)
        coerced = _coerced(value, spec.kind)
        if coerced is None:
            return self._wrong(value, path, f"a {spec.kind}")
        return self._validated(coerced, spec, path)

    def _validated(self, value: Any, spec: Property, path: tuple[str, ...]) -> Any:
        if not is_known(value) or value == "":
            return value
        if spec.one_of and value not in spec.one_of:
            choices = ", ".join(spec.one_of)
            self.failures.append(
                (
                    _join(path),
                    f"must be one of {choices}, not {value!r}{nearest(str(value), spec.one_of)}",
                )
            )
        problem = spec.rule(value) if spec.rule else None
        if problem:
            self.failures.append((_join(path), f"must be {problem}"))
        return value

    def _wrong(self, value: Any, path: tuple[str, ...], expected: str) -> Any:
        self.failures.append((_join(path), f"must be {expected}, not {type(value).__name__}"))
        return value


def _join(path: Sequence[str]) -> str:
    text = ""
    for key in path:
        text += f"[{key}]" if key.isdigit() else (f".{key}" if text else key)
    return text


def _coerced(value: Any, kind: Kind) -> Any:  # noqa: PLR0911 -- one per kind
    """Convert text and other types as Pulumi's bridge does; return None if impossible."""
    if kind == "any":
        return value
    if kind == "text":
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (str, int, float)) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))
    if isinstance(value, bool):
        return None
    try:
        converted = float(value)
    except (TypeError, ValueError):
        return None
    if converted.is_integer():
        return int(converted)
    return converted if kind == "number" else None


# Equality and differences


def comparable(value: Any, spec: Property) -> Any:
    """Return a comparable form: with defaults, and None for everything unset."""
    if value is None:
        value = spec.default
    if isinstance(value, Unknown):
        return value
    if spec.kind in ("list", "set") and isinstance(value, (list, tuple)):
        return [comparable(item, spec.items) if spec.items else item for item in value] or None
    if spec.kind == "map" and isinstance(value, Mapping):
        return dict(value) or None
    if spec.kind == "block" and isinstance(value, Mapping):
        inner = {name: comparable(value.get(name), field) for name, field in spec.fields.items()}
        return {name: item for name, item in inner.items() if item is not None} or None
    if spec.default is None and value in ("", False, 0):
        return None
    return value


def same(old: Any, new: Any, spec: Property) -> bool:
    """Whether two values are equivalent; unknown equals nothing."""
    return _same(comparable(old, spec), comparable(new, spec), spec)


def _same(old: Any, new: Any, spec: Property) -> bool:  # noqa: PLR0911 -- one per kind
    if not is_known(old) or not is_known(new):
        return False
    if old is None or new is None:
        return old is new
    if spec.same:
        return spec.same(old, new)
    if spec.kind == "block":
        return all(
            _same(old.get(name), new.get(name), field) or (field.computed and new.get(name) is None)
            for name, field in spec.fields.items()
        )
    if spec.kind == "list" and spec.items:
        return len(old) == len(new) and all(
            _same(a, b, spec.items) for a, b in zip(old, new, strict=True)
        )
    if spec.kind == "set" and spec.items:
        if len(old) != len(new):
            return False
        unmatched = list(new)
        for item in old:
            match = next(
                (i for i, other in enumerate(unmatched) if _same(item, other, spec.items)), None
            )
            if match is None:
                return False
            del unmatched[match]
        return True
    return bool(old == new)


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], declared: Mapping[str, Property]
) -> dict[str, Change]:
    """Return the differences of two sets of inputs, by property path."""
    differences: dict[str, Change] = {}
    for name, spec in declared.items():
        differences.update(
            _changes(old.get(name), new.get(name), spec, name, replaces=spec.replaces)
        )
    return differences


def _changes(
    old: Any, new: Any, spec: Property, path: str, *, replaces: bool
) -> Iterator[tuple[str, Change]]:
    if (new is None and spec.computed) or same(old, new, spec):
        return
    was, becomes = comparable(old, spec), comparable(new, spec)
    replaces = replaces or spec.replaces
    if isinstance(was, Mapping) and isinstance(becomes, Mapping) and spec.kind in ("block", "map"):
        items = spec.items or text()
        fields = (
            spec.fields
            if spec.kind == "block"
            else dict.fromkeys([*was, *(k for k in becomes if k not in was)], items)
        )
        for name, inner in fields.items():
            here = old.get(name) if isinstance(old, Mapping) else None
            there = new.get(name) if isinstance(new, Mapping) else None
            yield from _changes(
                here, there, _plain(inner, spec), _step(path, name), replaces=replaces
            )
        return
    if isinstance(was, list) and isinstance(becomes, list) and spec.kind == "list" and spec.items:
        for index in range(max(len(was), len(becomes))):
            here, there = _at(old, index), _at(new, index)
            yield from _changes(here, there, spec.items, f"{path}[{index}]", replaces=replaces)
        return
    if isinstance(was, list) and isinstance(becomes, list) and spec.kind == "set" and spec.items:
        for index in _unmatched(was, becomes, spec.items):
            yield f"{path}[{index}]", _change("DELETE", replaces=replaces)
        for index in _unmatched(becomes, was, spec.items):
            place = f"{path}[{index}]"
            yield place, _change("UPDATE" if index < len(was) else "ADD", replaces=replaces)
        return
    kind: Literal["ADD", "DELETE", "UPDATE"] = (
        "ADD" if was is None else "DELETE" if becomes is None else "UPDATE"
    )
    yield path, _change(kind, replaces=replaces)


def _plain(spec: Property, container: Property) -> Property:
    # In a map an empty value differs from an absent key.
    return (
        replace(spec, kind="any", default=None)
        if container.kind == "map" and spec.kind == "text"
        else spec
    )


def _at(values: Any, index: int) -> Any:
    return values[index] if values and index < len(values) else None


def _unmatched(values: Sequence[Any], others: Sequence[Any], spec: Property) -> list[int]:
    return [
        i
        for i, value in enumerate(values)
        if not any(_same(value, other, spec) for other in others)
    ]


def _step(path: str, name: str) -> str:
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{json.dumps(name)}]"


def _change(kind: Literal["ADD", "DELETE", "UPDATE"], *, replaces: bool) -> Change:
    return Change[f"{kind}_REPLACE"] if replaces else Change[kind]
