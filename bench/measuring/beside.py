"""Servers in processes of their own, and a line with a delay, so that the measured process does one side's work."""

import asyncio
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

_GOODBYE_S = 10


@contextmanager
def beside(serve: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """Run `serve(pipe, *arguments)` in another process; gives what it sends first, mostly its port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, *arguments), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join(_GOODBYE_S)
        if process.is_alive():
            process.terminate()


async def until_told(pipe: Connection, ready: object) -> None:
    """In such a process: say that it serves, and return when it may end."""
    pipe.send(ready)
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)


def delayed(pipe: Connection, port: int, delay_s: float) -> None:
    """To be run `beside`: a port of its own for `port`, each way `delay_s` slower."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        joining: set[asyncio.Task[None]] = set()

        def accept() -> _Slow:
            near = _Slow(delay_s)
            joining.add(asyncio.ensure_future(join(near)))
            return near

        async def join(near: _Slow) -> None:
            _, far = await loop.create_connection(lambda: _Slow(delay_s), "127.0.0.1", port)
            near.other, far.other = far, near
            while near.waiting:
                far.transport.write(near.waiting.popleft())

        server = await loop.create_server(accept, "127.0.0.1", 0)
        await until_told(pipe, server.sockets[0].getsockname()[1])

    asyncio.run(run())


class _Slow(asyncio.Protocol):
    """Passes bytes on in order, later."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self.other: _Slow | None = None
        self.transport: asyncio.Transport
        self.waiting: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delay_s, self._pass_on, data)

    def _pass_on(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
        else:
            self.waiting.append(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()
