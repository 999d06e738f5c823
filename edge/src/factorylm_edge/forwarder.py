"""Sends the outbox to one target, in order; a line that is down for hours costs nothing but room."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from factorylm_schema import FactoryLMError

from factorylm_edge.outbox import Batch, OutboxTable
from factorylm_edge.reporting import BackOff
from factorylm_edge.sample import SECOND
from factorylm_edge.settings import Forward

logger = logging.getLogger("factorylm.edge")

_BATCHES_AT_ONCE = 32
_HISTORICAL_AFTER_US = 10 * SECOND


class SendError(FactoryLMError):
    """A target did not take a batch; it is given again."""

    code = "SEND"


class Target(Protocol):
    """Where batches go. The same batch may come twice: after a kill nobody knows whether it arrived."""

    async def send(self, batch: Batch) -> None:
        """Returns when the target has it for good; raises SendError (or HistoryError) otherwise."""
        ...

    async def close(self) -> None:
        """Let go. Never raises."""
        ...


@dataclass
class Forwarder:
    """One target's place in the outbox."""

    forward: Forward
    outbox: OutboxTable
    target: Target
    now_us: Callable[[], int]
    timeout_s: float = 10.0
    most_pause_s: float = 60.0
    poll_s: float = 0.5
    sent: int = 0
    trouble: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """What the outbox remembers its place by."""
        return f"{self.forward.to} {self.forward.format}"

    def wake(self) -> None:
        """There is something new."""
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        back_off = BackOff(self.most_pause_s)
        try:
            while True:
                try:
                    moved = await self.send_next()
                except (FactoryLMError, TimeoutError) as error:
                    self._note(str(error) or f"no acknowledgement within {self.timeout_s:g} s")
                    await asyncio.sleep(back_off.failed())
                    continue
                back_off.answered()
                self._note("")
                if not moved:
                    await self._wait()
        finally:
            await self.target.close()

    async def send_next(self) -> bool:
        """The next batches, one after the other; False when there was none."""
        batches = await asyncio.to_thread(self.outbox.next, self.name, _BATCHES_AT_ONCE)
        for number, samples in batches:
            allowed = [sample for sample in samples if self.forward.allows(sample.tag)]
            if allowed:
                late = allowed[-1].time_us < self.now_us() - _HISTORICAL_AFTER_US
                gateway = self.outbox.history.gateway
                batch = Batch(gateway=gateway, number=number, samples=allowed, historical=late)
                async with asyncio.timeout(self.timeout_s):
                    await self.target.send(batch)
                self.sent += len(allowed)
            await asyncio.to_thread(self.outbox.sent, self.name, number)
        return bool(batches)

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), self.poll_s)
        except TimeoutError:
            return
        self._news.clear()

    def _note(self, trouble: str) -> None:
        """One line when the line is lost, one when it is back."""
        if trouble and not self.trouble:
            logger.warning("%s: not reached, the outbox keeps what comes: %s", self.forward.to, trouble)
        elif self.trouble and not trouble:
            logger.warning("%s: reached again", self.forward.to)
        self.trouble = trouble
