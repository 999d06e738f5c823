"""Says so when the process stands still: a tool that blocks the event loop holds up every skill beside it."""

import asyncio
import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field

logger = logging.getLogger("factorylm")

LIMIT_S = 5.0


@dataclass
class Standstill:
    """`run` beats on the event loop; a thread beside it logs, once, where the loop stands when the beat stops.

    More is not possible inside one process: Python cannot stop code that does not come back.
    """

    limit_s: float = LIMIT_S
    _beaten: float = field(default_factory=time.monotonic)
    _told: bool = False
    _over: threading.Event = field(default_factory=threading.Event)

    async def run(self) -> None:
        """Beat until cancelled."""
        thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), daemon=True)
        thread.start()
        try:
            while True:
                self._beat()
                await asyncio.sleep(self.limit_s / 5)
        finally:
            self._over.set()

    def _beat(self) -> None:
        now = time.monotonic()
        if self._told:
            logger.error("served again after a standstill of %.1f s", now - self._beaten)
        self._beaten, self._told = now, False

    def _watch(self, watched: int) -> None:
        while not self._over.wait(self.limit_s / 5):
            silent = time.monotonic() - self._beaten
            if silent > self.limit_s and not self._told:
                self._told = True
                logger.error("nothing is served since %.1f s, the process stands here:\n%s", silent, _stack(watched))


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 (documented, in spite of its name)
    return "".join(traceback.format_stack(frame)[-6:]) if frame else "(ended)"
