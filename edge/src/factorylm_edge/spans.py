"""The span of time a question is about: `-2h`, or a date and time."""

import re
from datetime import UTC, datetime

from factorylm_schema import BadRequestError

from factorylm_edge.sample import SECOND, microseconds

_BACK = re.compile(r"-(\d{1,6}(?:\.\d+)?)\s?(s|min|m|h|d|w)")
_UNIT_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def time_of(text: str, now_us: int) -> int:
    """One end of a span in microseconds; empty is now."""
    if not text or text == "now":
        return now_us
    if back := _BACK.fullmatch(text):
        return now_us - round(float(back[1]) * _UNIT_S[back[2]] * SECOND)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"{text!r} is not a time", hint="Say -1h, -30min, -2d, or 2026-01-31T14:00Z") from None
    return microseconds(time if time.tzinfo else time.replace(tzinfo=UTC))


def span_of(start: str, end: str, now_us: int) -> tuple[int, int]:
    """Both ends; raises BadRequestError where the span is empty."""
    start_us, end_us = time_of(start, now_us), time_of(end, now_us)
    if start_us >= end_us:
        raise BadRequestError(f"the span from {start!r} to {end or 'now'!r} is empty", hint="`from` lies before `to`")
    return start_us, end_us
