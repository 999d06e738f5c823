"""A client speaks chat, the model speaks Anthropic's messages: the way there and back."""

from collections.abc import Mapping
from typing import Any

import orjson

from factorylm_router.errors import BadRequestError
from factorylm_router.money import Usage
from factorylm_router.wire.chat import Tally, text_of
from factorylm_router.wire.sse import parsed

DEFAULT_MAX_TOKENS = 4096
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def messages_from_chat(chat: Mapping[str, Any]) -> dict[str, Any]:
    if (chat.get("n") or 1) > 1:
        raise BadRequestError("'n' above 1 is not possible with this model", hint="ask several times")
    limit = chat.get("max_completion_tokens") or chat.get("max_tokens") or DEFAULT_MAX_TOKENS
    body: dict[str, Any] = {"model": chat["model"], "max_tokens": limit, "messages": _turns(chat["messages"])}
    system = [text_of(m.get("content")) for m in chat["messages"] if m["role"] in ("system", "developer")]
    if system:
        body["system"] = "\n\n".join(system)
    for name in ("temperature", "top_p", "stream"):
        if chat.get(name) is not None:
            body[name] = chat[name]
    if chat.get("stop"):
        body["stop_sequences"] = [chat["stop"]] if isinstance(chat["stop"], str) else chat["stop"]
    _carry_tools(chat, body)
    schema = ((chat.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool results become user turns, and neighbours of one role become one turn."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": text_of(content)}]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    blocks = [_block(part) for part in parts if part.get("type") != "text" or part.get("text")]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": _arguments(function.get("arguments")),
            }
        )
    return blocks


def _arguments(text: Any) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        raise BadRequestError("a tool call in the history has arguments that are not JSON") from None


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": part["text"]}
    if part.get("type") == "image_url":
        url = str((part.get("image_url") or {}).get("url", ""))
        if url.startswith("data:"):
            media, _, data = url.removeprefix("data:").partition(";base64,")
            return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}
        return {"type": "image", "source": {"type": "url", "url": url}}
    raise BadRequestError(f"content of type {part.get('type')!r} has no place in this model's dialect")


def _carry_tools(chat: Mapping[str, Any], body: dict[str, Any]) -> None:
    if chat.get("tools"):
        body["tools"] = [_tool(tool.get("function") or {}) for tool in chat["tools"]]
    choice = chat.get("tool_choice")
    if isinstance(choice, dict):
        body["tool_choice"] = {"type": "tool", "name": (choice.get("function") or {}).get("name")}
    elif choice:
        body["tool_choice"] = {"type": {"required": "any"}.get(choice, choice)}
    if chat.get("parallel_tool_calls") is False and body.get("tools"):
        body.setdefault("tool_choice", {"type": "auto"})["disable_parallel_tool_use"] = True


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    tool = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        tool["description"] = function["description"]
    return tool


def usage_of_message(usage: Any) -> Usage | None:
    if not isinstance(usage, Mapping) or not isinstance(usage.get("input_tokens"), int):
        return None
    cached, written = (
        int(usage.get("cache_read_input_tokens") or 0),
        int(usage.get("cache_creation_input_tokens") or 0),
    )
    return Usage(
        in_tokens=usage["input_tokens"] + cached + written,
        out_tokens=int(usage.get("output_tokens") or 0),
        cached_tokens=cached,
        cache_write_tokens=written,
    )


def chat_from_message(message: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"role": "assistant", "content": None}
    calls = []
    for block in message.get("content") or ():
        if block.get("type") == "text":
            told["content"] = (told["content"] or "") + block.get("text", "")
        elif block.get("type") == "thinking":
            told["reasoning_content"] = told.get("reasoning_content", "") + block.get("thinking", "")
        elif block.get("type") == "tool_use":
            function = {
                "name": block.get("name"),
                "arguments": orjson.dumps(block.get("input") or {}).decode(),
            }
            calls.append({"id": block.get("id"), "type": "function", "function": function})
    if calls:
        told["tool_calls"] = calls
    finish = FINISH_REASONS.get(str(message.get("stop_reason")), "stop")
    answer = {
        "id": message.get("id"),
        "object": "chat.completion",
        "created": 0,
        "model": message.get("model"),
        "choices": [{"index": 0, "message": told, "finish_reason": finish}],
    }
    usage = usage_of_message(message.get("usage"))
    if usage:
        answer["usage"] = chat_usage(usage)
    return answer


def chat_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.in_tokens,
        "completion_tokens": usage.out_tokens,
        "total_tokens": usage.in_tokens + usage.out_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
    }


class MessagesDecoder:
    """Messages events in, chat chunks out."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {"object": "chat.completion.chunk", "created": 0}
        self._usage: dict[str, Any] = {}
        self._calls: dict[int, int] = {}

    def decode(self, data: bytes) -> list[dict[str, Any]]:
        event = parsed(data)
        match event.get("type"):
            case "message_start":
                message = event.get("message") or {}
                self._head |= {"id": message.get("id"), "model": message.get("model")}
                self._usage |= message.get("usage") or {}
                return [self._chunk({"role": "assistant", "content": ""})]
            case "content_block_start":
                return self._block(int(event.get("index", 0)), event.get("content_block") or {})
            case "content_block_delta":
                return self._delta(int(event.get("index", 0)), event.get("delta") or {})
            case "message_delta":
                self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
                stop = (event.get("delta") or {}).get("stop_reason")
                return [self._chunk({}, FINISH_REASONS.get(str(stop), "stop")), *self._last()]
            case "error":
                return [{**self._head, "choices": [], "error": event.get("error") or {"message": "error"}}]
        return []

    def _block(self, index: int, block: Mapping[str, Any]) -> list[dict[str, Any]]:
        if block.get("type") == "tool_use":
            self._calls[index] = number = len(self._calls)
            function = {"name": block.get("name"), "arguments": ""}
            call = {"index": number, "id": block.get("id"), "type": "function", "function": function}
            return [self._chunk({"tool_calls": [call]})]
        return [self._chunk({"content": block["text"]})] if block.get("text") else []

    def _delta(self, index: int, delta: Mapping[str, Any]) -> list[dict[str, Any]]:
        match delta.get("type"):
            case "text_delta":
                return [self._chunk({"content": delta.get("text", "")})]
            case "thinking_delta":
                return [self._chunk({"reasoning_content": delta.get("thinking", "")})]
            case "input_json_delta":
                function = {"arguments": delta.get("partial_json", "")}
                return [self._chunk({"tool_calls": [{"index": self._calls.get(index, 0), "function": function}]})]
        return []

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def _last(self) -> list[dict[str, Any]]:
        usage = usage_of_message(self._usage)
        return [{**self._head, "choices": [], "usage": chat_usage(usage)}] if usage else []


class MessagesTally(Tally):
    """Watches a messages stream that is passed on as it is."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = MessagesDecoder()

    def see_event(self, data: bytes) -> None:
        if b'"message_stop"' in data:
            self.done = True
        for chunk in self._decoder.decode(data):
            self.see_chunk(chunk)
