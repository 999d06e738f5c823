"""What the console shows, collected in one place: values, health, alarms, requests, the audit trail, calls."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from factorylm_schema import AlarmEvent, Plant, Reading, Tag
from factorylm_skill import ApprovalDesk, AuditLog, CallRecord, Devices, told_to_the_model
from factorylm_skill.desk import Decision, WriteRequest
from factorylm_skill.reading_table import instant

from factorylm.console.stream import Stream

_TREND_POINTS = 240
_MOST_TAGS = 200
_MOST_CALLS = 100
_AUDIT_LINES = 50
_MOST_ALARMS = 100

Cell = dict[str, Any]


def _no_alarms() -> Sequence[AlarmEvent]:
    return ()


@dataclass
class Board:
    """`look` reads every tag once; the rest is told to it as it happens."""

    plant: Plant
    devices: list[Devices]
    audit: AuditLog | None = None
    desk: ApprovalDesk | None = None
    alarms: Callable[[], Sequence[AlarmEvent]] = _no_alarms
    stream: Stream = field(default_factory=Stream)
    period_s: float = 1.0
    _cells: dict[str, Cell] = field(default_factory=dict)
    _trends: dict[str, deque[tuple[float, float | None]]] = field(default_factory=dict)
    _calls: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_MOST_CALLS))
    _health: dict[str, bool | None] = field(default_factory=dict)
    _audited: tuple[int, int] = (0, 0)
    _alarmed: list[dict[str, Any]] = field(default_factory=list)

    # -- told ---------------------------------------------------------------------------------------

    def called(self, record: CallRecord) -> None:
        """A tool was called."""
        told = {**asdict(record), "time": instant(record.time), "arguments": told_to_the_model(record.arguments)}
        self._calls.append(told)
        self.stream.publish("call", told)

    def requests_changed(self) -> None:
        """A write was laid on the desk, decided, used or has expired."""
        self.stream.publish("requests", self._requests())

    # -- looked at ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look once a period while somebody follows; a plant nobody watches is left alone."""
        while True:
            if self.stream.followers:
                await self.look()
            await asyncio.sleep(self.period_s)

    async def look(self) -> None:
        """Read all tags, and publish what changed."""
        tags = list(self.plant.tags())[:_MOST_TAGS]
        changed = [self._noted(reading, tag) for reading, tag in await self._readings(tags)]
        self.stream.publish("values", changed)
        self._look_at_the_rest()

    async def _readings(self, tags: Sequence[Tag]) -> list[tuple[Reading, Tag]]:
        parts = [(d, [tag for tag in tags if tag.device in d.plant.devices]) for d in self.devices]
        answers = await asyncio.gather(*(devices.read(part) for devices, part in parts if part))
        found = {reading.tag: reading for answer in answers for reading in answer}
        return [(found[tag.id], tag) for tag in tags if tag.id in found]

    def _noted(self, reading: Reading, tag: Tag) -> Cell:
        number = isinstance(reading.value, int | float) and not isinstance(reading.value, bool)
        if number:
            trend = self._trends.setdefault(tag.id, deque(maxlen=_TREND_POINTS))
            trend.append((reading.time.timestamp(), float(reading.value or 0)))
        elif tag.id in self._trends:
            self._trends[tag.id].append((reading.time.timestamp(), None))
        value = told_to_the_model(reading.value) if isinstance(reading.value, str) else reading.value
        cell: Cell = {
            "tag": tag.id,
            "value": value,
            "unit": tag.unit,
            "quality": reading.quality.value,
            "problem": told_to_the_model(reading.problem),
            "time": instant(reading.time),
            "description": told_to_the_model(tag.description),
        }
        self._cells[tag.id] = cell
        return cell

    def _look_at_the_rest(self) -> None:
        health = self._present_health()
        if health != self._health:
            self._health = health
            self.stream.publish("health", health)
        if self._audit_size() != self._audited:
            self._audited = self._audit_size()
            self.stream.publish("audit", self._audit_told())
        alarms = self._alarms_told()
        if alarms != self._alarmed:
            self._alarmed = alarms
            self.stream.publish("alarms", alarms)

    # -- told to the browser ----------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Everything, and the number of the last event it contains."""
        return {
            "last": self.stream.last,
            "plant": told_to_the_model(self.plant.name) or "Plant",
            "values": list(self._cells.values()),
            "trends": {tag: list(points) for tag, points in self._trends.items()},
            "health": self._present_health(),
            "alarms": self._alarms_told(),
            "requests": self._requests(),
            "audit": self._audit_told(),
            "calls": list(self._calls),
            "now": instant(datetime.now(UTC)),
        }

    def _present_health(self) -> dict[str, bool | None]:
        return {name: up for devices in self.devices for name, up in devices.health().items()}

    def _requests(self) -> list[dict[str, Any]]:
        return [_told_request(*entry) for entry in self.desk.requests()] if self.desk else []

    def _alarms_told(self) -> list[dict[str, Any]]:
        """Each alarm's latest state, the active ones first, then the most severe, then the newest."""
        latest = {(event.source, event.name): event for event in self.alarms()}
        ordered = sorted(latest.values(), key=lambda e: (not e.active, -e.severity, -e.time.timestamp()))
        return [_told_alarm(event) for event in ordered[:_MOST_ALARMS]]

    def _audit_size(self) -> tuple[int, int]:
        if self.audit is None or not self.audit.path.exists():
            return 0, 0
        found = self.audit.path.stat()
        return found.st_size, found.st_mtime_ns

    def _audit_told(self) -> dict[str, Any]:
        if self.audit is None:
            return {"lines": [], "verdict": "Writes are not allowed, so nothing is recorded.", "intact": True}
        found = self.audit.verify()
        verdict = f"{found.lines} lines, the chain is intact" if found.intact else f"line {found.line} {found.message}"
        lines = [_told_line(entry) for entry in self.audit.entries()[-_AUDIT_LINES:]]
        return {"lines": lines[::-1], "verdict": verdict, "intact": found.intact}


def _told_request(request: WriteRequest, decision: Decision, by: str) -> dict[str, Any]:
    told = {key: told_to_the_model(v) if isinstance(v, str) else v for key, v in asdict(request).items()}
    times = {"asked": instant(request.asked), "expires": instant(request.expires)}
    return {**told, **times, "decision": decision.value, "by": told_to_the_model(by)}


def _told_alarm(event: AlarmEvent) -> dict[str, Any]:
    return {
        "time": instant(event.time),
        "source": told_to_the_model(event.source),
        "name": told_to_the_model(event.name),
        "text": told_to_the_model(event.text),
        "severity": event.severity,
        "active": event.active,
        "state": event.state.value,
    }


def _told_line(entry: dict[str, Any]) -> dict[str, Any]:
    shown = ("n", "time", "event", "tag", "value", "before", "after", "principal", "client", "reason", "by")
    return {k: told_to_the_model(v) if isinstance(v := entry[k], str) else v for k in shown if k in entry}
