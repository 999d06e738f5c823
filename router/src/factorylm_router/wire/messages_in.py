"""A client speaks Anthropic's messages, the model speaks chat: the way there and back."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from factorylm_router.errors import BadRequestError
from factorylm_router.money import Usage
from factorylm_router.wire.sse import named_event

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
SAME_NAME = ("model", "max_tokens", "temperature", "top_p", "stream")


def judge_messages_request(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequestError("'model' must name a model", hint="GET /v1/models lists them")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequestError("'messages' must be a list with at least one message")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise BadRequestError("'max_tokens' must be a whole number above 0")
    for number, message in enumerate(body["messages"]):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise BadRequestError(f"messages[{number}] must be an object with role 'user' or 'assistant'")


def chat_from_messages(body: Mapping[str, Any]) -> dict[str, Any]:
    chat: dict[str, Any] = {name: body[name] for name in SAME_NAME if name in body}
    chat["messages"] = [
        *_system(body.get("system")),
        *(m for item in body["messages"] for m in _messages(item)),
    ]
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in body["tools"]]
    _choose_tools(body.get("tool_choice"), chat)
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    if schema:
        chat["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }
    return chat


def _system(system: Any) -> list[dict[str, Any]]:
    if not system:
        return []
    text = system if isinstance(system, str) else "\n\n".join(block.get("text", "") for block in system)
    return [{"role": "system", "content": text}]


def _messages(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    if message["role"] == "assistant":
        yield _assistant(blocks)
        return
    # Tool results first: chat wants them right behind the calls they answer.
    for block in blocks:
        if block.get("type") == "tool_result":
            yield {
                "role": "tool",
                "tool_call_id": block.get("tool_use_id", ""),
                "content": _result_text(block),
            }
    parts = [part for block in blocks if (part := _part(block))]
    if parts:
        plain = all(part["type"] == "text" for part in parts) and len(parts) == 1
        yield {"role": message["role"], "content": parts[0]["text"] if plain else parts}


def _assistant(blocks: list[Any]) -> dict[str, Any]:
    text = "".join(block.get("text", "") for block in blocks if block.get("type") == "text")
    calls = [
        {
            "id": block.get("id", ""),
            "type": "function",
            "function": {
                "name": block.get("name", ""),
                "arguments": orjson.dumps(block.get("input") or {}).decode(),
            },
        }
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    told: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        told["tool_calls"] = calls
    elif not text:
        told["content"] = ""
    return told


def _result_text(block: Mapping[str, Any]) -> str:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content if part.get("type") == "text")


def _part(block: Mapping[str, Any]) -> dict[str, Any] | None:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": block.get("text", "")}
    if kind == "image":
        source = block.get("source") or {}
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if kind in ("tool_result", "thinking", "redacted_thinking"):
        return None
    raise BadRequestError(f"content of type {kind!r} has no place in this model's dialect", hint="use text or image")


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if "input_schema" not in tool:
        raise BadRequestError(f"tool {tool.get('name')!r} runs at Anthropic and this model is not theirs")
    function = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _choose_tools(choice: Any, chat: dict[str, Any]) -> None:
    if not isinstance(choice, dict):
        return
    if choice.get("type") == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    else:
        chat["tool_choice"] = {"any": "required"}.get(str(choice.get("type")), choice.get("type"))
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False


def usage_for_messages(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.in_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "output_tokens": usage.out_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def message_from_chat(answer: Mapping[str, Any], usage: Usage) -> dict[str, Any]:
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    blocks: list[dict[str, Any]] = []
    if message.get("content"):
        blocks.append({"type": "text", "text": message["content"]})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        arguments = orjson.loads(function.get("arguments") or "{}")
        blocks.append({"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": arguments})
    return {
        "id": answer.get("id") or "msg_local",
        "type": "message",
        "role": "assistant",
        "model": answer.get("model"),
        "content": blocks,
        "stop_reason": STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn"),
        "stop_sequence": None,
        "usage": usage_for_messages(usage),
    }


class MessagesEncoder:
    """Chat chunks in, messages events out. One block is open at a time, as the dialect demands."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._started = False
        self._block = -1
        self._open: str | int | None = None  # "text", or the index of a tool call
        self._stop = "end_turn"

    def encode(self, chunk: Mapping[str, Any]) -> bytes:
        out = b"" if self._started else self._start(chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("content"):
                out += self._text(delta["content"])
            for call in delta.get("tool_calls") or ():
                out += self._call(call)
            if choice.get("finish_reason"):
                self._stop = STOP_REASONS.get(choice["finish_reason"], "end_turn")
        return out

    def _start(self, chunk: Mapping[str, Any]) -> bytes:
        self._started = True
        message: dict[str, Any] = {
            "id": chunk.get("id") or "msg_local",
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return named_event("message_start", {"type": "message_start", "message": message})

    def _text(self, text: str) -> bytes:
        out = self._opened("text", {"type": "text", "text": ""})
        return out + self._delta({"type": "text_delta", "text": text})

    def _call(self, call: Mapping[str, Any]) -> bytes:
        function = call.get("function") or {}
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": call.get("id"),
            "name": function.get("name"),
            "input": {},
        }
        out = self._opened(int(call.get("index") or 0), block)
        if function.get("arguments"):
            out += self._delta({"type": "input_json_delta", "partial_json": function["arguments"]})
        return out

    def _opened(self, which: str | int, block: dict[str, Any]) -> bytes:
        if self._open == which:
            return b""
        out = self._closed()
        self._open = which
        self._block += 1
        event = {"type": "content_block_start", "index": self._block, "content_block": block}
        return out + named_event("content_block_start", event)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        event = {"type": "content_block_delta", "index": self._block, "delta": delta}
        return named_event("content_block_delta", event)

    def _closed(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return named_event("content_block_stop", {"type": "content_block_stop", "index": self._block})

    def finish(self, usage: Usage) -> bytes:
        out = (b"" if self._started else self._start({})) + self._closed()
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        event = {"type": "message_delta", "delta": delta, "usage": usage_for_messages(usage)}
        return out + named_event("message_delta", event) + named_event("message_stop", {"type": "message_stop"})

    def fail(self, kind: str, message: str, code: str) -> bytes:
        return named_event("error", {"type": "error", "error": {"type": kind, "message": message, "code": code}})
