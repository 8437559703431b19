"""Parses and formats Kubernetes quantities ("100m", "1.5Gi") exactly."""

from __future__ import annotations

import re
from decimal import Decimal

_PATTERN = re.compile(
    r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?$"
)
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("0.001"), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
RULE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(value: object) -> Decimal:
    """Return a quantity as a number; raises ValueError in Kubernetes' words."""
    match = _PATTERN.match(str(value))
    if not match:
        raise ValueError(RULE)
    number, suffix = Decimal(match.group(1)), match.group(2) or ""
    if suffix in _SUFFIXES:
        return number * _SUFFIXES[suffix]
    return number * Decimal(10) ** int(suffix[1:]) if suffix else number


def is_quantity(value: object) -> bool:
    """Return whether a value is a quantity."""
    return _PATTERN.match(str(value)) is not None


def render(value: Decimal, like: str = "") -> str:
    """Format a quantity: fractions in milli units, binary units for `like="memory"`."""
    if value == 0:
        return "0"
    if value != value.to_integral_value():
        return f"{int(value * 1000)}m"
    whole = int(value)
    if like.endswith(("memory", "storage")):
        for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
            if whole % int(_SUFFIXES[suffix]) == 0:
                return f"{whole // int(_SUFFIXES[suffix])}{suffix}"
    return str(whole)


_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki", "")
_DECIMAL = ("E", "P", "T", "G", "M", "k", "", "m", "u", "n")


def canonical(value: object) -> str:
    """Return a quantity as the API server writes it: the same unit family, the largest unit."""
    text = str(value)
    try:
        number = parse(text)
    except ValueError:
        return text
    if number == 0:
        return "0"
    suffix = (_PATTERN.match(text) or _PATTERN.match("0")).group(2) or ""  # type: ignore[union-attr] # parsed above
    if suffix[:1] in {"e", "E"} and len(suffix) > 1 and suffix != "Ei":
        return text
    binary = suffix.endswith("i") and abs(number) >= 1024
    for unit in _BINARY if binary else _DECIMAL:
        scaled = number / _SUFFIXES.get(unit, Decimal(1))
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{unit}"
    return text
