"""Between collecting and the disk: samples wait here, never the devices, and are let go of when they are committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from factorylm_edge.history import History, HistoryError, HistoryFullError
from factorylm_edge.sample import Sample

logger = logging.getLogger("factorylm.edge")

Told = Callable[[Sequence[Sample]], Awaitable[None]]

_MOST_AT_ONCE = 50_000


async def _nobody(_: Sequence[Sample]) -> None:
    return None


@dataclass
class Recorder:
    """Writes what `put` brings, a batch every `flush_s`; what cannot be written waits, up to `most_waiting`.

    Beyond that the oldest is lost: counted in `lost` and told in the log.
    """

    history: History
    flush_s: float = 1.0
    most_waiting: int = 500_000
    committed: Told = _nobody
    kept: int = 0
    lost: int = 0
    trouble: str = ""
    _waiting: list[Sample] = field(default_factory=list)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waiting(self) -> int:
        """Samples that are not on the disk yet."""
        return len(self._waiting)

    def put(self, samples: Sequence[Sample]) -> None:
        """Never waits."""
        self._waiting.extend(samples)
        beyond = len(self._waiting) - self.most_waiting
        if beyond > 0:
            del self._waiting[:beyond]
            self.lost += beyond

    async def run(self) -> None:
        """Until `end`; then once more, so that nothing collected is left behind."""
        while not self._ended.is_set():
            try:
                await asyncio.wait_for(self._ended.wait(), self.flush_s)
            except TimeoutError:
                await self.flush()
        await self.flush()

    def end(self) -> None:
        """Write what is there and stop."""
        self._ended.set()

    async def flush(self) -> None:
        """Commit what waits now."""
        while self._waiting:
            batch = self._waiting[:_MOST_AT_ONCE]
            try:
                await asyncio.to_thread(self.history.append, batch)
            except HistoryError as error:
                self._note(error)
                return
            self._note(None)
            # what came meanwhile stands behind; what was dropped meanwhile stood in front
            self._waiting = self._waiting[len(batch) :] if self._waiting[:1] == batch[:1] else self._after(batch)
            self.kept += len(batch)
            await self.committed(batch)

    def _after(self, batch: Sequence[Sample]) -> list[Sample]:
        committed = set(map(id, batch))
        left = [sample for sample in self._waiting if id(sample) not in committed]
        # dropped for want of room, and yet written: not lost
        self.lost -= len(batch) - (len(self._waiting) - len(left))
        return left

    def _note(self, error: HistoryError | None) -> None:
        """One line when it begins, one when it is over."""
        told = str(error) if error else ""
        if told and not self.trouble:
            kind = "full" if isinstance(error, HistoryFullError) else "not written"
            logger.error("history %s, samples wait in memory (%d at most): %s", kind, self.most_waiting, told)
        elif self.trouble and not told:
            logger.warning("history is written again; %d samples were lost", self.lost)
        self.trouble = told
