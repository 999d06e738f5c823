"""Reads every device at its own pace; one that is slow or silent costs nobody else anything."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from factorylm_schema import AlarmEvent, Device, DeviceError, FactoryLMError, Plant, Quality, Reading, Tag
from factorylm_skill import Devices, ProtocolSkill, Samples
from factorylm_skill.devices import no_reading
from factorylm_skill.driver import TellsAlarms

from factorylm_edge.alarm_watch import AlarmWatch, KeepEvents
from factorylm_edge.reporting import BackOff, Reports, next_due
from factorylm_edge.sample import Sample, microseconds, sample_of
from factorylm_edge.settings import Scan, paced

logger = logging.getLogger("factorylm.edge")

Put = Callable[[Sequence[Sample]], None]


async def _nobody(_: Sequence[AlarmEvent]) -> None:
    return None


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class DeviceState:
    """What the operator sees of one device; `overruns` are scans that were due while another was not done."""

    name: str
    tags: int
    up: bool | None = None
    scans: int = 0
    samples: int = 0
    overruns: int = 0
    failures: int = 0
    problem: str = ""
    retry_at_s: float = 0.0
    slowest_s: float = 0.0
    heard_s: float = 0.0  # of the monotonic clock


@dataclass
class GroupScan:
    """One group of one device's tags: asked again and again, or told of changes where the driver can."""

    device: Device
    tags: list[Tag]
    interval_s: float
    devices: Devices
    reports: Reports
    state: DeviceState
    back_off: BackOff
    put: Put
    now: Callable[[], datetime] = _utc_now

    async def run(self) -> None:
        """Until cancelled. What no one foresaw in a driver costs this group a pause, not the gateway."""
        driver = self.devices.line(self.device.name).driver
        while True:
            try:
                await (self._subscribe(driver) if isinstance(driver, Samples) else self._scan())
            except Exception as error:  # noqa: BLE001 (a partner's driver may fail in any way)
                self._failed(_as_device_error(error, self.device))
            await asyncio.sleep(max(0.0, self.state.retry_at_s - asyncio.get_running_loop().time()))

    async def _scan(self) -> None:
        """Ends with the first failure of the whole device."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        line = self.devices.line(self.device.name)
        while True:
            begun = loop.time()
            readings = await line.run(lambda d: d.read(self.tags))
            self._take(readings)
            self.state.scans += 1
            self.state.slowest_s = max(self.state.slowest_s, loop.time() - begun)
            due, missed = next_due(due, self.interval_s, loop.time())
            self.state.overruns += missed
            await asyncio.sleep(due - loop.time())

    async def _subscribe(self, driver: Samples) -> None:
        """Changes as they are told; what holds is said again from time to time, as long as the subscription lives."""
        changes = driver.sample(self.tags, self.interval_s)
        async with aclosing(_with_silences(changes, self.reports.most_silence_s / 2)) as news:
            async for readings in news:
                self._take(readings)
                self._put(self.reports.still(microseconds(self.now())))
        raise DeviceError(f"{self.device.name} ended the subscription", quality=Quality.BadNoCommunication)

    def _take(self, readings: Sequence[Reading]) -> None:
        self._put(self.reports.worth_keeping(map(sample_of, readings)))
        self.back_off.answered()
        self.state.up, self.state.problem = True, ""
        self.state.heard_s = asyncio.get_running_loop().time()

    def _put(self, samples: Sequence[Sample]) -> None:
        self.state.samples += len(samples)
        if samples:
            self.put(samples)

    def _failed(self, error: DeviceError) -> None:
        """The last good values as uncertain, and a pause that grows; the groups of a device share it."""
        now_s = asyncio.get_running_loop().time()
        self.state.up, self.state.problem = False, error.message
        self.state.failures += 1
        if now_s >= self.state.retry_at_s:
            self.state.retry_at_s = now_s + self.back_off.failed()
        readings = [no_reading(tag, error) for tag in self.tags]
        self._put(self.reports.worth_keeping(map(sample_of, readings), lost=True))


@dataclass
class Collector:
    """All devices of a plant that an installed skill speaks to."""

    plant: Plant
    skills: Sequence[ProtocolSkill]
    scan: Scan
    put: Put
    keep_events: KeepEvents = _nobody
    states: dict[str, DeviceState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spoken = {scheme for skill in self.skills for scheme in skill.dialect.schemes}
        for device in self.plant.devices.values():
            state = self.states[device.name] = DeviceState(device.name, len(device.tags))
            if device.scheme not in spoken:
                state.up = False
                state.problem = f"no installed skill speaks {device.scheme}://"
                logger.warning("%s: %s", device.name, state.problem)

    async def run(self) -> None:
        """Until cancelled; connections are given back."""
        opened: list[Devices] = []
        try:
            async with asyncio.TaskGroup() as group:
                for skill in self.skills:
                    for scan in self._groups(skill, opened):
                        group.create_task(scan.run())
                    for watch in self._watches(skill, opened):
                        group.create_task(watch.run())
        finally:
            await asyncio.gather(*(devices.close() for devices in opened))

    def _watches(self, skill: ProtocolSkill, opened: list[Devices]) -> list[AlarmWatch]:
        """One for each device that tells its alarms, over sessions of their own: a look may take its time."""
        part = self.plant.only(skill.dialect.schemes)
        devices = Devices(part, skill.connect)
        opened.append(devices)
        telling = [name for name in part.devices if isinstance(devices.line(name).driver, TellsAlarms)]
        return [AlarmWatch(name, devices, self.scan.alarms_interval_s, self.keep_events) for name in telling]

    def _groups(self, skill: ProtocolSkill, opened: list[Devices]) -> list[GroupScan]:
        found = []
        part = self.plant.only(skill.dialect.schemes)
        shared = Devices(part, skill.connect)
        opened.append(shared)
        for device in part.devices.values():
            back_off = BackOff()
            for interval_s, tags in paced(list(device.tags.values()), self.scan, device.name).items():
                devices = shared
                if isinstance(shared.line(device.name).driver, Samples):
                    # a driver has one owner: each subscription gets a session of its own
                    devices = Devices(part, skill.connect)
                    opened.append(devices)
                found.append(
                    GroupScan(
                        device=device,
                        tags=tags,
                        interval_s=interval_s,
                        devices=devices,
                        reports=Reports(tags, self.scan.report == "all", self.scan.most_silence_s),
                        state=self.states[device.name],
                        back_off=back_off,
                        put=self.put,
                    )
                )
        return found


async def _with_silences(
    changes: AsyncIterator[list[Reading]], silence_s: float
) -> AsyncGenerator[list[Reading], None]:
    """The same, with an empty list whenever nothing came for a while."""
    iterator = aiter(changes)
    pending = asyncio.ensure_future(anext(iterator))
    try:
        while True:
            done, _ = await asyncio.wait([pending], timeout=silence_s)
            if not done:
                yield []
                continue
            try:
                readings = pending.result()
            except StopAsyncIteration:
                return
            yield readings
            pending = asyncio.ensure_future(anext(iterator))
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        if close := getattr(iterator, "aclose", None):
            await close()


def _as_device_error(error: Exception, device: Device) -> DeviceError:
    if isinstance(error, DeviceError):
        return error
    if not isinstance(error, FactoryLMError):
        logger.error("%s: the driver failed", device.name, exc_info=error)
    return DeviceError(f"{type(error).__name__}: {error}", quality=Quality.BadNoCommunication)
