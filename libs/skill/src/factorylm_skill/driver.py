"""What a protocol skill must be able to do with one device; the kit does the rest.

A driver belongs to one device and has one owner: the kit calls it from one task at a time. It connects on
first use, and after any timeout, sequence or length mismatch it drops the connection and makes a new one for
the next call. It never answers a question with another question's reply.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from factorylm_schema import (
    AlarmEvent,
    Device,
    DeviceError,
    DeviceRefusedError,
    Diagnosis,
    Identity,
    NotConnectedError,
    Reading,
    Tag,
    Value,
)
from pydantic import BaseModel, ConfigDict


class Driver(Protocol):
    """One device."""

    async def identify(self) -> Identity:
        """Who the device says it is; empty where the protocol or the device does not tell."""
        ...

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order, in engineering units.

        What fails for one tag stands in that tag's reading. Only a failure of the whole connection raises
        (NotConnectedError, DeviceTimeoutError, BadReplyError).
        """
        ...

    async def write(self, tag: Tag, value: Value) -> None:
        """Send `value` (engineering units) once.

        WriteRefusedError and NotConnectedError say that it was surely not sent (`before_sending` makes the latter
        of whatever fails on the way there), DeviceRefusedError that the device said no. OutcomeUnknownError says
        that it was sent and not answered; any other error is taken for that.
        """
        ...

    async def close(self) -> None:
        """Drop the connection; a later call makes a new one. Never raises."""
        ...


@contextmanager
def before_sending() -> Iterator[None]:
    """What fails in here fails before the write is sent, so that it raises NotConnectedError (see Driver.write)."""
    try:
        yield
    except (NotConnectedError, DeviceRefusedError):
        raise
    except DeviceError as error:
        raise NotConnectedError(error.message, hint=error.hint, quality=error.quality) from error


class BrowsePage(BaseModel):
    """One page of what a device offers: names, addresses and types to copy into a plant file."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    columns: list[str]
    rows: list[list[Value | None]]
    cursor: str = ""


@runtime_checkable
class Browses(Protocol):
    """A driver whose device can list what it has."""

    async def browse(self, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
        """At most `limit` entries below `path` whose name contains `search`, from `cursor` on."""
        ...


@runtime_checkable
class Diagnoses(Protocol):
    """A driver that can walk the ladder from the network to the data."""

    async def diagnose(self) -> Diagnosis:
        """Never raises for a device that is down: that is a failed rung with its evidence."""
        ...


@runtime_checkable
class Samples(Protocol):
    """A driver that is told of changes, instead of asking again and again."""

    def sample(self, tags: Sequence[Tag], interval_s: float) -> AsyncIterator[list[Reading]]:
        """Readings as they come, until the iterator is closed."""
        ...


class AlarmsFound(Protocol):
    """What a device said of its alarms."""

    @property
    def alarms(self) -> Sequence[AlarmEvent]:
        """The latest state of each alarm that stands."""
        ...

    @property
    def complete(self) -> bool:
        """Whether these are all; else one that is not among them may stand nevertheless."""
        ...


@runtime_checkable
class TellsAlarms(Protocol):
    """A driver whose device keeps a list of standing alarms."""

    async def alarms(self, limit: int) -> AlarmsFound:
        """At most `limit`, the most severe first."""
        ...


class Connects(Protocol):
    """Makes the driver of one device; no byte is sent before its first call."""

    def __call__(self, device: Device, /) -> Driver: ...
