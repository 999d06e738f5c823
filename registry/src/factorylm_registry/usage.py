"""What a skill was used for, counted only with consent: CloudEvents 1.0 with ids that make sending twice harmless.

Nothing is counted before somebody allows it, nothing leaves the machine before somebody sends it, and withdrawing
the consent erases what was not sent. An event says licence, skill, unit, number and time, and nothing else.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from factorylm_registry.accounts import UsageEvent
from factorylm_registry.listing import instant, moment_of
from factorylm_registry.refusals import BadQuestionError, NotListedError

EVENT = "io.factorylm.usage.v1"
BATCH = "application/cloudevents-batch+json"
MOST_AT_ONCE = 1000
_KEYS = {"specversion", "type", "source", "id", "subject", "time", "datacontenttype", "data"}


@dataclass(frozen=True)
class Meter:
    """Counts one user's use of skills, in a folder of its own."""

    folder: Path

    def allow(self, skill: str, licence: str, at: datetime) -> None:
        """The person's consent, kept with its date."""
        self._write(self._consent(skill), [{"skill": skill, "licence": licence, "since": instant(at)}])

    def forbid(self, skill: str) -> int:
        """Withdraw the consent; returns how many events were erased unsent."""
        if not self.is_allowed(skill):
            raise NotListedError(f"counting {skill} is not allowed anyway")
        waiting = len(self.waiting(skill))
        self._consent(skill).unlink()
        self._events(skill).unlink(missing_ok=True)
        return waiting

    def is_allowed(self, skill: str) -> bool:
        return self._consent(skill).is_file()

    def count(self, skill: str, unit: str, number: int, at: datetime) -> bool:
        """Note a use; False, and nothing is written, without consent."""
        if not self.is_allowed(skill):
            return False
        if number < 1:
            raise BadQuestionError(f"{number} is not a count", hint="Say a whole number from 1 on")
        licence = self._read(self._consent(skill))[0]["licence"]
        event = {
            "specversion": "1.0",
            "type": EVENT,
            "source": source_of(licence),
            "id": secrets.token_hex(16),
            "subject": skill,
            "time": instant(at),
            "datacontenttype": "application/json",
            "data": {"unit": unit, "count": number},
        }
        with self._events(skill).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        return True

    def waiting(self, skill: str) -> list[dict[str, Any]]:
        """What was not sent yet."""
        return self._read(self._events(skill)) if self._events(skill).is_file() else []

    def sent(self, skill: str, events: list[dict[str, Any]]) -> None:
        """Forget these; what was counted meanwhile stays."""
        gone = {event["id"] for event in events}
        self._write(self._events(skill), [event for event in self.waiting(skill) if event["id"] not in gone])

    def _consent(self, skill: str) -> Path:
        return self.folder / f"{skill.replace('/', '__')}.consent.jsonl"

    def _events(self, skill: str) -> Path:
        return self.folder / f"{skill.replace('/', '__')}.events.jsonl"

    def _read(self, file: Path) -> list[dict[str, Any]]:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]

    def _write(self, file: Path, lines: list[dict[str, Any]]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        waiting = file.with_suffix(".partial")
        waiting.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        waiting.replace(file)


def source_of(licence: str) -> str:
    """Where an event comes from: a licence, not a machine or a person."""
    return f"urn:factorylm:licence:{licence}"


def events_in(batch: Any, skill: str, licence: str) -> list[UsageEvent]:
    """The events of a batch, every one about this skill and licence; raises BadQuestionError for the first other."""
    if not isinstance(batch, list) or len(batch) > MOST_AT_ONCE:
        raise BadQuestionError("this is not a batch of CloudEvents", hint=f"Send a list of at most {MOST_AT_ONCE}")
    return [_event(one, place, skill, source_of(licence)) for place, one in enumerate(batch)]


def _event(one: Any, place: int, skill: str, source: str) -> UsageEvent:
    def refuse(what: str) -> BadQuestionError:
        return BadQuestionError(
            f"event {place}: {what}", hint="The fields are those of CloudEvents 1.0 that `usage` sends"
        )

    if not isinstance(one, dict) or set(one) - _KEYS:
        raise refuse("holds unknown fields, or is no object")
    expected = {"specversion": "1.0", "type": EVENT, "source": source, "subject": skill}
    for key, value in expected.items():
        if one.get(key) != value:
            raise refuse(f"its {key} is {str(one.get(key))[:80]!r}, not {value!r}")
    data, id_ = one.get("data"), one.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= 64:
        raise refuse("its id is not a text of 1 to 64 characters")
    if not isinstance(data, dict) or set(data) != {"unit", "count"}:
        raise refuse("its data are not unit and count")
    unit, count = data["unit"], data["count"]
    if not isinstance(unit, str) or not 1 <= len(unit) <= 64:
        raise refuse("its unit is not a text of 1 to 64 characters")
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 10**12:
        raise refuse("its count is not a whole number from 1 on")
    try:
        time = instant(moment_of(str(one.get("time"))))
    except ValueError as error:
        raise refuse("its time is not an RFC 3339 time") from error
    return UsageEvent(source=source, id=id_, name=skill, unit=unit, count=count, time=time)
