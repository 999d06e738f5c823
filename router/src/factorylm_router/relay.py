"""A stream on its way from provider to client: watched, repaired, translated, always properly ended."""

from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from factorylm_router.attempt import Job
from factorylm_router.connection import Connection
from factorylm_router.money import Price, Usage
from factorylm_router.redact import StreamRestorer
from factorylm_router.resilience import FailedAttempt, Trouble
from factorylm_router.wire.chat import Tally, is_usage_only, usage_dict
from factorylm_router.wire.lines import CallMerger, Line
from factorylm_router.wire.messages_in import MessagesEncoder
from factorylm_router.wire.messages_out import MessagesDecoder, MessagesTally
from factorylm_router.wire.responses import ResponsesEncoder, usage_of_response
from factorylm_router.wire.sse import DONE, BrokenStreamError, EventReader, data_event, data_of, parsed


class Encoder(Protocol):
    def encode(self, chunk: dict[str, Any]) -> bytes: ...

    def finish(self, usage: Usage) -> bytes: ...

    def fail(self, kind: str, message: str, code: str) -> bytes: ...


class ChatEncoder:
    """Chunks for a client that speaks chat itself."""

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._head: dict[str, Any] = {}
        self._told_usage = False

    def encode(self, chunk: dict[str, Any]) -> bytes:
        return data_event(chunk) if self.lets_through(chunk) else b""

    def lets_through(self, chunk: dict[str, Any]) -> bool:
        """A client that did not ask for the usage chunk stumbles over its empty choices."""
        if not self._head:
            self._head = {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        if chunk.get("usage") is None:
            return True
        self._told_usage = True
        return self._wants_usage or not is_usage_only(chunk)

    def finish(self, usage: Usage) -> bytes:
        if self._told_usage or not self._wants_usage:
            return DONE
        last = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage_dict(usage)}
        return data_event(last) + DONE

    def fail(self, kind: str, message: str, code: str) -> bytes:
        # Clients take a stream that just ends for a whole answer; an error object they raise (openai 3.51).
        return data_event({"error": {"message": message, "type": kind, "code": code}})


