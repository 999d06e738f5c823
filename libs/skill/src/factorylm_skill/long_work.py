"""Work that computes for seconds or minutes beside a server that keeps answering."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from factorylm_skill.call import Call

T = TypeVar("T")
Say = Callable[[str], None]


async def in_a_thread(work: Callable[[Say], T], call: Call) -> T:
    """Run it beside the event loop, passing its progress on; a call given up on leaves the thread to finish."""
    steps = 0

    def say(text: str) -> None:
        nonlocal steps
        steps += 1
        anyio.from_thread.run(call.progress, float(steps), 0.0, text)

    def job() -> T:
        return work(say)

    waiting: Awaitable[T] = anyio.to_thread.run_sync(job, abandon_on_cancel=True)
    return await waiting
