"""The devices of a plant while the server runs: one owner per connection, each tag's last good value."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from factorylm_schema import (
    AlarmEvent,
    BadReplyError,
    Device,
    DeviceError,
    DeviceTimeoutError,
    NotConnectedError,
    Plant,
    Problem,
    Quality,
    Reading,
    Tag,
    UnknownNameError,
)

from factorylm_skill.driver import Connects, Driver, TellsAlarms
from factorylm_skill.untrusted import LONGEST_ADVICE, told_to_the_model

T = TypeVar("T")

logger = logging.getLogger("factorylm")

# less than a process has after SIGTERM (process.py)
_FAREWELL_S = 1.0
_MOST_ALARMS = 200


@dataclass
class Line:
    """One device's driver and its single owner.

    A job that has begun always runs to its end, also when the caller gives up: a reply half waited for would
    answer the next question.
    """

    device: Device
    driver: Driver
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _jobs: set[asyncio.Task[object]] = field(default_factory=set)
    _up: bool | None = None

    @property
    def up(self) -> bool | None:
        """The latest job got an answer; None before the first."""
        return self._up

    async def run(self, job: Callable[[Driver], Awaitable[T]]) -> T:
        """Do `job` with the driver, after those before it."""
        task = asyncio.ensure_future(self._owned(job))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return await asyncio.shield(task)

    async def close(self, patience_s: float | None = _FAREWELL_S) -> None:
        """Let what is under way end, if it ends soon (None: in its own time); drop the connection."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=patience_s)
        for task in list(self._jobs):
            task.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.driver.close()

    async def _owned(self, job: Callable[[Driver], Awaitable[T]]) -> T:
        async with self._lock:
            try:
                done = await job(self.driver)
            except (NotConnectedError, DeviceTimeoutError, BadReplyError) as error:
                self._note(up=False, why=error.message)
                raise
            self._note(up=True)
            return done

    def _note(self, *, up: bool, why: str = "") -> None:
        """One log line for the loss, one for the return."""
        if self._up is not False and not up:
            logger.warning("%s: lost: %s", self.device.name, why)
        elif up and self._up is False:
            logger.warning("%s: answers again", self.device.name)
        self._up = up


@dataclass(frozen=True, kw_only=True)
class StandingAlarms:
    """Which alarms stand; `keeping` are the devices that tell, `unknown` those of them that did not answer."""

    alarms: Sequence[AlarmEvent] = ()
    keeping: Sequence[str] = ()
    unknown: Sequence[str] = ()


@dataclass
class Devices:
    """All lines of one skill, opened on first use."""

    plant: Plant
    connect: Connects
    _lines: dict[str, Line] = field(default_factory=dict)
    _last: dict[str, Reading] = field(default_factory=dict)

    def line(self, device: str) -> Line:
        """The line of `device`."""
        found = self.plant.device(device)
        if device not in self._lines:
            self._lines[device] = Line(found, self.connect(found))
        return self._lines[device]

    def asked(self, references: Sequence[str]) -> tuple[list[Tag], list[Problem]]:
        """The tags that are meant, each once, and a problem for each name that is none; raises where none is one."""
        tags: list[Tag] = []
        unknown: list[UnknownNameError] = []
        problems: list[Problem] = []
        for reference in dict.fromkeys(references):
            try:
                tags.append(self.plant.tag(reference))
            except UnknownNameError as error:
                unknown.append(error)
                problems.append(_no_such(reference, error))
        if not tags:
            raise unknown[0]
        return tags, problems

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order; devices are read side by side, a bad one costs only its own tags."""
        by_device: dict[str, list[Tag]] = {}
        for tag in tags:
            by_device.setdefault(tag.device, []).append(tag)
        answers = await asyncio.gather(*(self._read_one(name, part) for name, part in by_device.items()))
        found = {
            (r.tag, t.address): r
            for part, rs in zip(by_device.values(), answers, strict=True)
            for t, r in zip(part, rs, strict=True)
        }
        readings = [found[tag.id, tag.address] for tag in tags]
        self._last.update((reading.tag, reading) for reading in readings if reading.quality.is_good)
        return readings

    def health(self) -> dict[str, bool | None]:
        """Per device: does it answer; None where nobody has asked yet."""
        return {name: self._lines[name].up if name in self._lines else None for name in self.plant.devices}

    async def alarms(self) -> StandingAlarms:
        """What every device that keeps alarms says of them."""
        keeping = [name for name in self.plant.devices if isinstance(self.line(name).driver, TellsAlarms)]
        told = await asyncio.gather(*(self._alarms_of(name) for name in keeping))
        unknown = [name for name, alarms in zip(keeping, told, strict=True) if alarms is None]
        return StandingAlarms(
            alarms=[alarm for alarms in told for alarm in alarms or ()], keeping=keeping, unknown=unknown
        )

    async def replant(self, plant: Plant) -> None:
        """Go on with `plant`: unchanged devices keep their connections, of the others nothing is kept."""
        kept = {name for name, device in plant.devices.items() if self.plant.devices.get(name) == device}
        gone = [self._lines.pop(name) for name in list(self._lines) if name not in kept]
        self._last = {tag: last for tag, last in self._last.items() if tag.split(".")[0].split("/")[0] in kept}
        self.plant = plant
        # a call that has begun still gets its answer from the old line
        await asyncio.gather(*(line.close(patience_s=None) for line in gone))

    def problem(self, reading: Reading) -> Problem:
        """A reading that is not good, with the tag's last good value where there is one."""
        last = self._last.get(reading.tag)
        quality = reading.quality
        if quality is Quality.BadNoCommunication and last:
            quality = Quality.UncertainNoCommunicationLastUsableValue
        doubtful = reading.value if reading.value is not None else (last.value if last else None)
        since = reading.time if reading.value is not None else (last.time if last else None)
        return Problem(
            tag=reading.tag,
            quality=quality,
            problem=told_to_the_model(reading.problem),
            hint=told_to_the_model(reading.hint, LONGEST_ADVICE),
            last_value=told_to_the_model(doubtful) if isinstance(doubtful, str) else doubtful,
            last_time=since,
        )

    async def close(self) -> None:
        """Drop every connection."""
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    async def _alarms_of(self, device: str) -> Sequence[AlarmEvent] | None:
        async def job(driver: Driver) -> Sequence[AlarmEvent]:
            return (await driver.alarms(_MOST_ALARMS)).alarms if isinstance(driver, TellsAlarms) else ()

        try:
            return await self.line(device).run(job)
        except DeviceError:
            return None

    async def _read_one(self, device: str, tags: list[Tag]) -> list[Reading]:
        try:
            return await self.line(device).run(lambda driver: driver.read(tags))
        except DeviceError as error:
            return [no_reading(tag, error) for tag in tags]


def _no_such(reference: str, error: UnknownNameError) -> Problem:
    return Problem(
        tag=told_to_the_model(reference),
        quality=Quality.BadNodeIdUnknown,
        problem=told_to_the_model(error.message, LONGEST_ADVICE),
        hint=error.hint,
    )


def no_reading(tag: Tag, error: DeviceError) -> Reading:
    """Why there is no value for `tag`."""
    return Reading(
        tag=tag.id,
        unit=tag.unit,
        time=datetime.now(UTC),
        quality=error.quality,
        problem=error.message,
        hint=error.hint,
        address=tag.address,
    )
