"""Times for people: the journal's own clock, with a Z only when it is UTC."""

from datetime import UTC, datetime, timedelta

from factorylm_alarms.journal import Journal

LATEST_MS = 253_402_300_799_999
"""The end of 9999, the last year a calendar of Python has; a flood may end after the last row."""


def shown_time(journal: Journal, ms: int) -> str:
    """ISO 8601, in UTC if the journal's zone is known, else as the plant's own clock showed it."""
    for when, shift in reversed(journal.quality.clock_steps):
        if ms >= when:
            ms -= shift
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, LATEST_MS))
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
    return f"{text}Z" if journal.quality.zone.startswith("UTC") else text


def shown_duration(seconds: float) -> str:
    """A duration as a person would say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
