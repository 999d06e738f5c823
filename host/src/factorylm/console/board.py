"""What the console shows, collected in one place: values, health, alarms, requests, the audit trail, calls."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from factorylm_schema import FactoryLMError, Plant, Reading, Tag
from factorylm_skill import (
    ApprovalDesk,
    AuditLog,
    CallRecord,
    Devices,
    OpenSkill,
    StandingAlarms,
    told_to_the_model,
)
from factorylm_skill.reading_table import instant

from factorylm.console.past import Past, past_in
from factorylm.console.stream import Stream
from factorylm.console.told import (
    NO_ALARMS_YET,
    NOTHING_RECORDED,
    Told,
    told_alarms,
    told_audit,
    told_cell,
    told_notice,
    told_request,
)
from factorylm.metrics import Metrics

_TREND_POINTS = 240
MOST_TAGS = 400
_MOST_CALLS = 100
_MOST_NOTICES = 20
_FIRST_LOOK_S = 1.0
# periods without anybody watching: longer than it takes to load the page again
_FORGOTTEN_AFTER = 10

AlarmSource = Callable[[], Awaitable[StandingAlarms]]

logger = logging.getLogger("factorylm")


@dataclass
class Board:
    """`look` reads every tag once; the rest is told to it as it happens."""

    plant: Plant
    devices: list[Devices]
    audit: AuditLog | None = None
    desk: ApprovalDesk | None = None
    alarms: list[AlarmSource] = field(default_factory=list)
    stream: Stream = field(default_factory=Stream)
    metrics: Metrics = field(default_factory=Metrics)
    past: Past | None = None
    period_s: float = 1.0
    alarm_period_s: float = 5.0
    _cells: dict[str, Told] = field(default_factory=dict)
    _trends: dict[str, deque[tuple[float, float | None]]] = field(default_factory=dict)
    _calls: deque[Told] = field(default_factory=lambda: deque(maxlen=_MOST_CALLS))
    _notices: deque[Told] = field(default_factory=lambda: deque(maxlen=_MOST_NOTICES))
    _looking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _told: dict[str, Any] = field(default_factory=dict)
    _audited: tuple[int, int] = (-1, -1)

    # -- told ---------------------------------------------------------------------------------------

    def show(self, skills: Iterable[OpenSkill]) -> None:
        """These skills' devices, alarms, and history."""
        skills = list(skills)
        self.past = past_in(skills)
        for skill in skills:
            self.alarms.append(skill.alarms)
            if skill.devices:
                self.devices.append(skill.devices)

    def called(self, record: CallRecord) -> None:
        """A tool was called."""
        told = {**asdict(record), "time": instant(record.time), "arguments": told_to_the_model(record.arguments)}
        self.metrics.called(record)
        self._calls.append(told)
        self.stream.publish("call", told)

    def requests_changed(self) -> None:
        """A write was laid on the desk, decided, used or has expired."""
        self.stream.publish("requests", self._requests())

    def noticed(self, what: str, text: str, *, bad: bool) -> None:
        """Something the operator should know of the server itself."""
        self._notices.append(told_notice(what, text, datetime.now(UTC), bad=bad))
        self.stream.publish("notices", list(self._notices))

    def replant(self, plant: Plant) -> None:
        """The plant file was edited: what is gone is shown no more, and pages load anew."""
        self.plant = plant
        known = {tag.id for tag in plant.tags()}
        self._cells = {tag: cell for tag, cell in self._cells.items() if tag in known}
        self._trends = {tag: trend for tag, trend in self._trends.items() if tag in known}
        self.stream.publish("reload", {})

    # -- looked at ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look once a period while somebody follows; a plant nobody watches is left alone, and soon forgotten.

        Each device is looked at in its own time: one that is down holds up no other.
        """
        alone = 0
        try:
            while True:
                alone = 0 if self.stream.followers else alone + 1
                if not alone:
                    self._begin_to_look()
                elif alone == _FORGOTTEN_AFTER:
                    self._forget()
                await asyncio.sleep(self.period_s)
        finally:
            for task in self._looking.values():
                task.cancel()

    def _forget(self) -> None:
        """Who comes next must not take old values for present ones."""
        self._cells.clear()
        self._told.pop("alarms", None)

    def _begin_to_look(self) -> None:
        for device in self.plant.devices:
            self._in_its_own_time(f"device {device}", partial(self._look_at, device), 0)
        self._in_its_own_time("alarms", self._look_at_alarms, self.alarm_period_s)
        self._in_its_own_time("the rest", self._look_at_the_rest, 0)

    def _in_its_own_time(self, what: str, look: Callable[[], Coroutine[Any, Any, None]], pause_s: float) -> None:
        if what in self._looking:
            return

        async def looked() -> None:
            try:
                await look()
                await asyncio.sleep(pause_s)
            except Exception:  # the page must outlive a driver's fault
                logger.exception("the console cannot show %s", what)
                await asyncio.sleep(self.alarm_period_s)
            finally:
                del self._looking[what]

        self._looking[what] = asyncio.ensure_future(looked())

    async def look(self) -> None:
        """Read all tags and alarms once, and publish what changed."""
        await asyncio.gather(*(self._look_at(device) for device in self.plant.devices), self._look_at_alarms())
        await self._look_at_the_rest()

    async def _look_at(self, device: str) -> None:
        shown = list(self.plant.tags())[:MOST_TAGS]
        tags = [tag for tag in shown if tag.device == device]
        devices = next((found for found in self.devices if device in found.plant.devices), None)
        if devices is None or not tags:
            return
        try:
            readings = await devices.read(tags)
        except FactoryLMError:
            return  # the plant file was edited in between
        cells = [self._noted(reading, tag) for reading, tag in zip(readings, tags, strict=True)]
        self.stream.publish("values", cells)

    async def _look_at_alarms(self) -> None:
        answers = await asyncio.gather(*(source() for source in self.alarms))
        self._publish_changed("alarms", told_alarms(answers))

    async def _look_at_the_rest(self) -> None:
        self._publish_changed("health", self.health())
        if self.desk:
            self.desk.requests()  # what has expired is told by the desk
        if self._audit_size() != self._audited:
            self._publish_changed("audit", await self._audit_told())

    def _publish_changed(self, kind: str, told: Any) -> None:
        if self._told.get(kind) != told:
            self._told[kind] = told
            self.stream.publish(kind, told)

    def _noted(self, reading: Reading, tag: Tag) -> Told:
        value = reading.value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number or tag.id in self._trends:
            trend = self._trends.setdefault(tag.id, deque(maxlen=_TREND_POINTS))
            trend.append((reading.time.timestamp(), float(value) if number and value is not None else None))
        self._cells[tag.id] = told_cell(reading, tag)
        return self._cells[tag.id]

    # -- told to the browser ----------------------------------------------------------------------------

    async def snapshot(self) -> Told:
        """Everything, and the number of the last event it contains.

        Where nobody has watched for a while, the devices are asked first, as long as a page may take to appear.
        """
        if not self._cells:
            with anyio.move_on_after(_FIRST_LOOK_S):
                await self.look()
        audit = await self._audit_told()
        return {
            "last": self.stream.last_id,
            "plant": told_to_the_model(self.plant.name) or "Plant",
            "tags": sum(1 for _ in self.plant.tags()),
            "most_tags": MOST_TAGS,
            "past": self.past is not None,
            "values": [self._cells[tag.id] for tag in self.plant.tags() if tag.id in self._cells],
            "trends": {tag: list(points) for tag, points in self._trends.items()},
            "health": self.health(),
            "alarms": self._told.get("alarms", NO_ALARMS_YET),
            "requests": self._requests(),
            "audit": audit,
            "calls": list(self._calls),
            "notices": list(self._notices),
            "now": instant(datetime.now(UTC)),
        }

    def health(self) -> dict[str, bool | None]:
        """Per device: does it answer; None where nobody has asked yet."""
        return {name: up for devices in self.devices for name, up in devices.health().items()}

    def waiting(self) -> int:
        """How many writes wait for a person."""
        return sum(told["decision"] == "waiting" for told in self._requests())

    def _requests(self) -> list[Told]:
        return [told_request(*entry) for entry in self.desk.requests()] if self.desk else []

    def _audit_size(self) -> tuple[int, int]:
        if self.audit is None or not self.audit.path.exists():
            return 0, 0
        found = self.audit.path.stat()
        return found.st_size, found.st_mtime_ns

    async def _audit_told(self) -> Told:
        """The trail and its verdict; verified again when the file has changed, beside the event loop."""
        if self.audit is None:
            return NOTHING_RECORDED
        size = self._audit_size()
        if size != self._audited or "verified" not in self._told:
            self._told["verified"] = await anyio.to_thread.run_sync(told_audit, self.audit)
            self._audited = size
        verified: Told = self._told["verified"]
        return verified
