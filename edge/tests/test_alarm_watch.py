"""What changed between two looks at a device's standing alarms, and what happens when it cannot be asked or kept."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from factorylm_edge.alarm_watch import AlarmWatch, changes
from factorylm_schema import AlarmEvent, Device, DeviceTimeoutError, Plant
from factorylm_skill import Devices

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = BEGUN + timedelta(minutes=5)


def event(name: str = "HI", **more: Any) -> AlarmEvent:
    given = {"time": BEGUN, "source": "P-101", "active": True, "acknowledged": False, "event_id": "e1"}
    return AlarmEvent(name=name, **(given | more))


@dataclass
class Told:
    alarms: list[AlarmEvent]
    complete: bool = True


@dataclass
class Horn:
    """A driver that tells these alarms, or raises what it was given."""

    told: Told = field(default_factory=lambda: Told([]))
    fails: Exception | None = None
    looks: int = 0

    async def alarms(self, limit: int) -> Told:
        self.looks += 1
        if self.fails:
            raise self.fails
        return self.told

    async def close(self) -> None:
        return None


def watched(horn: Horn, kept: list[AlarmEvent], **more: Any) -> AlarmWatch:
    async def keep(events):
        kept.extend(events)

    devices = Devices(Plant(devices={"pump1": Device(name="pump1", url="x://h")}), lambda _: horn)
    return AlarmWatch("pump1", devices, 0.01, **({"keep": keep, "now": lambda: LATER} | more))


def test_new_changed_and_gone_alarms_are_events_and_unchanged_ones_are_not():
    before = {("P-101", "HI"): event(), ("P-101", "LO"): event("LO"), ("P-101", "OLD"): event("OLD")}
    after = {("P-101", "HI"): event(), ("P-101", "LO"): event("LO", active=False), ("P-101", "NEW"): event("NEW")}
    gone = event("OLD", time=LATER, active=False, acknowledged=True, retain=False, event_id="")
    assert changes(before, after, LATER) == [event("LO", active=False), event("NEW"), gone]


async def test_an_alarm_keeps_its_own_time_and_carries_its_device():
    kept: list[AlarmEvent] = []
    watch = watched(Horn(Told([event()])), kept)
    await watch.look()
    await watch.look()
    assert kept == [event(source="pump1.P-101", event_id="pump1:e1")]


async def test_what_a_device_does_not_repeat_has_not_returned():
    kept: list[AlarmEvent] = []
    horn = Horn(Told([event()]))
    watch = watched(horn, kept)
    await watch.look()
    horn.told = Told([], complete=False)
    await watch.look()
    assert len(kept) == 1
    horn.told = Told([])
    await watch.look()
    assert [(one.time, one.active) for one in kept] == [(BEGUN, True), (LATER, False)]


async def test_what_could_not_be_kept_is_kept_at_the_next_look():
    kept: list[AlarmEvent] = []
    full = True

    async def keep(events):
        if full:
            raise OSError("disk full")
        kept.extend(events)

    watch = watched(Horn(Told([event()])), kept, keep=keep)
    with pytest.raises(OSError, match="disk full"):
        await watch.look()
    full = False
    await watch.look()
    assert len(kept) == 1


async def test_a_device_that_does_not_answer_is_told_once_and_asked_again(caplog, until):
    kept: list[AlarmEvent] = []
    horn = Horn(fails=DeviceTimeoutError("silent"))
    watch = watched(horn, kept)
    running = asyncio.create_task(watch.run())
    await until(lambda: horn.looks > 3)
    horn.fails, horn.told = None, Told([event()])
    await until(lambda: kept)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    told = [record.message for record in caplog.records if record.name == "factorylm.edge"]
    assert told == ["pump1: its alarms are not known: silent", "pump1: tells its alarms again"]
