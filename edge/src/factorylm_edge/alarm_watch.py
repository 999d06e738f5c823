"""Alarm events of devices that list their standing alarms: what changed between two looks.

An alarm that comes and goes between two looks is not seen, and a return carries the time of the look that missed it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from factorylm_schema import AlarmEvent, DeviceError
from factorylm_skill import Devices
from factorylm_skill.driver import AlarmsFound, Driver, TellsAlarms

logger = logging.getLogger("factorylm.edge")

Alarm = tuple[str, str]
KeepEvents = Callable[[Sequence[AlarmEvent]], Awaitable[None]]

_MOST = 10_000


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class AlarmWatch:
    """One device's alarms, looked at again and again over a session of its own."""

    device: str
    devices: Devices
    interval_s: float
    keep: KeepEvents
    now: Callable[[], datetime] = _utc_now
    standing: dict[Alarm, AlarmEvent] = field(default_factory=dict)
    problem: str = ""

    async def run(self) -> None:
        """Until cancelled. What cannot be asked or kept now is asked and kept at the next look."""
        while True:
            try:
                await self.look()
                self._note("")
            except Exception as error:  # noqa: BLE001 (a partner's driver may fail in any way)
                self._note(str(error) or type(error).__name__)
            await asyncio.sleep(self.interval_s)

    async def look(self) -> None:
        """Ask once, and keep what changed."""
        found = await self.devices.line(self.device).run(_asked)
        told = {(event.source, event.name): event for event in (_of(self.device, one) for one in found.alarms)}
        after = told if found.complete else self.standing | told
        events = changes(self.standing, after, self.now())
        if events:
            await self.keep(events)
        self.standing = after

    def _note(self, problem: str) -> None:
        """One line when it begins, one when it is over."""
        if problem and not self.problem:
            logger.warning("%s: its alarms are not known: %s", self.device, problem)
        elif self.problem and not problem:
            logger.warning("%s: tells its alarms again", self.device)
        self.problem = problem


def changes(before: Mapping[Alarm, AlarmEvent], after: Mapping[Alarm, AlarmEvent], now: datetime) -> list[AlarmEvent]:
    """The events between two looks. An alarm that stands no longer has returned and is acknowledged: as of now."""
    over = {"time": now, "active": False, "acknowledged": True, "retain": False, "event_id": ""}
    gone = [event.model_copy(update=over) for alarm, event in before.items() if alarm not in after]
    return [*(event for alarm, event in after.items() if before.get(alarm) != event), *gone]


async def _asked(driver: Driver) -> AlarmsFound:
    if not isinstance(driver, TellsAlarms):
        raise DeviceError("the device keeps no alarms")
    return await driver.alarms(_MOST)


def _of(device: str, event: AlarmEvent) -> AlarmEvent:
    """Two devices may call a source or an event alike."""
    own_id = f"{device}:{event.event_id}" if event.event_id else ""
    return event.model_copy(update={"source": f"{device}.{event.source}", "event_id": own_id})
