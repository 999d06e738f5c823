"""The write gate's judgement: pure, so that it can be tested to exhaustion. Acting is `writing`'s part."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from factorylm_schema import Tag, Value

_MINUTE = timedelta(minutes=1)
_WIDEST = 64


def judge_value(tag: Tag, value: Value) -> str:
    """Why `value` may never be written to `tag`; empty when its limits allow it."""
    if not tag.name:
        return "raw addresses are never written; name the tag in the plant file and give it write limits"
    limits = tag.write
    if limits is None:
        return f"{tag.id} has no write limits in the plant file, so it cannot be written"
    if not _holdable(value):
        return f"{str(value)[:40]} is not a number that can be written"
    if limits.allowed is not None:
        allowed = any(_same(value, choice) for choice in limits.allowed)
        if not allowed:
            return f"{_shown(value)} is not one of the allowed values of {tag.id}: {_listed(limits.allowed)}"
    if limits.min is None or limits.max is None:
        return ""
    if isinstance(value, bool | str):
        return f"{tag.id} takes a number between {limits.min:g} and {limits.max:g}, not {_shown(value)}"
    if not limits.min <= value <= limits.max:
        return f"{value:g} is outside the limits of {tag.id}: {limits.min:g} to {limits.max:g}{_unit(tag)}"
    return ""


def judge_change(tag: Tag, value: Value, before: Value | None, sent: Iterable[datetime], now: datetime) -> str:
    """Why `value` may not be written now, given the present value and when writes were `sent`."""
    limits = tag.write
    if limits is None:
        return f"{tag.id} has no write limits in the plant file, so it cannot be written"
    if before is None:
        return f"the present value of {tag.id} cannot be read, so a change cannot be judged"
    if limits.max_step is not None and (wrong := _judge_step(tag, value, before, limits.max_step)):
        return wrong
    recent = sum(now - _MINUTE < at for at in sent)
    if recent >= limits.per_minute:
        return f"{tag.id} was written {recent} times in the last minute; its limit is {limits.per_minute}"
    return ""


def judge_plan(before: Value, present: Value, tolerance: float) -> str:
    """Why an approval no longer holds: the value moved between asking and writing."""
    if agrees(before, present, tolerance):
        return ""
    return f"the value was {_shown(before)} when approval was asked and is {_shown(present)} now; ask again"


def agrees(wanted: Value, found: Value | None, tolerance: float) -> bool:
    """Two values are the same for the plant: equal, or numbers no further apart than `tolerance`."""
    if found is None:
        return False
    if isinstance(wanted, bool | str) or isinstance(found, bool | str):
        return _same(wanted, found)
    # a REAL keeps about 7 digits: what reads back is not digit for digit what was sent
    return abs(wanted - found) <= max(tolerance, 1e-6 * abs(wanted))


def _holdable(value: Value) -> bool:
    """A device holds 64 bits at most, and neither NaN nor infinity is a set-point."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or value.bit_length() <= _WIDEST


def _judge_step(tag: Tag, value: Value, before: Value, max_step: float) -> str:
    if isinstance(value, bool | str) or isinstance(before, bool | str):
        return f"{tag.id} has a largest step, but {_shown(before)} to {_shown(value)} is not a step of a number"
    step = abs(value - before)
    if step <= max_step:
        return ""
    largest = f"the largest allowed for {tag.id} is {max_step:g}{_unit(tag)}"
    return f"from {before:g} to {value:g} is a step of {step:g}; {largest}"


def _same(one: Value, other: Value) -> bool:
    """Equal and of one kind: True is not 1, and "1" is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return isinstance(one, str) == isinstance(other, str) and one == other


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)[:60]


def _listed(values: Iterable[Value]) -> str:
    return ", ".join(_shown(value) for value in values)


def _unit(tag: Tag) -> str:
    return f" {tag.unit}" if tag.unit else ""
