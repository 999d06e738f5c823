"""The one thread that may touch a blocking connection: its objects must never be shared between threads."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class OwnerThread:
    """Runs jobs one after another; starts with the first and ends with `stop`.

    A daemon thread: a name server that does not answer cannot keep the process from ending. The thread waits on a
    queue of its own and wakes the event loop once a job: handing over to a pool's executor takes several times as long.
    """

    name: str
    _jobs: "queue.SimpleQueue[Callable[[], None] | None]" = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None

    def run(self, job: Callable[[], T]) -> "asyncio.Future[T]":
        """The job's result to come, or what it raised. Cancelled before its turn, it is not done at all."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(lambda: _do(job, future, loop))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        return future

    def stop(self) -> None:
        """End after the jobs that wait."""
        if self._thread is not None:
            self._thread = None
            self._jobs.put(None)

    def _work(self) -> None:
        while job := self._jobs.get():
            job()


def _do(job: Callable[[], T], future: "asyncio.Future[T]", loop: asyncio.AbstractEventLoop) -> None:
    if future.done():  # cancelled before its turn came
        return
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001  # it belongs to who waits for the job
        _tell(loop, future, future.set_exception, error)
    else:
        _tell(loop, future, future.set_result, result)


def _tell(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Any]", settle: Callable[[Any], None], what: object
) -> None:
    def tell() -> None:
        if not future.done():
            settle(what)

    with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(tell)
