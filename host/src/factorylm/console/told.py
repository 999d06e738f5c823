"""The plant's things as the page gets them: plain JSON, texts made harmless."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from factorylm_schema import AlarmEvent, AlarmState, Reading, Tag
from factorylm_skill import AuditLog, StandingAlarms, told_to_the_model
from factorylm_skill.desk import Decision, WriteRequest
from factorylm_skill.reading_table import instant

Told = dict[str, Any]

_AUDIT_LINES = 50
_MOST_ALARMS = 100
_LONGEST_NOTICE = 500
_MOST_LINES = 20
_AUDIT_SHOWN = (
    "n", "time", "event", "tag", "value", "before", "after", "principal", "client", "asked_because", "reason", "by",
)  # fmt: skip
_HIDDEN = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})

NO_ALARMS_YET: Told = {"alarms": [], "more": 0, "keeping": None, "unknown": []}
NOTHING_RECORDED: Told = {
    "lines": [],
    "verdict": "Writes are not allowed, so nothing is recorded.",
    "intact": True,
    "recorded": False,
}


def told_cell(reading: Reading, tag: Tag) -> Told:
    """One tag's present value."""
    value = reading.value
    return {
        "tag": tag.id,
        "value": told_to_the_model(value) if isinstance(value, str) else value,
        "unit": tag.unit,
        "quality": reading.quality.value,
        "problem": told_to_the_model(reading.problem),
        "time": instant(reading.time),
        "description": told_to_the_model(tag.description),
        "low": tag.min,
        "high": tag.max,
        "writable": tag.write is not None,
    }


def told_request(request: WriteRequest, decision: Decision, by: str) -> Told:
    """One write that waits, or did."""
    told = {key: told_to_the_model(v) if isinstance(v, str) else v for key, v in asdict(request).items()}
    times = {"asked": instant(request.asked), "expires": instant(request.expires)}
    return {**told, **times, "decision": decision.value, "by": told_to_the_model(by)}


def told_alarms(standing: Sequence[StandingAlarms]) -> Told:
    """Each alarm's latest state, and of whom nothing is known.

    The active ones first, then the most severe, then the newest; hidden ones last.
    """
    latest: dict[tuple[str, str], AlarmEvent] = {}
    for event in sorted((alarm for part in standing for alarm in part.alarms), key=lambda event: event.time):
        latest[event.source, event.name] = event
    ordered = sorted(
        latest.values(), key=lambda e: (e.state in _HIDDEN, not e.active, -e.severity, -e.time.timestamp())
    )
    return {
        "alarms": [_told_alarm(event) for event in ordered[:_MOST_ALARMS]],
        "more": max(0, len(ordered) - _MOST_ALARMS),
        "keeping": [name for part in standing for name in part.keeping],
        "unknown": [name for part in standing for name in part.unknown],
    }


def _told_alarm(event: AlarmEvent) -> Told:
    return {
        "time": instant(event.time),
        "source": told_to_the_model(event.source),
        "name": told_to_the_model(event.name),
        "text": told_to_the_model(event.text),
        "severity": event.severity,
        "active": event.active and event.state not in _HIDDEN,
        "state": event.state.value,
    }


def told_notice(what: str, text: str, time: datetime, *, bad: bool) -> Told:
    """What the server says of itself."""
    lines = [told_to_the_model(line, _LONGEST_NOTICE) for line in text.splitlines()[:_MOST_LINES]]
    return {"time": instant(time), "what": what, "text": "\n".join(lines), "bad": bad}


def told_audit(audit: AuditLog) -> Told:
    """The latest lines, newest first, and whether the whole trail is intact."""
    found = audit.verify()
    verdict = f"{found.lines} lines, the chain is intact" if found.intact else f"line {found.line} {found.message}"
    lines = [_told_line(entry) for entry in audit.entries()[-_AUDIT_LINES:]]
    return {"lines": lines[::-1], "verdict": verdict, "intact": found.intact, "recorded": True}


def _told_line(entry: dict[str, Any]) -> Told:
    return {k: told_to_the_model(v) if isinstance(v := entry[k], str) else v for k in _AUDIT_SHOWN if k in entry}
