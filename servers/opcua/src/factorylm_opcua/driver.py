"""One OPC UA server as the kit wants it: read, write, browse, diagnose, sample.

Light to import: the library is loaded on the first call, in a thread of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from factorylm_schema import (
    BadReplyError,
    Device,
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

from factorylm_opcua.endpoint import Endpoint, endpoint_of

if TYPE_CHECKING:
    from factorylm_opcua.alarms import AlarmList
    from factorylm_opcua.history import History
    from factorylm_opcua.session import Session

T = TypeVar("T")

# Long lists and long histories take many requests; each of them still has the device's timeout
_PATIENCE_S = 20.0
_LITTLE_S = 0.5


def connect(device: Device) -> "OpcuaDriver":
    """The driver of `device`; no byte is sent before its first call."""
    return OpcuaDriver(device)


@dataclass
class OpcuaDriver:
    """One server. `pinned` holds which URI a namespace number meant when it was first seen."""

    device: Device
    endpoint: Endpoint = field(init=False)
    pinned: dict[int, str] = field(default_factory=dict)
    _session: "Session | None" = None
    _loaded: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.endpoint = endpoint_of(self.device)

    async def identify(self) -> Identity:
        """Product, version and state as the server tells them."""
        await self.load()
        from factorylm_opcua.identity import read_identity

        return await self.on_session(read_identity)

    async def read(self, tags: Sequence[Tag]) -> list[Reading]:
        """One reading per tag, in order, in the fewest requests the server accepts."""
        await self.load()
        from factorylm_opcua.reading import read_tags

        return await self.on_session(lambda session: read_tags(session, tags))

    async def write(self, tag: Tag, value: Value) -> None:
        """Send once, with the node's own type, without a time unless the plant file asks for it."""
        await self.load()
        from factorylm_opcua.writing import node_type, write_tag

        # finding the type out changes nothing, so it may be tried again; the write itself never is
        with before_sending():  # once it is sent, what fails is an OutcomeUnknownError
            await self.on_session(lambda session: node_type(session, tag))
            with self._dropping_on_doubt():
                await write_tag(await self.session(), tag, value)

    async def browse(self, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
        """What lies below `path`: an address from an earlier page, or names with slashes."""
        await self.load()
        from factorylm_opcua.browse import browse_page

        return await self.on_session(lambda session: browse_page(session, path, search, limit, cursor), _PATIENCE_S)

    async def diagnose(self) -> Diagnosis:
        """The ladder from the network to the data, climbed on a fresh connection."""
        await self.load()
        from factorylm_opcua.diagnosis import climb

        await self.close()  # a server has few sessions
        return await climb(self.device, self.endpoint, self.pinned)

    async def sample(self, tags: Sequence[Tag], interval_s: float) -> AsyncIterator[list[Reading]]:
        """Changes as the server reports them, by a subscription that ends with the iterator."""
        await self.load()
        from factorylm_opcua.sampling import samples

        session = await self.session()
        with self._dropping_on_doubt():
            async with aclosing(samples(session, tags, interval_s)) as changes:
                async for readings in changes:
                    yield readings

    async def history(self, tag: Tag, start: datetime, end: datetime, limit: int) -> "History":
        """What the server has kept of `tag`, oldest first."""
        await self.load()
        from factorylm_opcua.history import read_history

        return await self.on_session(lambda session: read_history(session, tag, start, end, limit), _PATIENCE_S)

    async def alarms(self, limit: int) -> "AlarmList":
        """The alarms that stand now, as far as the server tells."""
        await self.load()
        from factorylm_opcua.alarms import list_alarms

        return await self.on_session(lambda session: list_alarms(session, limit))

    async def close(self) -> None:
        """Give the session back."""
        session, self._session = self._session, None
        if session:
            await session.close()

    # -- the connection -----------------------------------------------------------------------

    async def load(self) -> None:
        """Import the library without holding up the event loop: it takes about a second, once."""
        if not self._loaded:
            await asyncio.to_thread(import_module, "factorylm_opcua.session")
            self._loaded = True

    async def session(self) -> "Session":
        """The open session, or a new one."""
        from factorylm_opcua.session import open_session

        async with self._opening:
            if self._session is None or not self._session.is_open:
                self.drop()
                self._session = await open_session(self.endpoint, pinned=self.pinned)
                self._pin(self._session.namespaces)
            return self._session

    async def on_session(self, job: Callable[["Session"], Awaitable[T]], budget_s: float = 0) -> T:
        """Do `job`; where the connection proves dead, a second time on a fresh one.

        Only for what changes nothing. All of it ends within `budget_s` (the device's timeout and a little more,
        so that a single request that is not answered says so itself).
        """
        budget_s = budget_s or self.endpoint.timeout_s + _LITTLE_S
        try:
            async with asyncio.timeout(budget_s):
                return await self._twice(job)
        except TimeoutError:
            raise DeviceTimeoutError(
                f"{self.endpoint.place} took longer than {budget_s:g} s",
                hint="The server may be busy: raise timeout_s, or ask for less at once",
            ) from None

    async def _twice(self, job: Callable[["Session"], Awaitable[T]]) -> T:
        reused = self._session is not None
        session = await self.session()
        try:
            with self._dropping_on_doubt():
                return await job(session)
        except (NotConnectedError, BadReplyError):
            if not reused:
                raise
        session = await self.session()
        with self._dropping_on_doubt():
            return await job(session)

    def drop(self) -> None:
        """Hang up: what may still arrive must answer nothing."""
        session, self._session = self._session, None
        if session:
            session.drop()

    @contextmanager
    def _dropping_on_doubt(self) -> Iterator[None]:
        """Drop the connection when an answer was missing, wrong, or is no longer waited for."""
        try:
            yield
        except (
            NotConnectedError,
            DeviceTimeoutError,
            BadReplyError,
            OutcomeUnknownError,
            asyncio.CancelledError,
        ):
            self.drop()
            raise

    def _pin(self, namespaces: Sequence[str]) -> None:
        """A number in a plant file keeps the meaning it had at first, whatever the server renumbers."""
        for number, uri in enumerate(namespaces):
            self.pinned.setdefault(number, uri)
