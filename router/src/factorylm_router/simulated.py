"""A provider that exists only on this machine: scripted answers, prices, latency and faults, real sockets.

`factorylm-router serve --simulate` stands in front of one; tests and benchmarks check the ledger against
its books."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from factorylm_router.money import Price, Usage, table_cost_micro
from factorylm_router.wire.chat import estimated_tokens, last_user_text
from factorylm_router.wire.messages_in import chat_from_messages
from factorylm_router.wire.sse import DONE, data_event, named_event

_SUM = re.compile(r"(\d+(?:\.\d+)?)\s*([+*])\s*(\d+(?:\.\d+)?)")
FAULTS = (
    "500", "503", "429", "429-after", "stall", "close", "cut", "garbage", "html", "bad-json",
    "no-usage", "zero-cost",
    "error-in-stream", "stall-in-stream", "no-done", "redirect", "error-200", "400",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a scripted model answers: text, tool calls as (name, arguments) or both."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = ""
    pieces: int = 0  # cut into so many stream chunks; 0: by words


@dataclass(slots=True, kw_only=True)
class ScriptedModel:
    answer: Callable[[dict[str, Any]], Said]
    price: Price | None = None
    bills: bool = False  # says its cost in usage.cost, as OpenRouter does
    latency_s: float = 0.0
    between_s: float = 0.0
    faults: Iterator[str] | None = None  # the next call's fault, "" for none


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the provider's own books."""

    attempt_id: str
    model: str
    micro: int
    whole: bool