class Pace:
    """Events one by one: what was good before a broken one still reaches the client, then the trouble is
    raised."""

    def __init__(self) -> None:
        self.trouble: FailedAttempt | None = None

    def told(self, reader: EventReader, chunk: bytes, event: Callable[[bytes], bytes]) -> bytes:
        self.judge()
        out: list[bytes] = []
        try:
            for found in reader.feed(chunk):
                out.append(event(found))  # noqa: PERF401 -- what came before an error is kept
        except BrokenStreamError as error:
            self.trouble = FailedAttempt(trouble=Trouble.GARBAGE, message=str(error))
        except FailedAttempt as failure:
            self.trouble = failure
        told = b"".join(out)
        if not told:
            self.judge()
        return told

    def ended(self, reader: EventReader, event: Callable[[bytes], bytes], is_complete: Callable[[], bool]) -> bytes:
        """What stood after the last blank line; raises if the provider did not finish."""
        self.judge()
        rest = reader.rest()
        try:
            out = event(rest) if rest else b""
        except BrokenStreamError as error:
            raise FailedAttempt(trouble=Trouble.CUT, message="the provider's stream broke off") from error
        if not is_complete():
            raise FailedAttempt(
                trouble=Trouble.CUT, message="the provider's stream ended without saying that it is done"
            )
        return out

    def judge(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Relay:
    """Feed it the provider's bytes; it returns the client's."""

    def __init__(self, job: Job, line: Line, *, outside: bool) -> None:
        self.tally = Tally()
        self._reader = EventReader()
        self._pace = Pace()
        self._merger = CallMerger()
        self._decoder = MessagesDecoder() if line.dialect == "messages" else None
        hides = job.redaction is not None and outside
        self._restorer = StreamRestorer(job.redaction) if hides and job.redaction else None
        self._encoder = _encoder(job)
        self._passes_plain_text = not hides and isinstance(self._encoder, ChatEncoder)

    def feed(self, chunk: bytes) -> bytes:
        return self._pace.told(self._reader, chunk, self._event)

    def _event(self, event: bytes) -> bytes:
        if self.tally.done or not event:
            return b""  # some servers go on talking after [DONE]
        data = data_of(event)
        if not data:
            return event + b"\n\n" if event.startswith(b":") else b""
        if data == b"[DONE]":
            self.tally.done = True
            return b""
        if self._decoder is None:
            chunk = parsed(data)
            if self._passes_plain_text and self.tally.see_plain_text(chunk):
                return event + b"\n\n"
            return self._chunk(chunk, event)
        return b"".join([self._chunk(chunk, None) for chunk in self._decoder.decode(data)])

    def _chunk(self, chunk: dict[str, Any], raw: bytes | None) -> bytes:
        self.tally.see_chunk(chunk)
        if self.tally.error is not None:
            raise FailedAttempt(trouble=Trouble.CUT, message="the provider ended its stream with an error")
        if self.tally.tool_names and self._merger.merge(chunk):
            raw = None
        if self._restorer is not None:
            self._restorer.restore(chunk)
            raw = None
        if raw is not None and isinstance(self._encoder, ChatEncoder):
            return raw + b"\n\n" if self._encoder.lets_through(chunk) else b""
        return self._encoder.encode(chunk)

    def finish(self, usage: Usage) -> bytes:
        return self._encoder.finish(usage)

    def last(self) -> bytes:
        """What the provider said after its last blank line; raises if it did not finish."""
        return self._pace.ended(self._reader, self._event, lambda: self.tally.is_complete)

    def fail(self, kind: str, message: str, code: str) -> bytes:
        return self._encoder.fail(kind, message, code)


def _encoder(job: Job) -> Encoder:
    if job.surface == "messages":
        return MessagesEncoder(str(job.body.get("model")))
    if job.surface == "responses":
        return ResponsesEncoder(str(job.body.get("model")))
    options = job.body.get("stream_options")
    return ChatEncoder(wants_usage=isinstance(options, dict) and options.get("include_usage") is True)


class NativeRelay:
    """Provider and client speak the same dialect, and it is not chat: bytes pass as they are."""

    def __init__(self, job: Job, line: Line) -> None:
        self.tally: Tally = MessagesTally() if line.dialect == "messages" else ResponsesTally()
        self._reader = EventReader()
        self._pace = Pace()
        self._encoder = _encoder(job)

    def feed(self, chunk: bytes) -> bytes:
        return self._pace.told(self._reader, chunk, self._event)

    def _event(self, event: bytes) -> bytes:
        data = data_of(event)
        if data and isinstance(self.tally, MessagesTally | ResponsesTally):
            self.tally.see_event(data)
        return event + b"\n\n" if event else b""

    def last(self) -> bytes:
        return self._pace.ended(self._reader, self._event, lambda: self.tally.done)

    def finish(self, _usage: Usage) -> bytes:
        return b""

    def fail(self, kind: str, message: str, code: str) -> bytes:
        return self._encoder.fail(kind, message, code)


class ResponsesTally(Tally):
    """Watches a responses stream that is passed on as it is."""

    def see_event(self, data: bytes) -> None:
        event = parsed(data)
        kind = str(event.get("type"))
        if kind.endswith(".delta"):
            self.chars += len(str(event.get("delta") or ""))
            self.pieces += 1
        elif kind == "error":
            self.error = event
            self.done = True
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            response = event.get("response") or {}
            self.usage = usage_of_response(response.get("usage"))
            self.id = str(response.get("id") or "")
            self.done = True


def relay_for(job: Job, line: Line, *, outside: bool) -> Relay | NativeRelay:
    hides = job.redaction is not None and outside
    if line.dialect == job.surface and job.surface != "chat" and not hides:
        return NativeRelay(job, line)
    return Relay(job, line, outside=outside)


def cost_so_far_micro(tally: Tally, price: Price, in_tokens: int) -> int:
    """A cheap lower bound while the stream runs; the ledger row at its end is exact."""
    out = max(tally.pieces, tally.chars // 4)
    return price.request_micro + (in_tokens * price.in_nano + out * price.out_nano) // 1000


async def fed(relay: Relay | NativeRelay, connection: Connection) -> AsyncIterator[bytes]:
    """The client's bytes, as they come."""
    while piece := await connection.piece():
        out = relay.feed(piece)
        if out:
            yield out


async def chained(first: bytes | None, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first is not None:
        yield first
        async for piece in rest:
            yield piece
