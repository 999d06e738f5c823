"""One connection to a device: questions go out, checked answers come back, and a doubt ends it.

Answers are handled where the bytes arrive, and the next question leaves from there: one wake-up of the event
loop a question instead of one of the waiting task, which is most of what an asyncio round trip costs.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from factorylm_schema import BadReplyError, DeviceError, DeviceTimeoutError, NotConnectedError

from factorylm_modbus.framing import Frame, Framing
from factorylm_modbus.pdu import Answer, Request, answer_of


@dataclass(kw_only=True)
class Batch:
    """Questions, and the answers so far (None: none yet); survives the connection that it was asked on."""

    requests: Sequence[Request]
    answers: list[Answer | None] = field(init=False)
    suspects: list[int] = field(default_factory=list)  # unanswered when a connection was given up, latest last

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.requests)

    def open(self) -> list[int]:
        """The questions still to be asked; those that a connection was lost with come last."""
        unanswered = [i for i, answer in enumerate(self.answers) if answer is None]
        return sorted(unanswered, key=self.suspects.__contains__)


class Line(asyncio.Protocol):
    """A connection with at most `depth` unanswered questions and `pause_s` of silence between two."""

    def __init__(self, framing: Framing, *, depth: int = 1, pause_s: float = 0.0) -> None:
        self.lost = False
        self._framing = framing
        self._depth = depth if framing.numbered else 1
        self._pause_s = pause_s
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, int] = {}
        self._batch: Batch | None = None
        self._queue: Iterator[int] = iter(())
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sender: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._moved = self._quiet_until = self._loop.time()
        self._patience_s = self._deadline = 0.0
        self._left = 0
        self._skips = False

    async def ask(
        self,
        batch: Batch,
        which: Sequence[int],
        *,
        patience_s: float,
        deadline: float,
        skip_strangers: bool = False,
    ) -> None:
        """Ask the questions `which` of `batch`; returns when each has its answer in `batch`.

        Raises when one stays unanswered for `patience_s`, at `deadline` (loop time), or when an answer fits no
        question (`skip_strangers`: such an answer is dropped instead). The line is lost then.
        """
        if self.lost or self._transport is None:
            raise NotConnectedError("the connection was lost")
        self._batch, self._queue, self._left = batch, iter(which), len(which)
        self._patience_s, self._deadline, self._skips = patience_s, deadline, skip_strangers
        self._done = self._loop.create_future()
        self._moved = self._loop.time()
        self._timer = self._loop.call_at(min(self._moved + patience_s, deadline), self._watch)
        self._send_when_quiet()
        try:
            await self._done
        except asyncio.CancelledError:
            self.drop()
            raise
        finally:
            self._rest()

    def drop(self) -> None:
        """End the connection at once."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    # -- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # pymodbus' serial transport and asyncio's own are both full transports
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        why = f": {exc}" if exc else ""
        self._fail(
            NotConnectedError(
                f"the device closed the connection before it had answered{why}",
                hint="Some devices close when they have too many connections, or when a question is not theirs",
            )
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._done is None or self._done.done():
            self._unasked()
            return
        try:
            while self._left and (frame := self._next_frame()):
                self._take(frame)
        except BadReplyError as error:
            self._fail(error)
            return
        if self._pause_s:
            self._quiet_until = self._loop.time() + self._pause_s
        if self._left:
            self._send_when_quiet()
        else:
            self._done.set_result(None)

    # -- asking and answering -----------------------------------------------------------------

    def _send_when_quiet(self) -> None:
        wait_s = self._quiet_until - self._loop.time() if self._pause_s else 0.0
        if wait_s <= 0:
            self._send()
        elif self._sender is None:
            self._sender = self._loop.call_later(wait_s, self._send)

    def _send(self) -> None:
        """Fill the line up to its depth."""
        self._sender = None
        assert self._batch is not None
        assert self._transport is not None
        frames = b""
        while len(self._asked) < self._depth and (index := next(self._queue, None)) is not None:
            number, frame = self._framing.wrap(self._batch.requests[index])
            self._asked[number] = index
            frames += frame
        if frames:
            self._moved = self._loop.time()
            self._transport.write(frames)

    def _next_frame(self) -> Frame | None:
        try:
            return self._framing.unwrap(self._buffer)
        except BadReplyError:
            if not self._skips:
                raise
            self._buffer.clear()
            return None

    def _take(self, frame: Frame) -> None:
        """Give one answer to its question."""
        try:
            index, answer = self._matched(frame)
        except BadReplyError:
            if not self._skips:
                raise
            return
        assert self._batch is not None
        self._batch.answers[index] = answer
        del self._asked[frame.number]
        self._left -= 1
        self._moved = self._loop.time()

    def _matched(self, frame: Frame) -> tuple[int, Answer]:
        """Which question this answers; BadReplyError where there is none that it fits."""
        assert self._batch is not None
        index = self._asked.get(frame.number)
        if index is None:
            raise _stray("it carries the number of no open question", frame)
        request = self._batch.requests[index]
        if frame.unit != request.unit:
            raise _stray(f"unit {request.unit} was asked, unit {frame.unit} answered", frame)
        return index, answer_of(request, frame.pdu)

    def _unasked(self) -> None:
        """Bytes that nobody asked for: noise on a serial line, the end of trust in a numbered one."""
        self._buffer.clear()
        if self._framing.numbered:
            self.drop()

    # -- the end of patience ------------------------------------------------------------------

    def _watch(self) -> None:
        now = self._loop.time()
        due = self._moved + self._patience_s if self._asked else now + self._patience_s
        if now >= self._deadline - 0.001 or now >= due - 0.001:
            self._fail(self._overdue(now))
        else:
            self._timer = self._loop.call_at(min(due, self._deadline), self._watch)

    def _overdue(self, now: float) -> DeviceError:
        waited_s = now - self._moved
        if self._buffer:
            return BadReplyError(
                f"an answer broke off after {len(self._buffer)} bytes: {bytes(self._buffer[:12]).hex(' ')}",
                hint="Nothing of it was used; check the line, or raise reply_timeout_s for a slow device",
            )
        if waited_s < self._patience_s - 0.001:
            return DeviceTimeoutError(
                "the time for this call was used up before every question was answered",
                hint="Ask for fewer tags at once, or raise the device's timeout_s",
            )
        together = len(self._asked)
        if together > 1:
            return DeviceTimeoutError(
                f"no answer within {waited_s:.2g} s to {together} questions asked together",
                hint="Many devices answer only one question at a time: set max_in_flight = 1",
            )
        return DeviceTimeoutError(
            f"no answer within {waited_s:.2g} s",
            hint="Check the unit id and that the device is on; diagnose shows how far the connection gets",
        )

    def _fail(self, error: DeviceError) -> None:
        self.drop()
        if self._done is not None and not self._done.done():
            assert self._batch is not None
            self._batch.suspects.extend(self._asked.values())
            self._done.set_exception(error)

    def _rest(self) -> None:
        for handle in (self._timer, self._sender):
            if handle is not None:
                handle.cancel()
        self._timer = self._sender = self._batch = self._done = None
        self._queue = iter(())
        self._asked.clear()
        if self._buffer:
            self._unasked()


def _stray(why: str, frame: Frame) -> BadReplyError:
    return BadReplyError(
        f"an answer fits no question: {why} ({frame.pdu[:8].hex(' ')})",
        hint="Nothing of it was used. If this repeats, two masters may share the line, or a gateway mixes answers",
    )
