"""The other end: reads what several gateways put on a bus into one history, each batch once and in order."""

import asyncio
import logging
from dataclasses import dataclass

from factorylm_schema import BadRequestError

from factorylm_edge.bus import Bus
from factorylm_edge.forwarder import SendError
from factorylm_edge.history import History, HistoryError
from factorylm_edge.reporting import BackOff
from factorylm_edge.wire import batch_of

logger = logging.getLogger("factorylm.edge")


@dataclass
class SiteStore:
    """A named reader of the bus; a batch is acknowledged when it is committed, and committed once."""

    bus: Bus
    history: History
    reader: str = "site-store"
    prefix: str = "factorylm"
    most_pause_s: float = 30.0
    taken: int = 0
    repeated: int = 0
    refused: int = 0

    async def join(self) -> None:
        """From now on the bus keeps batches for this reader."""
        await self.bus.join(f"{self.prefix}.batches.>", reader=self.reader)

    async def run(self) -> None:
        """Until cancelled; a bus that is away is waited for."""
        back_off = BackOff(self.most_pause_s)
        while True:
            try:
                await self._take(back_off)
            except (SendError, HistoryError) as error:
                logger.warning("the site store waits: %s", error)
                await self.bus.close()
                await asyncio.sleep(back_off.failed())

    async def _take(self, back_off: BackOff) -> None:
        async for message in self.bus.read(self.reader):
            try:
                batch = batch_of(message.data)
            except BadRequestError as error:
                # it would come again for ever; nothing of ours writes such a thing
                self.refused += 1
                logger.warning("%s: %s", message.subject, error)
                await message.acknowledge()
                continue
            news = await asyncio.to_thread(
                self.history.append, batch.samples, source=batch.gateway, number=batch.number
            )
            self.taken += len(batch.samples) if news else 0
            self.repeated += not news
            await message.acknowledge()
            back_off.answered()
