"""What simulators that speak by asyncio.Protocol share: a port on loopback, and answers as the fault switches say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Protocol

from factorylm_skill.faults import FaultKind, FaultSwitches

HOST = "127.0.0.1"
_TRICKLE_S = 0.002


class Connection(Protocol):
    """One client of a simulator."""

    transport: asyncio.Transport

    def send(self, data: bytes) -> None:
        """Send, unless the client has gone."""
        ...

    def send_later(self, delay_s: float, data: bytes) -> None:
        """The same after a while."""
        ...


@asynccontextmanager
async def listening(
    accept: Callable[[], asyncio.Protocol],
    connected: Collection[Connection],
    *,
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    """Listen on 127.0.0.1, gives the port; in the end everybody who is `connected` is cut off."""
    server = await asyncio.get_running_loop().create_server(accept, HOST, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(connected):
            connection.transport.abort()
        await server.wait_closed()


def misbehave(
    connection: Connection, fault: FaultKind, faults: FaultSwitches, right: bytes, lie: Callable[[FaultKind], bytes]
) -> None:
    """Answer as `fault` says; what a lie looks like on the wire only the protocol knows."""
    match fault:
        case FaultKind.DROP:
            pass
        case FaultKind.DELAY:
            connection.send_later(faults.delay_s, right)
        case FaultKind.LATE:
            connection.send_later(faults.late_s, right)
        case FaultKind.TRICKLE:
            for at in range(len(right)):
                connection.send_later(_TRICKLE_S * at, right[at : at + 1])
        case FaultKind.TRUNCATED:
            connection.send(right[: len(right) // 2])
            connection.transport.close()
        case FaultKind.DISCONNECT:
            connection.transport.abort()
        case _:
            connection.send(lie(fault))
