"""One Logix controller: reads batches with the fewest packets, writes one tag once, trusts no unfit reply."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from factorylm_schema import (
    BadReplyError,
    Device,
    DeviceError,
    DeviceTimeoutError,
    Diagnosis,
    Identity,
    NotConnectedError,
    OutcomeUnknownError,
    Reading,
    Tag,
    Value,
)
from factorylm_skill.driver import BrowsePage, before_sending
from factorylm_skill.owner_thread import OwnerThread

from factorylm_enip.browse import browse
from factorylm_enip.catalog import UploadUnfinishedError
from factorylm_enip.diagnosis import diagnose
from factorylm_enip.dialect import DeviceOptions, options_of
from factorylm_enip.discovery import NETWORK, browse_network
from factorylm_enip.endpoint import Endpoint, parse_url
from factorylm_enip.identity import identity_of
from factorylm_enip.line import Deadline
from factorylm_enip.memory import Memory
from factorylm_enip.reading import Batch
from factorylm_enip.session import Session
from factorylm_enip.writing import write

T = TypeVar("T")

# another try on a fresh connection is worth it only with time left to make one
_LEAST_FOR_ANOTHER_S = 0.05


def _utc_now() -> datetime:
    return datetime.now(UTC)


def connect(device: Device) -> "EnipDriver":
    """The driver of `device`; no byte is sent before its first call."""
    return EnipDriver(device)


@dataclass
class EnipDriver:
    """One device (factorylm_skill.driver.Driver, Browses, Diagnoses)."""

    device: Device
    now: Callable[[], datetime] = _utc_now
    _endpoint: Endpoint = field(init=False)
    _options: DeviceOptions = field(init=False)
    _owner: OwnerThread = field(init=False)
    _deadline: Deadline = field(default_factory=Deadline)
    _session: Session | None = None
    _memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        self._endpoint = parse_url(self.device.url)
        self._options = options_of(self.device)
        self._owner = OwnerThread(f"enip {self.device.name}")

    async def identify(self) -> Identity:
        """The identity object behind the route, and the key switch."""
        return await self._owned(self._identify)

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order."""
        return await self._owned(lambda: self._read(tags))

    async def write(self, tag: Tag, value: Value) -> None:
        """Send `value` once."""
        with before_sending():  # once it is sent, what fails is an OutcomeUnknownError
            await self._owned(
                lambda: self._with_session(lambda session: write(session, self._memory, tag, value, self.now))
            )

    async def browse(self, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
        """Tags, a program's tags, a structure's members; `network:` asks who else is there."""
        if path.lower().startswith(NETWORK):
            return await browse_network(self._options.discover, path, search, limit, cursor)
        catalog = self._memory.catalog
        return await self._owned(
            lambda: self._with_session(lambda session: browse(session, catalog, path, search, limit, cursor))
        )

    async def diagnose(self) -> Diagnosis:
        """The ladder from the name to the data."""
        return await self._owned(self._diagnose)

    async def close(self) -> None:
        """Drop the connection."""
        session, self._session = self._session, None
        if session is not None:
            await self._owner.run(session.finish)
        self._owner.stop()

    # -- on the owner's thread ------------------------------------------------------------------

    async def _owned(self, job: Callable[[], T]) -> T:
        deadline = time.monotonic() + self.device.timeout_s
        try:
            return await self._owner.run(lambda: self._until(deadline, job))
        except asyncio.CancelledError:
            # nobody waits for the reply any more, and it must not answer the next question; nor is it asked again
            self._deadline.at = 0.0
            if self._session is not None:
                self._session.interrupt()
            raise

    def _until(self, deadline: float, job: Callable[[], T]) -> T:
        self._deadline.at = deadline
        return job()

    def _with_session(self, job: Callable[[Session], T]) -> T:
        """Do `job` on the connection; after any failure of the line the connection is thrown away."""
        try:
            return job(self._connected())
        except UploadUnfinishedError:
            raise  # between two pages: the line is as good as before
        except (NotConnectedError, DeviceTimeoutError, BadReplyError, OutcomeUnknownError):
            self._drop()
            raise

    def _connected(self) -> Session:
        if self._session is None:
            session = self._new_session()
            try:
                session.start()
            except DeviceError:
                session.drop()
                raise
            self._session = session
            self._memory.new_connection()
        return self._session

    def _new_session(self) -> Session:
        return Session(self._endpoint, self._deadline, connection_size=self._options.connection_size)

    def _drop(self) -> None:
        if self._session is not None:
            self._session.drop()
            self._session = None

    def _identify(self) -> Identity:
        """Without a message connection: a device that is no controller may offer none."""
        if self._session is not None:
            return self._with_session(identity_of)
        session = self._new_session()
        try:
            session.reach()
            return identity_of(session)
        finally:
            session.finish()

    def _read(self, tags: Sequence[Tag]) -> list[Reading]:
        batch = Batch(tags, self._memory, self.now)
        if batch.is_over:  # no address among them
            return batch.done
        try:
            self._run(batch)
        except DeviceError as error:
            if not batch.begun:
                raise
            batch.give_up(error)
        return batch.done

    def _run(self, batch: Batch) -> None:
        """Where the line fails under way, once more for what is missing: reading twice does no harm."""
        self._connected()
        try:
            self._with_session(batch.run)
        except (NotConnectedError, BadReplyError):
            if batch.only_suspects or self._deadline.seconds_left < _LEAST_FOR_ANOTHER_S:
                raise
            self._with_session(batch.run)

    def _diagnose(self) -> Diagnosis:
        self._drop()
        session = self._new_session()
        diagnosis, usable = diagnose(self.device, session, lambda: self._tags_read(session))
        if usable:
            self._session = session
        else:
            session.drop()
        return diagnosis

    def _tags_read(self, session: Session) -> list[Reading]:
        self._memory.new_connection()
        batch = Batch(list(self.device.tags.values()), self._memory, self.now)
        batch.run(session)
        return batch.done
