"""The simulated controller on the network: encapsulation, sessions, connections, and misbehaviour on request.

TCP and UDP share one port on 127.0.0.1. CIP Vol 2, chapter 2 describes the encapsulation; Vol 1, 3-5.5 the
connection manager.
"""

import asyncio
import contextlib
import ipaddress
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import cast

from factorylm_skill.faults import FaultKind, FaultSwitches

from factorylm_enip import cip
from factorylm_enip.cip import HEADER, Command, Service, Status
from factorylm_enip.simulated_controller import Controller, refusal, reply

LOOPBACK = "127.0.0.1"
_UNCONNECTED_ROOM = 504  # CIP Vol 1: what an unconnected message may carry
_INVALID_SESSION = 0x64
_NO_CONTEXT = bytes(8)


@dataclass(kw_only=True)
class Habits:
    """How this particular controller differs from its neighbour."""

    large_connections: bool = True
    most_connections: int = 32
    closes_on_unknown_tag: bool = False  # some servers hang up after a bad path
    answers_forward_close: bool = True
    refuses_context: bool = False  # some servers refuse to register a session with a sender context


@dataclass(kw_only=True)
class Wire:
    """A controller that answers on a port."""

    controller: Controller
    habits: Habits = field(default_factory=Habits)
    faults: FaultSwitches = field(default_factory=FaultSwitches)
    port: int = 0
    pace_s: float = 0.0  # between the bytes of an answer that trickles
    udp_answers: int = 1  # how often a broadcast is answered
    alter: Callable[[bytes], bytes] = bytes  # what becomes of every frame on its way out
    received: Counter[int] = field(default_factory=Counter)  # requests by encapsulation command
    connections: int = 0
    _clients: set[asyncio.Task[None]] = field(default_factory=set)
    _sessions: int = 0

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Wire"]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._serve, LOOPBACK, port or self.port)
        self.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(LOOPBACK, self.port))
        try:
            yield self
        finally:
            udp.close()
            server.close()
            await self.hang_up()
            await server.wait_closed()

    async def hang_up(self) -> None:
        """Drop every client, as a restart does."""
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        session = _Session(self)
        try:
            while await self._one(session, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            session.end()
            writer.close()

    async def _one(self, session: "_Session", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        header = HEADER.unpack(await reader.readexactly(HEADER.size))
        body = await reader.readexactly(header[1])
        self.received[header[0]] += 1
        writes = self.controller.writes
        answer = session.answer(header, body)
        if answer is None or session.hangs_up:
            return header[0] != Command.UNREGISTER_SESSION and not session.hangs_up
        kind = self.faults.take(writing=self.controller.writes > writes)
        return await self._send(answer, kind, writer)

    async def _send(self, frame: bytes, kind: FaultKind | None, writer: asyncio.StreamWriter) -> bool:
        """Send an answer the way the switches say; False ends the connection."""
        if kind is FaultKind.DROP:
            return True
        if kind in (FaultKind.DISCONNECT, FaultKind.TRUNCATED):
            writer.write(frame[: len(frame) // 2] if kind is FaultKind.TRUNCATED else b"")
            await writer.drain()
            return False
        if kind in (FaultKind.DELAY, FaultKind.LATE):
            await asyncio.sleep(self.faults.delay_s if kind is FaultKind.DELAY else self.faults.late_s)
        if kind is FaultKind.TRICKLE:
            await self._trickle(frame, writer)
        else:
            writer.write(self.alter(_spoilt(frame, kind) if kind else frame))
            await writer.drain()
        return True

    async def _trickle(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in frame:
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(self.pace_s)

    def next_session(self) -> int:
        """A handle that no other client has."""
        self._sessions += 1
        return 0x11020000 + self._sessions

    def identity(self) -> bytes:
        """The list with one identity item that ListIdentity answers."""
        address = struct.pack(">HH4s8x", 2, self.port, ipaddress.IPv4Address(LOOPBACK).packed)
        plate = self.controller.nameplate.attributes(self.controller.status)
        item = struct.pack("<H", 1) + address + plate + b"\x03"
        return struct.pack("<HHH", 1, 0x0C, len(item)) + item


@dataclass
class _Connection:
    produced: int  # the id the client sends to
    consumed: int  # the id the client hears
    size: int
    serial: bytes


class _Session:
    """One TCP client."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._handle = 0
        self._connections: dict[int, _Connection] = {}
        self.hangs_up = False

    def end(self) -> None:
        self._wire.connections -= len(self._connections)
        self._connections.clear()

    def answer(self, header: tuple[int, int, int, int, bytes, int], body: bytes) -> bytes | None:
        command, _, handle, _, context, _ = header
        match command:
            case Command.LIST_IDENTITY:
                return _frame(command, 0, self._wire.identity(), context)
            case Command.REGISTER_SESSION:
                return self._register(body, context)
            case Command.UNREGISTER_SESSION:
                return None
            case Command.SEND_RR_DATA | Command.SEND_UNIT_DATA if handle != self._handle or not handle:
                return _frame(command, handle, b"", context, status=_INVALID_SESSION)
            case Command.SEND_RR_DATA:
                return self._unconnected(_item(body, 0xB2), context)
            case Command.SEND_UNIT_DATA:
                return self._connected(body, context)
            case _:
                return _frame(command, handle, b"", context, status=1)

    def _register(self, body: bytes, context: bytes) -> bytes:
        if self._wire.habits.refuses_context and context != _NO_CONTEXT:
            return _frame(Command.REGISTER_SESSION, 0, b"", context, status=3)
        self._handle = self._wire.next_session()
        return _frame(Command.REGISTER_SESSION, self._handle, body, context)

    # -- unconnected ----------------------------------------------------------------------------

    def _unconnected(self, request: bytes, context: bytes) -> bytes | None:
        answer = self._manage(request)
        if answer is None:
            return None
        body = struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, 0xB2, len(answer)) + answer
        return _frame(Command.SEND_RR_DATA, self._handle, body, context)

    def _manage(self, request: bytes) -> bytes | None:
        service, rest = request[0], request[2 + 2 * request[1] :]
        if request[2:6] != cip.logical(0x06, 1):
            return self._wire.controller.answer(request, _UNCONNECTED_ROOM)
        match service:
            case Service.UNCONNECTED_SEND:
                return self._routed(rest)
            case Service.FORWARD_OPEN | Service.LARGE_FORWARD_OPEN:
                return self._open(service, rest)
            case Service.FORWARD_CLOSE:
                return self._close(rest)
            case _:
                return refusal(service, Status.SERVICE_NOT_SUPPORTED)

    def _routed(self, rest: bytes) -> bytes:
        length = struct.unpack_from("<H", rest, 2)[0]
        request = rest[4 : 4 + length]
        behind = 4 + length + length % 2
        route = rest[behind + 2 : behind + 2 + 2 * rest[behind]]
        if wrong := self._wrong_route(route):
            return refusal(Service.UNCONNECTED_SEND, Status.CONNECTION_FAILURE, wrong)
        return self._wire.controller.answer(request, _UNCONNECTED_ROOM)

    def _wrong_route(self, route: bytes) -> int:
        if not route or route == bytes((1, self._wire.controller.slot)):
            return 0
        return 0x0311 if route[0] & 0x0F != 1 else 0x0312

    def _open(self, service: int, rest: bytes) -> bytes:
        large = service == Service.LARGE_FORWARD_OPEN
        if large and not self._wire.habits.large_connections:
            return refusal(service, Status.SERVICE_NOT_SUPPORTED)
        if self._wire.connections >= self._wire.habits.most_connections:
            return refusal(service, Status.CONNECTION_FAILURE, 0x0113)
        consumed = struct.unpack_from("<I", rest, 6)[0]
        serial = rest[10:18]
        if large:
            size, path_at = struct.unpack_from("<I", rest, 26)[0] & 0xFFFF, 39
        else:
            size, path_at = struct.unpack_from("<H", rest, 26)[0] & 0x01FF, 35
        route = rest[path_at + 1 : path_at + 1 + 2 * rest[path_at]]
        if wrong := self._wrong_route(route.removesuffix(cip.logical(2, 1))):
            return refusal(service, Status.CONNECTION_FAILURE, wrong)
        produced = 0x20000000 + 16 * self._wire.next_session()
        self._connections[produced & 0xFFFFFFFF] = _Connection(produced & 0xFFFFFFFF, consumed, size, serial)
        self._wire.connections += 1
        ids = struct.pack("<II", produced & 0xFFFFFFFF, consumed)
        return reply(service, ids + serial + rest[22:26] + rest[22:26] + b"\x00\x00")

    def _close(self, rest: bytes) -> bytes | None:
        serial = rest[2:10]
        for number, connection in list(self._connections.items()):
            if connection.serial == serial:
                del self._connections[number]
                self._wire.connections -= 1
                break
        else:
            return refusal(Service.FORWARD_CLOSE, Status.CONNECTION_FAILURE, 0x0107)
        if not self._wire.habits.answers_forward_close:
            return None
        return reply(Service.FORWARD_CLOSE, serial + b"\x00\x00")

    # -- connected ------------------------------------------------------------------------------

    def _connected(self, body: bytes, context: bytes) -> bytes | None:
        connection = self._connections.get(int.from_bytes(_item(body, 0xA1), "little"))
        if connection is None:
            return None  # a controller keeps silent to a connection it has given up
        data = _item(body, 0xB1)
        sequence, request = data[:2], data[2:]
        if len(data) > connection.size:
            answer = refusal(request[0], Status.TOO_MUCH_DATA)
        else:
            answer = self._wire.controller.answer(request, connection.size - 2)
        unknown = answer[2] in (Status.PATH_UNKNOWN, Status.PATH_SEGMENT_ERROR, Status.EMBEDDED_SERVICE_ERROR)
        if unknown and self._wire.habits.closes_on_unknown_tag:
            self.hangs_up = True
        head = struct.pack("<IHHHHI", 0, 0, 2, 0xA1, 4, connection.consumed)
        body = head + struct.pack("<HH", 0xB1, len(answer) + 2) + sequence + answer
        return _frame(Command.SEND_UNIT_DATA, self._handle, body, context)


class _Udp(asyncio.DatagramProtocol):
    """ListIdentity by broadcast."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) >= HEADER.size and data[0] == Command.LIST_IDENTITY and self._transport:
            answer = _frame(Command.LIST_IDENTITY, 0, self._wire.identity(), HEADER.unpack_from(data)[4])
            for _ in range(self._wire.udp_answers):
                self._transport.sendto(answer, addr)


def _frame(command: int, session: int, body: bytes, context: bytes, status: int = 0) -> bytes:
    return HEADER.pack(command, len(body), session, status, context, 0) + body


def _item(body: bytes, wanted: int) -> bytes:
    count, at = struct.unpack_from("<H", body, 6)[0], 8
    for _ in range(count):
        kind, length = struct.unpack_from("<HH", body, at)
        if kind == wanted:
            return body[at + 4 : at + 4 + length]
        at += 4 + length
    return b""


# -- misbehaviour ---------------------------------------------------------------------------------


def _spoilt(frame: bytes, kind: FaultKind) -> bytes:
    match kind:
        case FaultKind.REFUSE:
            return _refused(frame)
        case FaultKind.GARBAGE:
            return bytes(200 - number for number in range(64))
        case FaultKind.SHORT:
            return _resized(frame[:-2])
        case FaultKind.LONG:
            return _resized(frame + b"\x00\x00")
        case FaultKind.WRONG_SEQUENCE:
            return _wrong_sequence(frame)
        case FaultKind.WRONG_UNIT:
            return frame[:4] + bytes((frame[4] ^ 0x55,)) + frame[5:]
        case _:
            return frame


def _data_item(frame: bytes) -> int:
    """Where the data item's length stands; 0 for answers without items."""
    command = frame[0]
    if len(frame) <= HEADER.size + 16 or command not in (Command.SEND_RR_DATA, Command.SEND_UNIT_DATA):
        return 0
    return 42 if command == Command.SEND_UNIT_DATA else 38


def _resized(frame: bytes) -> bytes:
    if item := _data_item(frame):
        frame = frame[:item] + struct.pack("<H", len(frame) - item - 2) + frame[item + 2 :]
    return frame[:2] + struct.pack("<H", len(frame) - HEADER.size) + frame[4:]


def _refused(frame: bytes) -> bytes:
    item = _data_item(frame)
    if not item:
        return frame[:8] + struct.pack("<I", 2) + frame[12:]
    at = item + (4 if frame[0] == Command.SEND_UNIT_DATA else 2)
    return _resized(frame[:at] + bytes((frame[at], 0, Status.RESOURCE_UNAVAILABLE, 0)))


def _wrong_sequence(frame: bytes) -> bytes:
    at = 44 if frame[0] == Command.SEND_UNIT_DATA and _data_item(frame) else 12
    return frame[:at] + bytes((frame[at] ^ 0x55,)) + frame[at + 1 :]