@dataclass(slots=True)
class SimulatedProvider:
    models: dict[str, ScriptedModel]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    books: list[Charge] = field(default_factory=list)
    redirect_to: str = ""
    keeps_requests: bool = True
    one_id_for_all: bool = False
    open_streams: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _number: int = 0

    @asynccontextmanager
    async def running(self, port: int = 0, ssl_context: Any = None) -> AsyncIterator[str]:
        """The base URL, as a configuration wants it."""
        app = web.Application(client_max_size=256 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/embeddings", self._embeddings)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context, backlog=4096)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield f"http{'s' if ssl_context else ''}://127.0.0.1:{self.port}/v1"
        finally:
            self.release.set()
            await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        return await self._answered(request, body, body, messages=False)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        return await self._answered(request, body, chat_from_messages(body), messages=True)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self._saw(request, body)
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        used = Usage(in_tokens=sum(estimated_tokens(len(str(text))) for text in texts))
        self.charge(request, self.models[body["model"]], body["model"], used, whole=True)
        data = [{"object": "embedding", "index": n, "embedding": [float(len(t)), 0.5]} for n, t in enumerate(texts)]
        usage = {"prompt_tokens": used.in_tokens, "total_tokens": used.in_tokens}
        return _json({"object": "list", "model": body["model"], "data": data, "usage": usage})

    def _saw(self, request: web.Request, body: dict[str, Any]) -> None:
        if self.keeps_requests:
            self.requests.append(body)
            self.headers.append(dict(request.headers))

    async def _answered(
        self, request: web.Request, body: dict[str, Any], chat: dict[str, Any], *, messages: bool
    ) -> web.StreamResponse:
        self._saw(request, body)
        model = self.models.get(body["model"])
        if model is None:
            return _json({"error": {"message": f"no model {body['model']}", "code": "model_not_found"}}, 404)
        fault = next(model.faults, "") if model.faults else ""
        early = await self._failed_early(request, fault)
        if early is not None:
            return early
        if model.latency_s:
            await asyncio.sleep(model.latency_s)
        self._number += 1
        talk = Talk(
            self,
            request,
            model,
            body["model"],
            model.answer(chat),
            chat,
            fault,
            "sim-same" if self.one_id_for_all else f"sim-{self._number}",
            messages,
        )
        return await (talk.streamed() if body.get("stream") else talk.whole())

    async def _failed_early(self, request: web.Request, fault: str) -> web.StreamResponse | None:
        error = {"error": {"message": f"scripted {fault}", "type": "server_error", "code": None}}
        match fault:
            case "500" | "503" | "400" | "429":
                return _json(error, int(fault))
            case "429-after":
                return _json(error, 429, {"Retry-After": "0.01"})
            case "redirect":
                return web.Response(status=307, headers={"Location": self.redirect_to})
            case "html":
                return web.Response(
                    text="<html>Bad gateway at /srv/models/secret.gguf</html>", content_type="text/html"
                )
            case "error-200":
                return _json(error)
            case "stall":
                await self.release.wait()
            case "close":
                assert request.transport is not None
                request.transport.abort()
        return None

    def charge(self, request: web.Request, model: ScriptedModel, name: str, used: Usage, *, whole: bool) -> int:
        micro = table_cost_micro(used, model.price) if model.price else 0
        self.books.append(Charge(request.headers.get("X-Request-Id", ""), name, micro, whole))
        return micro


@dataclass(slots=True)
class Talk:
    """One answer under way."""

    provider: SimulatedProvider
    request: web.Request
    model: ScriptedModel
    name: str
    said: Said
    chat: dict[str, Any]
    fault: str
    id: str
    messages: bool

    def used(self, text_chars: int | None = None) -> Usage:
        chars_in = len(orjson.dumps(self.chat["messages"]))
        whole = len(self.said.text) + sum(len(name) + len(args) for name, args in self.said.calls)
        return Usage(
            in_tokens=estimated_tokens(chars_in),
            out_tokens=estimated_tokens(whole if text_chars is None else text_chars),
        )

    def usage(self, micro: int) -> dict[str, Any]:
        used = self.used()
        told: dict[str, Any] = {"prompt_tokens": used.in_tokens, "completion_tokens": used.out_tokens}
        told["total_tokens"] = used.in_tokens + used.out_tokens
        if self.model.bills:
            told["cost"] = 0 if self.fault == "zero-cost" else micro / 1e6
        return told

    def _call_id(self, number: int) -> str:
        return "call_same" if self.provider.one_id_for_all else f"call_{self.id}_{number}"

    def finish(self) -> str:
        return self.said.finish or ("tool_calls" if self.said.calls else "stop")

    async def whole(self) -> web.StreamResponse:
        if self.fault == "garbage":
            return web.Response(body=b"\x00\xff not json", content_type="application/json")
        micro = self.provider.charge(self.request, self.model, self.name, self.used(), whole=True)
        if self.fault == "cut":
            return await self._cut()
        if self.messages:
            return _json(self._message())
        message: dict[str, Any] = {"role": "assistant", "content": self.said.text or None}
        if self.said.calls:
            message["tool_calls"] = [
                {
                    "id": self._call_id(n),
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for n, (name, arguments) in enumerate(self.said.calls)
            ]
        answer: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion",
            "created": 1,
            "model": self.name,
        }
        answer["choices"] = [{"index": 0, "message": message, "finish_reason": self.finish()}]
        if self.fault != "no-usage":
            answer["usage"] = self.usage(micro)
        return _json(answer)

    def _message(self) -> dict[str, Any]:
        used = self.used()
        blocks: list[dict[str, Any]] = [{"type": "text", "text": self.said.text}] if self.said.text else []
        for number, (name, arguments) in enumerate(self.said.calls):
            block = {
                "type": "tool_use",
                "id": f"toolu_{number}",
                "name": name,
                "input": orjson.loads(arguments),
            }
            blocks.append(block)
        return {
            "id": self.id, "type": "message", "role": "assistant", "model": self.name, "content": blocks,
            "stop_reason": "tool_use" if self.said.calls else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": used.in_tokens, "output_tokens": used.out_tokens},
        }  # fmt: skip

    async def _cut(self) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5000", "Content-Type": "application/json"})
        await response.prepare(self.request)
        await response.write(b'{"id": "half')
        assert self.request.transport is not None
        self.request.transport.abort()
        return response

    async def streamed(self) -> web.StreamResponse:
        self.provider.open_streams += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        sent_chars, ended = 0, False
        try:
            await response.prepare(self.request)
            for event, chars in self._message_events() if self.messages else self._chat_events():
                if self.model.between_s:
                    await asyncio.sleep(self.model.between_s)
                if self.fault and await self._faulty(response, sent_chars):
                    return response
                await response.write(event)
                sent_chars += chars
            ended = True
            await response.write_eof()
        finally:
            self.provider.open_streams -= 1
            used = self.used() if ended else self.used(sent_chars)
            self.provider.charge(self.request, self.model, self.name, used, whole=ended)
            if not ended:
                self.provider.gone.set()
        return response

    async def _faulty(self, response: web.StreamResponse, sent_chars: int) -> bool:
        if not sent_chars:
            return False
        transport = self.request.transport
        if self.fault == "cut" and transport is not None:
            transport.abort()
            return True
        if self.fault == "bad-json":
            await response.write(b'data: {"choices": [{"delta": \n\n')
        elif self.fault == "garbage":
            await response.write(b"\x00\xfe\xff\n\ndata: [1, 2]\n\n")
        elif self.fault == "error-in-stream":
            await response.write(data_event({"error": {"message": "scripted", "type": "server_error"}}))
        elif self.fault == "stall-in-stream":
            await self.provider.release.wait()
        else:
            return False
        return True

    def _pieces(self) -> list[str]:
        text = self.said.text
        if self.said.pieces:
            size = max(1, -(-len(text) // self.said.pieces))
            return [text[start : start + size] for start in range(0, len(text), size)]
        return [word + " " for word in text.split(" ")[:-1]] + [text.split(" ")[-1]] if text else []

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.name}
        return data_event({**head, "choices": [choice]})

    def _chat_events(self) -> Iterator[tuple[bytes, int]]:
        yield self._chunk({"role": "assistant", "content": ""}), 0
        for piece in self._pieces():
            yield self._chunk({"content": piece}), len(piece)
        for number, (name, arguments) in enumerate(self.said.calls):
            call = {"index": number, "id": self._call_id(number), "type": "function"}
            yield (
                self._chunk({"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}),
                len(name),
            )
            for start in range(0, len(arguments), 7):
                piece = arguments[start : start + 7]
                yield (
                    self._chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}),
                    len(piece),
                )
        yield self._chunk({}, self.finish()), 0
        asked = (self.chat.get("stream_options") or {}).get("include_usage")
        if asked and self.fault != "no-usage":
            micro = table_cost_micro(self.used(), self.model.price) if self.model.price else 0
            head = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.name}
            yield data_event({**head, "choices": [], "usage": self.usage(micro)}), 0
        if self.fault != "no-done":
            yield DONE, 0

    def _message_events(self) -> Iterator[tuple[bytes, int]]:
        start = {**self._message(), "content": [], "stop_reason": None}
        start["usage"] = {"input_tokens": self.used().in_tokens, "output_tokens": 1}
        yield _named("message_start", message=start), 0
        blocks = ([("text", self.said.text)] if self.said.text else []) + list(self.said.calls)
        for number, (kind, content) in enumerate(blocks):
            is_text = number == 0 and bool(self.said.text)
            block = (
                {"type": "text", "text": ""}
                if is_text
                else {"type": "tool_use", "id": f"toolu_{number}", "name": kind, "input": {}}
            )
            yield _named("content_block_start", index=number, content_block=block), 0
            for piece in self._pieces() if is_text else [content]:
                delta = (
                    {"type": "text_delta", "text": piece}
                    if is_text
                    else {"type": "input_json_delta", "partial_json": piece}
                )
                yield _named("content_block_delta", index=number, delta=delta), len(piece)
            yield _named("content_block_stop", index=number), 0
        stop = {"stop_reason": "tool_use" if self.said.calls else "end_turn", "stop_sequence": None}
        yield _named("message_delta", delta=stop, usage={"output_tokens": self.used().out_tokens}), 0
        yield _named("message_stop"), 0


def _named(name: str, **told: Any) -> bytes:
    return named_event(name, {"type": name, **told})


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=headers)


def echo(chat: dict[str, Any]) -> Said:
    return Said(text=f"You said: {last_user_text(chat)}")


def calculating(chat: dict[str, Any]) -> Said:
    """Knows how to multiply and add two numbers, and says so when that is not what was asked."""
    found = _SUM.search(last_user_text(chat))
    if found is None:
        return Said(text=f"I am a scripted model. You said: {last_user_text(chat)[:200]}")
    first, sign, second = float(found[1]), found[2], float(found[3])
    value = first + second if sign == "+" else first * second
    return Said(text=f"{first:g} {sign} {second:g} = {value:g}. The answer is {value:g}.")


@asynccontextmanager
async def simulation(answer: Callable[[dict[str, Any]], Said]) -> AsyncIterator[tuple[str, str]]:
    """A provider outside with a small and a big model, and one on site with a tiny one."""
    outside = SimulatedProvider({"small-one": ScriptedModel(answer=answer), "big-one": ScriptedModel(answer=answer)})
    site = SimulatedProvider({"tiny-local": ScriptedModel(answer=answer)})
    outside.keeps_requests = site.keeps_requests = False
    async with outside.running() as first, site.running() as second:
        yield first, second
