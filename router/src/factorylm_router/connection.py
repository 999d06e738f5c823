"""One HTTP/1.1 connection to a provider, which carries one request at a time.

llhttp reads the answers. What stands around it is here, because the general clients cost more CPU than the rest of
the router together (decisions/router-http-stack.md)."""

import asyncio
import zlib
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from factorylm_router.resilience import FailedAttempt, Trouble

PIECE_BYTES = 128 * 1024  # a large request goes out in pieces, so that the loop goes on
HIGH_WATER_BYTES = 256 * 1024  # a client that reads slowly makes us read slowly
MAX_HEAD_BYTES = 64 * 1024
IDLE_S = 15.0  # shorter than the usual keep-alive of servers, so that they rarely close on a request


class Inflater(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class Connection(asyncio.Protocol):
    """`send` a request, look at `status`, then take `piece` after `piece`; or reuse or close it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, provider: str, stall_s: float, total_s: float) -> None:
        self._loop, self._provider = loop, provider
        self._stall_s, self._total_s = stall_s, total_s
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._writes_wait = self._reads_wait = False
        self._is_busy = False
        self._heard_at = loop.time()
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.is_complete = False
        self._keeps = False
        self._head_bytes = 0
        self._inflater: Inflater | None = None
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._failure: FailedAttempt | None = None

    # -- for the provider ---------------------------------------------------------------------

    @property
    def is_reusable(self) -> bool:
        return self._transport is not None and self.is_complete and self._keeps and not self._pieces

    async def send(self, head: bytes, body: bytes) -> None:
        """Send the request and wait for the head of the answer."""
        assert self._transport is not None
        if self.status:
            self._begin()
        self._is_busy = True
        self._heard_at = self._started_at = now = self._loop.time()
        self._watch(now + min(self._stall_s, self._total_s))
        if len(body) <= PIECE_BYTES:
            self._transport.write(head + body)
        else:
            await self._send_pieces(head, body)
        while not self.status:
            if self._failure is not None:
                raise self._failure
            await self._news()

    async def _send_pieces(self, head: bytes, body: bytes) -> None:
        rest = memoryview(body)
        self._transport_write(head)
        while len(rest) and not self._has_answered():
            self._transport_write(rest[:PIECE_BYTES])
            rest = rest[PIECE_BYTES:]
            while self._writes_wait and not self._has_answered():
                await self._news()
            self._heard_at = self._loop.time()
        if len(rest):  # the answer came before the request was whole: what follows on this wire is not ours
            self._keeps = False

    def _has_answered(self) -> bool:
        return self.status > 0 or self._failure is not None

    def _transport_write(self, data: bytes | memoryview) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def piece(self) -> bytes:
        """What has come since the last one; b"" at the end. What came before a failure is told before it."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self.is_complete:
                return b""
            await self._news()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        if self._reads_wait and self._transport is not None:
            self._reads_wait = False
            self._transport.resume_reading()
        return data

    async def whole(self, limit_bytes: int) -> bytes:
        """The answer to its end. One that is larger than the limit is cut off there."""
        first = await self.piece()
        if self.is_complete and not self._pieces:
            return first
        parts, size = [first], len(first)
        while size <= limit_bytes and (data := await self.piece()):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def rest(self) -> None:
        """The answer is whole: wait for the next request."""
        self._is_busy = False
        self._heard_at = self._loop.time()
        self._watch(self._heard_at + IDLE_S)

    def close(self) -> None:
        """The only way to tell a provider to stop."""
        self._is_busy = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, trouble: Trouble, message: str) -> None:
        if self._failure is None and not self.is_complete:
            self._failure = FailedAttempt(trouble=trouble, message=message)
        self._wake()

    # -- time: one timer a connection, moved only when it would come too late -------------------

    def _watch(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._reads_wait:  # it is our client who is slow
            self._heard_at = now
        if not self._is_busy:
            due = self._heard_at + IDLE_S
        else:
            due = min(self._heard_at + self._stall_s, self._started_at + self._total_s)
        if now < due:
            self._watch(due)
        elif self._is_busy:
            self._fail(Trouble.TIMEOUT, f"{self._provider} did not answer in time")
        else:
            self.close()

    # -- what the transport tells ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has its methods, not its class

    def data_received(self, data: bytes) -> None:
        if not self._is_busy:
            self.close()  # nobody asked for this
            return
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._keeps = False
            self._fail(Trouble.GARBAGE, f"{self._provider} answered with something that is not HTTP")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if not self._is_busy:
            self.close()
        elif self.status and error is None and self._ends_by_closing():
            self.is_complete = True
            self._wake()
        elif self.status:
            self._fail(Trouble.CUT, f"the answer of {self._provider} broke off")
        else:
            self._fail(Trouble.LOST, f"the connection to {self._provider} was lost")

    def _ends_by_closing(self) -> bool:
        return b"content-length" not in self.headers and b"transfer-encoding" not in self.headers

    def pause_writing(self) -> None:
        self._writes_wait = True

    def resume_writing(self) -> None:
        self._writes_wait = False
        self._wake()

    # -- what the parser tells ------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise ValueError("a second answer to one request")  # the parser stops here and says so

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(Trouble.GARBAGE, f"the head of the answer of {self._provider} is too large")
        elif not self.status:  # after the head come trailers, which nobody needs
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()  # 100 and 103 come before the answer
            return
        self._keeps = self._parser.should_keep_alive()
        encoding = self.headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding in (b"gzip", b"deflate"):
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif encoding != b"identity":
            self._fail(Trouble.GARBAGE, f"{self._provider} answered in an encoding that nobody asked for")
        self.status = status
        self._wake()

    def on_body(self, data: bytes) -> None:
        if self._failure is not None:
            return
        if self._inflater is not None:
            try:
                data = self._inflater.decompress(data)
            except zlib.error:
                self._fail(Trouble.GARBAGE, f"the answer of {self._provider} cannot be unpacked")
                return
        if not data:
            return
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HIGH_WATER_BYTES and not self._reads_wait and self._transport is not None:
            self._reads_wait = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.status and self._failure is None:
            self.is_complete = True
            self._wake()
