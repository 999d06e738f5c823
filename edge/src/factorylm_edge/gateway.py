"""All of a gateway at work: collector, recorder, compaction, forwarders; and what the operator sees of it."""

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from factorylm_schema import AlarmEvent, Plant, PlantFileError, load_plant
from factorylm_skill import ProtocolSkill

from factorylm_edge.collector import Collector, DeviceState
from factorylm_edge.forwarder import Forwarder
from factorylm_edge.history import HistoryError, TagRecord
from factorylm_edge.limits import LimitAlarms
from factorylm_edge.outbox import OutboxTable
from factorylm_edge.pace import Pace
from factorylm_edge.recorder import Recorder
from factorylm_edge.sample import DAY_US, Sample
from factorylm_edge.settings import EdgeSettings
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_edge.targets import target_of

logger = logging.getLogger("factorylm.edge")

_HOUSEKEEPING_S = 10.0
_RETENTION_S = 3600.0
_LOOK_AT_PLANT_S = 2.0
_CLOCK_JUMP_S = 2.0
_REMEMBERED_US = 90 * DAY_US
_MOST_REMEMBERED = 1_000_000


@dataclass
class Gateway:
    """One plant's gateway. `plant_file` is looked at again and again; a faulty edit changes nothing."""

    plant: Plant
    skills: Sequence[ProtocolSkill]
    settings: EdgeSettings
    history: SqliteHistory
    plant_file: Path | None = None
    flush_s: float = 1.0
    recorder: Recorder = field(init=False)
    outbox: OutboxTable = field(init=False)
    forwarders: list[Forwarder] = field(default_factory=list)
    collector: Collector = field(init=False)
    alarms: LimitAlarms = field(init=False)
    latest: dict[str, Sample] = field(default_factory=dict)
    begun_s: float = field(default_factory=time.monotonic)
    clock_jumps: int = 0
    plant_problem: str = ""
    _untold: list[AlarmEvent] = field(default_factory=list)
    _pace: Pace = field(default_factory=Pace)
    _clock_apart: float = field(default_factory=lambda: _clock_apart())

    def __post_init__(self) -> None:
        self.history.forwarded = bool(self.settings.forward)
        self.history.describe(_records(self.plant))
        self.recorder = Recorder(self.history, self.flush_s, committed=self._committed)
        self.outbox = OutboxTable(self.history, self.settings.outbox)
        gateway = self.history.gateway
        self.forwarders = [
            Forwarder(
                forward=forward,
                outbox=self.outbox,
                target=target_of(forward, self.settings.namespace, gateway, _records(self.plant)),
                now_us=lambda: time.time_ns() // 1000,
            )
            for forward in self.settings.forward
        ]
        self.outbox.begin([forwarder.name for forwarder in self.forwarders])
        self.collector = Collector(self.plant, self.skills, self.settings.scan, self.recorder.put, self._keep_events)
        self.alarms = LimitAlarms(self.settings.alarms)
        if self.settings.alarms:
            now_us = time.time_ns() // 1000
            events = self.history.events(now_us - _REMEMBERED_US, now_us + _REMEMBERED_US, _MOST_REMEMBERED)
            self.alarms.remember(events)

    async def run(self) -> None:
        """Until cancelled; what was collected until then is committed."""
        recording = asyncio.create_task(self.recorder.run())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._collect())
                group.create_task(self._keep_house())
                group.create_task(self._watch_clock())
                for forwarder in self.forwarders:
                    group.create_task(forwarder.run())
        finally:
            self.recorder.end()
            await recording

    def status(self) -> dict[str, Any]:
        """Everything the page and the metrics show."""
        return {
            "version": version("factorylm-edge"),
            "plant": self.plant.name,
            "seconds": round(time.monotonic() - self.begun_s, 1),
            "kept": self.recorder.kept,
            "waiting": self.recorder.waiting,
            "lost": self.recorder.lost,
            "per_s": self._pace.per_s(""),
            "history_bytes": self.history.used_bytes(),
            "history_most": self.settings.keep.retention.most_bytes,
            "free_bytes": shutil.disk_usage(self.history.path.parent).free,
            "clock_jumps": self.clock_jumps,
            "trouble": self.recorder.trouble or self.plant_problem,
            "devices": [self._device_status(state) for state in self.collector.states.values()],
            "targets": [
                {
                    "to": _without_secrets(forwarder.name),
                    "tags": forwarder.forward.tags,
                    "sent": forwarder.sent,
                    "trouble": forwarder.trouble,
                    **asdict(self.outbox.backlog(forwarder.name)),
                }
                for forwarder in self.forwarders
            ],
            "alarms": sorted(f"{tag} {side.replace('_', ' ')}" for tag, side in self.alarms.active),
            "outbox_dropped": self.outbox.dropped,
            "outbox_bytes": self.outbox.bytes() if self.forwarders else 0,
            "outbox_most": self.settings.outbox.most_bytes,
        }

    def _device_status(self, state: DeviceState) -> dict[str, Any]:
        silent_s = round(time.monotonic() - state.heard_s, 1) if state.heard_s else None
        return {**asdict(state), "per_s": self._pace.per_s(state.name), "silent_s": silent_s}

    async def _committed(self, samples: Sequence[Sample]) -> None:
        self.latest.update((sample.tag, sample) for sample in samples)
        self._untold += self.alarms.judge(samples)
        if self._untold:
            with suppress(HistoryError):  # a disk that fills up just now: the next commit says so, and they wait
                await asyncio.to_thread(self.history.append_events, self._untold)
                self._untold = []
        for forwarder in self.forwarders:
            forwarder.wake()

    async def _keep_events(self, events: Sequence[AlarmEvent]) -> None:
        """On the disk before it returns; what fails is told again at the next look."""
        await asyncio.to_thread(self.history.append_events, events)

    async def _collect(self) -> None:
        """The collector, and a new one whenever the plant file has changed to something sound."""
        while True:
            collecting = asyncio.create_task(self.collector.run())
            try:
                plant = await self._changed_plant()
            finally:
                collecting.cancel()
                with suppress(asyncio.CancelledError):
                    await collecting
            await asyncio.to_thread(self.history.describe, _records(plant))
            self.plant = plant
            self.collector = Collector(plant, self.skills, self.settings.scan, self.recorder.put, self._keep_events)
            logger.warning("the plant file changed: now %d devices", len(plant.devices))

    async def _changed_plant(self) -> Plant:
        seen = _mark(self.plant_file)
        while True:
            await asyncio.sleep(_LOOK_AT_PLANT_S)
            if self.plant_file is None or (mark := _mark(self.plant_file)) == seen:
                continue
            seen = mark
            try:
                plant = load_plant(self.plant_file, [skill.dialect for skill in self.skills])
            except PlantFileError as error:
                self.plant_problem = str(error)
                logger.error("the changed plant file is not taken over: %s", error)  # noqa: TRY400 (its message is all)
                continue
            self.plant_problem = ""
            if plant != self.plant:
                return plant

    async def _keep_house(self) -> None:
        """Compaction often, retention every hour, the outbox's bound."""
        retained_s = 0.0
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                await asyncio.to_thread(self.history.compact)
                await asyncio.to_thread(self.outbox.bound)
                if time.monotonic() - retained_s > _RETENTION_S or self.recorder.trouble:
                    retained_s = time.monotonic()
                    now_us = time.time_ns() // 1000
                    await asyncio.to_thread(self.history.retain, self.settings.keep.retention, now_us)
            except HistoryError as error:
                logger.error("housekeeping: %s", error)  # noqa: TRY400 (its message is all)

    async def _watch_clock(self) -> None:
        """A clock that is set moves the times of samples: said once for each jump, never hidden."""
        while True:
            self._pace.note(time.monotonic(), self.recorder.kept, self.collector.states.values())
            await asyncio.sleep(1)
            apart = _clock_apart()
            if abs(apart - self._clock_apart) > _CLOCK_JUMP_S:
                self.clock_jumps += 1
                logger.warning("the clock jumped by %+.1f s; samples carry the new time", apart - self._clock_apart)
            self._clock_apart = apart


def _records(plant: Plant) -> list[TagRecord]:
    return [TagRecord(name=tag.id, unit=tag.unit, description=tag.description) for tag in plant.tags()]


def _clock_apart() -> float:
    """Stays as it is until somebody sets the clock."""
    return time.time() - time.monotonic()


def _mark(path: Path | None) -> tuple[int, int] | None:
    """Changes whenever the file does; a file that is away for a moment (an editor saving) is no change."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found else None


def _without_secrets(name: str) -> str:
    scheme, _, rest = name.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


async def run_for(gateway: Gateway, seconds: float | None) -> None:
    """The gateway, for a time or until a signal comes."""
    try:
        async with asyncio.timeout(seconds):
            await gateway.run()
    except TimeoutError:
        return
