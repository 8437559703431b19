"""Cron expressions of the rule DeploymentWindow: Quartz's six or seven fields.

Source: CodePipeline User Guide, "DeploymentWindow".
"""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = dict(zip(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), range(1, 8), strict=True))


def matches(expression: str, moment: datetime) -> bool:
    """Return whether a time is in the window; seconds are ignored. Raises ValueError."""
    fields = expression.upper().split()
    if len(fields) not in {6, 7}:
        raise ValueError(f"the cron expression {expression!r} must have 6 or 7 fields")
    minute, hour, day, month, weekday = fields[1:6]
    year = fields[6] if len(fields) == 7 else "*"
    numbers = [
        _in(minute, moment.minute, 0, 59),
        _in(hour, moment.hour, 0, 23),
        _in(month, moment.month, 1, 12, _MONTHS),
        _in(year, moment.year, 1970, 2199),
    ]
    days = [
        any(_is_day(item, moment.date()) for item in day.split(",")),
        any(_is_weekday(item, moment.date()) for item in weekday.split(",")),
    ]
    return all([*numbers, *days])


def _in(field: str, value: int, low: int, high: int, names: dict[str, int] | None = None) -> bool:
    return any(_in_item(item, value, low, high, names or {}) for item in field.split(","))


def _in_item(item: str, value: int, low: int, high: int, names: dict[str, int]) -> bool:
    """Evaluate a value, a range or either with a step."""
    span, _, step = item.partition("/")
    first, dash, last = span.partition("-")
    if span in {"*", "?"}:
        begin, end = low, high
    else:
        begin = _number(first, low, high, names)
        end = _number(last, low, high, names) if dash else high if step else begin
    interval = _number(step, 1, high, {}) if step else 1
    count = high - low + 1  # a range may pass the end, such as FRI-MON
    return (value - begin) % count <= (end - begin) % count and (
        value - begin
    ) % count % interval == 0


def _number(text: str, low: int, high: int, names: dict[str, int]) -> int:
    number = names.get(text, int(text) if text.isdecimal() else -1)
    if not low <= number <= high:
        raise ValueError(f"{text!r} is not in a cron field's range of {low} to {high}")
    return number


def _is_day(item: str, day: date) -> bool:
    """Evaluate a day of the month: also L, L-3, LW and 15W."""
    last = calendar.monthrange(day.year, day.month)[1]
    if matched := re.fullmatch(r"L(?:-(\d+))?", item):
        return day.day == last - int(matched[1] or 0)
    if matched := re.fullmatch(r"(L|\d+)W", item):
        target = last if matched[1] == "L" else min(int(matched[1]), last)
        return day == _nearest_weekday(day.replace(day=target), last)
    return _in_item(item, day.day, 1, 31, {})


def _nearest_weekday(day: date, last: int) -> date:
    """Return the nearest day from Monday to Friday in the same month."""
    shift = {5: -1, 6: 1}.get(day.weekday(), 0)
    if not 1 <= day.day + shift <= last:
        shift = -2 if shift > 0 else 2
    return day.replace(day=day.day + shift)


def _is_weekday(item: str, day: date) -> bool:
    """Evaluate a day of the week: also 6L (the last Friday) and 6#3 (the third one)."""
    value = day.isoweekday() % 7 + 1
    if matched := re.fullmatch(r"(\w+)#([1-5])", item):
        expected = _number(matched[1], 1, 7, _DAYS)
        return value == expected and (day.day - 1) // 7 + 1 == int(matched[2])
    if item == "L":
        return value == _DAYS["SAT"]
    if matched := re.fullmatch(r"(\w{1,3})L", item):
        is_last = day.day + 7 > calendar.monthrange(day.year, day.month)[1]
        return value == _number(matched[1], 1, 7, _DAYS) and is_last
    return _in_item(item, value, 1, 7, _DAYS)
