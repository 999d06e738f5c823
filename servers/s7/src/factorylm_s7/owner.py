"""The thread that owns a CPU's connection. python-snap7 blocks, and its objects may not be shared between threads.

Everything that touches a session runs in the owner's thread. The event loop only cuts a connection whose time is
over; a thread that even this cannot wake is left behind together with its session, so that it can harm no other.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from factorylm_schema import DeviceError, DeviceRefusedError, DeviceTimeoutError, OutcomeUnknownError
from factorylm_skill.owner_thread import OwnerThread

from factorylm_s7.endpoint import Endpoint
from factorylm_s7.session import Manners, Session

T = TypeVar("T")

_GRACE_S = 0.2  # for the thread to notice that its connection was cut


class Owner:
    """One thread and its session."""

    def __init__(self, endpoint: Endpoint, manners: Manners) -> None:
        self.endpoint = endpoint
        self.manners = manners
        self.lost = False  # the thread hangs; make another owner
        self._session: Session | None = None
        self._thread = OwnerThread(f"s7 {endpoint.host}")

    async def do(self, work: Callable[["Owner", float], T], timeout_s: float) -> T:
        """Do `work` in the thread, within `timeout_s`; it is told its deadline (monotonic)."""
        deadline = time.monotonic() + timeout_s
        job = self._thread.run(lambda: self._guarded(work, deadline))
        loop = asyncio.get_running_loop()
        # A reply that trickles in restarts the wire's own timeout with every byte, so time is kept here, too
        cut = loop.call_later(timeout_s + _GRACE_S / 2, self._cut)
        leave = loop.call_later(timeout_s + _GRACE_S * 3 / 2, self._leave_behind, job)
        try:
            return await job
        except asyncio.CancelledError:
            self._cut()
            raise
        finally:
            cut.cancel()
            leave.cancel()

    async def close(self) -> None:
        """Say goodbye to the CPU, and let the thread end."""
        if self.lost:
            return
        await asyncio.wait([self._thread.run(self.drop)], timeout=_GRACE_S)
        self._cut()
        self._thread.stop()

    # -- in the thread ------------------------------------------------------------------------------------

    def connected(self, deadline: float) -> Session:
        """The session, if it is sound; otherwise a new one."""
        session = self._session
        if session is None or not session.is_quiet:
            session = self.fresh(deadline)
            session.open()
        session.deadline = deadline
        return session

    def fresh(self, deadline: float) -> Session:
        """A session that is not open yet, in place of the one there was."""
        self.drop()
        self._session = Session(self.endpoint, self.manners, deadline)
        return self._session

    def drop(self) -> None:
        """End the connection."""
        session, self._session = self._session, None
        if session:
            session.close()

    def _guarded(self, work: Callable[["Owner", float], T], deadline: float) -> T:
        """A refusal leaves the connection sound; after any other failure nothing on it can be trusted."""
        try:
            return work(self, deadline)
        except DeviceRefusedError:
            raise
        except (DeviceError, OutcomeUnknownError):
            self.drop()
            raise

    # -- in the event loop --------------------------------------------------------------------------------

    def _cut(self) -> None:
        if session := self._session:
            session.abort()

    def _leave_behind(self, job: "asyncio.Future[T]") -> None:
        """The thread hangs in the operating system, mostly because a name server is silent, or got no time to run."""
        self.lost = True
        self._thread.stop()
        if not job.done():
            hint = "Is the name server up (try the IP address), or this machine too busy?"
            job.set_exception(DeviceTimeoutError(f"{self.endpoint} could not be reached in time", hint=hint))
