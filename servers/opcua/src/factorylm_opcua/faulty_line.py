"""A line between client and simulated server that misbehaves on request, byte by byte.

It knows just enough OPC UA (OPC 10000-6, 6.7.2) to hold one answer in its hand. Faults hit answers that carry
data: read, write, browse, history, call, subscription. Connecting and signing in stay as they are; over a
secured channel nothing can be told apart, and every answer counts. `short` and `long` change answers that are
lists; a publish is none and stays right.
"""

import asyncio
import random
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from factorylm_skill.faults import FaultKind, FaultSwitches

from factorylm_opcua.library import ua, ua_binary

_SERVICES = ["Read", "Write", "Browse", "BrowseNext", "HistoryRead", "Call", "CreateSubscription"]
_SERVICES += ["CreateMonitoredItems", "Publish", "TranslateBrowsePathsToNodeIds"]

_HEADER = struct.Struct("<3scI")
_CHUNK = struct.Struct("<IIII")  # channel, token, sequence, request
_BODY_AT = _HEADER.size + _CHUNK.size


@dataclass
class Message:
    """One answer, in the chunks it came in."""

    chunks: list[bytes]

    @property
    def whole(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def is_service(self) -> bool:
        return self.chunks[0][:3] == b"MSG"

    @property
    def body(self) -> bytes:
        return b"".join(chunk[_BODY_AT:] for chunk in self.chunks)

    def with_body(self, body: bytes) -> bytes:
        """The same chunk heads around another body."""
        size = -(-len(body) // len(self.chunks))
        parts = [body[i * size : (i + 1) * size] for i in range(len(self.chunks))]
        return b"".join(
            _HEADER.pack(chunk[:3], chunk[3:4], _BODY_AT + len(part)) + chunk[_HEADER.size : _BODY_AT] + part
            for chunk, part in zip(self.chunks, parts, strict=True)
        )

    def with_head(self, *, channel: int = 0, request: int = 0) -> bytes:
        """The same bytes with channel or request id moved on."""
        moved = []
        for chunk in self.chunks:
            one, token, sequence, other = _CHUNK.unpack_from(chunk, _HEADER.size)
            head = _CHUNK.pack(one + channel, token, sequence, other + request)
            moved.append(chunk[: _HEADER.size] + head + chunk[_BODY_AT:])
        return b"".join(moved)


@dataclass
class FaultyLine:
    """Listens on `port` of 127.0.0.1 and passes everything on to `server_port`, faults excepted.

    `requests` counts what was asked, by service; `watch` sees each request's body, `alter` may change an answer.
    """

    server_port: int
    faults: FaultSwitches
    port: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    watch: Callable[[str, bytes], None] | None = None
    alter: Callable[[str, Message], bytes] | None = None
    _listener: asyncio.Server | None = None
    _pipes: set[asyncio.Task[None]] = field(default_factory=set)

    async def up(self) -> None:
        """Accept connections (again, on the same port)."""
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Close every connection and refuse new ones."""
        if self._listener:
            self._listener.close()
        self.cut()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        if self._listener:
            await self._listener.wait_closed()

    def cut(self) -> None:
        """Close every connection."""
        for pipe in self._pipes:
            pipe.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = asyncio.ensure_future(self._pipe(reader, writer))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)
        pipe.add_done_callback(lambda _: writer.close())  # also where it was cut before it began

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._questions(reader, up_writer)),
            asyncio.ensure_future(self._answers(up_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.close()
            up_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _questions(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while message := await _message(reader):
            name = _service(message)
            self.requests[name.removesuffix("Request")] += 1
            if self.watch:
                self.watch(name, message.body)
            writer.write(message.whole)
            await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while message := await _message(reader):
            writing = _service(message) == "WriteResponse"
            fault = self.faults.take(writing=writing) if _carries_data(message) else None
            if not await self._sent(message, fault, writer):
                return

    async def _sent(self, message: Message, fault: FaultKind | None, writer: asyncio.StreamWriter) -> bool:
        """Send the answer, or what the fault makes of it; False ends the connection."""
        whole = message.whole
        if fault is FaultKind.DROP:
            return True
        if fault is FaultKind.DISCONNECT:
            return False
        if fault is FaultKind.TRUNCATED:
            writer.write(whole[: len(whole) // 2])
            await writer.drain()
            return False
        if fault is FaultKind.TRICKLE:
            for at in range(len(whole)):
                writer.write(whole[at : at + 1])
                await writer.drain()
            return True
        if fault in (FaultKind.DELAY, FaultKind.LATE):
            await asyncio.sleep(self.faults.late_s if fault is FaultKind.LATE else self.faults.delay_s)
        writer.write(self.alter(_service(message), message) if self.alter else _altered(message, fault))
        await writer.drain()
        return True


def _altered(message: Message, fault: FaultKind | None) -> bytes:
    if fault is FaultKind.GARBAGE:
        return random.Random(len(message.whole)).randbytes(64)  # noqa: S311  (seeded noise)
    if fault is FaultKind.WRONG_SEQUENCE:
        return message.with_head(request=1000)
    if fault is FaultKind.WRONG_UNIT:
        return message.with_head(channel=1)
    if fault is FaultKind.REFUSE:
        return message.with_body(_refusal(message))
    if fault in (FaultKind.SHORT, FaultKind.LONG):
        return message.with_body(_miscounted(message, longer=fault is FaultKind.LONG))
    return message.whole


def _refusal(message: Message) -> bytes:
    answer = _decoded(message)
    fault = ua.ServiceFault()
    fault.ResponseHeader.RequestHandle = answer.ResponseHeader.RequestHandle
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadResourceUnavailable)
    body: bytes = ua_binary.struct_to_binary(fault)
    return body


def _miscounted(message: Message, *, longer: bool) -> bytes:
    answer = _decoded(message)
    results = getattr(answer, "Results", None)
    if results:
        answer.Results = [*results, results[-1]] if longer else results[:-1]
    body: bytes = ua_binary.struct_to_binary(answer)
    return body


def _decoded(message: Message) -> "ua.ReadResponse":
    return ua_binary.struct_from_binary(getattr(ua, _service(message)), ua.utils.Buffer(message.body))


async def _message(reader: asyncio.StreamReader) -> Message | None:
    """The next message with all its chunks; None at the end of the stream."""
    chunks = []
    while True:
        try:
            head = await reader.readexactly(_HEADER.size)
            size = _HEADER.unpack(head)[2]
            chunks.append(head + await reader.readexactly(size - _HEADER.size))
        except (asyncio.IncompleteReadError, OSError):
            return None
        if head[3:4] != b"C":
            return Message(chunks)


def _service(message: Message) -> str:
    """The service's name, where the message is one and can be read."""
    if not message.is_service:
        return message.chunks[0][:3].decode("latin-1")
    return _NAMES.get(_encoding_id(message.body), "")


def _encoding_id(body: bytes) -> int:
    # a four-byte NodeId in namespace 0 (OPC 10000-6, 5.2.2.9), as every service has
    return int(struct.unpack_from("<H", body, 2)[0]) if body[:2] == b"\x01\x00" else 0


def _carries_data(message: Message) -> bool:
    if not message.is_service:
        return False
    name = _service(message)
    return not name or name.removesuffix("Response") in _SERVICES


_NAMES = {
    getattr(ua.ObjectIds, name): name.removesuffix("_Encoding_DefaultBinary")
    for name in dir(ua.ObjectIds)
    if name.endswith(("Request_Encoding_DefaultBinary", "Response_Encoding_DefaultBinary"))
}
