"""How to say one request to one provider: the path, the dialect and the body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from factorylm_router.config import ModelConfig, ProviderConfig
from factorylm_router.errors import BadRequestError
from factorylm_router.wire.messages_in import chat_from_messages
from factorylm_router.wire.messages_out import messages_from_chat
from factorylm_router.wire.responses import chat_from_responses

Surface = Literal["chat", "messages", "responses", "embeddings"]
PATHS = {
    "chat": "/chat/completions",
    "messages": "/messages",
    "responses": "/responses",
    "embeddings": "/embeddings",
}


@dataclass(frozen=True, slots=True)
class Line:
    path: str
    dialect: Surface
    body: dict[str, Any]

    def encoded(self) -> bytes:
        return orjson.dumps(self.body)


def as_chat(surface: Surface, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in the one dialect that routing, checks and redaction understand."""
    if surface == "messages":
        return chat_from_messages(body)
    if surface == "responses":
        return chat_from_responses(body)
    return dict(body)


def native_dialect(surface: Surface, provider: ProviderConfig) -> Surface:
    """The dialect this provider is spoken to in."""
    if surface == "embeddings":
        if provider.kind == "anthropic":
            raise BadRequestError("this provider has no embeddings", hint="name an embedding model")
        return "embeddings"
    if provider.kind == "anthropic":
        return "messages"
    if surface == "responses" and provider.responses:
        return "responses"
    return "chat"


def line_to(
    surface: Surface,
    body: Mapping[str, Any],
    model: str,
    config: ModelConfig,
    provider: ProviderConfig,
    *,
    hidden: bool,
) -> Line:
    """`hidden` bodies take the way through chat, where they can be restored."""
    dialect = native_dialect(surface, provider)
    if hidden and dialect == "responses":
        dialect = "chat"
    if dialect == surface and not (hidden and dialect == "messages"):
        said = dict(body)
    else:
        said = as_chat(surface, body)
        said = messages_from_chat(said) if dialect == "messages" else said
    said["model"] = config.name or model
    if dialect == "chat":
        _fit_chat(said, provider)
    return Line(PATHS[dialect], dialect, said)


def _fit_chat(said: dict[str, Any], provider: ProviderConfig) -> None:
    if said.get("stream"):
        options = said.get("stream_options")
        said["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    if provider.kind == "openrouter":
        said["usage"] = {"include": True}
    if "llama-cpp" in provider.quirks:
        _fit_local(said)
        _demand_a_named_tool(said)
    elif "llama-cpp-python" in provider.quirks:
        _fit_local(said)
        _fit_llama_cpp_python(said)


def _fit_local(said: dict[str, Any]) -> None:
    """What both servers of llama.cpp want otherwise; measured against them."""
    if (said.get("n") or 1) > 1:
        raise BadRequestError("'n' above 1 is not possible with this model", hint="ask several times")
    if "max_completion_tokens" in said:
        said["max_tokens"] = said.pop("max_completion_tokens")
    said["messages"] = [_plain_message(message) for message in said["messages"]]


def _demand_a_named_tool(said: dict[str, Any]) -> None:
    """llama-server takes words only and reads a named tool as "auto" (tools/server/server-common.cpp, b1-0c1e570)."""
    choice = said.get("tool_choice")
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        said["tools"] = [tool for tool in said.get("tools") or [] if (tool.get("function") or {}).get("name") == name]
        said["tool_choice"] = "required"


def _fit_llama_cpp_python(said: dict[str, Any]) -> None:
    """llama-cpp-python 0.3.36 ignores or breaks on these."""
    form = said.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        said["response_format"] = {
            "type": "json_object",
            "schema": (form.get("json_schema") or {}).get("schema"),
        }
    tools = said.get("tools") or []
    if said.get("tool_choice") == "required" and len(tools) == 1:
        said["tool_choice"] = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}


def _plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in message.items() if not (name == "content" and value is None)}
    if plain.get("role") == "developer":
        plain["role"] = "system"
    return plain


class CallMerger:
    """Tool-call deltas as every client expects them: an id and a name once, an index from 0 upwards.

    Servers repeat ids and names in each chunk (llama.cpp), leave the index out (Ollama), count from 1 or
    give -1 (BerriAI/litellm #20711, #32759)."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._told: set[int] = set()
        self._last = -1

    def merge(self, chunk: dict[str, Any]) -> bool:
        """Repairs in place; says whether anything had to be changed."""
        changed = False
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            changed = (delta.pop("function_call", None) is not None and bool(delta.get("tool_calls"))) or changed
            for call in delta.get("tool_calls") or ():
                changed = self._repaired(call) or changed
        return changed

    def _repaired(self, call: dict[str, Any]) -> bool:
        before = (call.get("index"), call.get("id"), (call.get("function") or {}).get("name"))
        number = self._number(call)
        call["index"] = number
        if number in self._told:
            call.pop("id", None)
            (call.get("function") or {}).pop("name", None)
        elif call.get("id"):
            self._told.add(number)
        return before != (call.get("index"), call.get("id"), (call.get("function") or {}).get("name"))

    def _number(self, call: dict[str, Any]) -> int:
        """A known index is that call; a new index or, without one, a new id begins the next call."""
        index = call.get("index")
        known = index if isinstance(index, int) else call.get("id")
        if known is None:
            return max(self._last, 0)
        if known not in self._numbers:
            self._numbers[known] = len(self._numbers)
        self._last = self._numbers[known]
        return self._last
