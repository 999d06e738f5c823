"""The chat-completions dialect: what a request asks, what an answer used, what a stream carries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from factorylm_router.errors import BadRequestError
from factorylm_router.money import Usage, micro_from_dollars

# Four characters a token is the usual rule of thumb for English text; only used where a provider counts
# nothing.
CHARS_PER_TOKEN = 4


def judge_chat_request(body: Mapping[str, Any]) -> None:
    """Refuse here what providers answer with a 200 and nonsense, or a 500 with their file paths."""
    _judge_model(body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("'messages' must be a list with at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError(f"messages[{number}] must be an object with a 'role'")


def judge_embedding_request(body: Mapping[str, Any]) -> None:
    _judge_model(body)
    if not body.get("input"):
        raise BadRequestError("'input' must be a text, or a list of texts or tokens")


def _judge_model(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequestError("'model' must name a model", hint="GET /v1/models lists them")


def last_user_text(body: Mapping[str, Any]) -> str:
    """The user's own words, never the system prompt: that is what a prompt scorer may look at."""
    for message in reversed(body.get("messages") or ()):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: Any) -> str:
    """The text in a message's content, whichever of the two forms it has."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(text for text in parts if isinstance(text, str))
    return ""


def usage_of(usage: Any) -> Usage | None:
    """The provider's count, or None if it sent none that makes sense."""
    if not isinstance(usage, Mapping):
        return None
    tokens_in: Any = usage.get("prompt_tokens")
    tokens_out: Any = usage.get("completion_tokens", 0)
    if not _is_count(tokens_in) or not _is_count(tokens_out):
        return None
    details_in = usage.get("prompt_tokens_details") or {}
    details_out = usage.get("completion_tokens_details") or {}
    return Usage(
        in_tokens=tokens_in,
        out_tokens=tokens_out,
        cached_tokens=_count(details_in, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"),
        cache_write_tokens=_count(details_in, "cache_write_tokens"),
        reasoning_tokens=_count(details_out, "reasoning_tokens"),
        billed_micro=_billed(usage.get("cost")),
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(table: Any, name: str) -> int:
    value = table.get(name) if isinstance(table, Mapping) else None
    return value if isinstance(value, int) and _is_count(value) else 0


def _billed(cost: Any) -> int | None:
    if isinstance(cost, bool) or not isinstance(cost, int | float | str):
        return None
    try:
        amount = Decimal(str(cost))
    except ArithmeticError:
        return None
    return micro_from_dollars(amount) if amount.is_finite() and amount >= 0 else None


def usage_dict(usage: Usage) -> dict[str, Any]:
    """Usage as clients expect it, for answers whose provider sent none."""
    told: dict[str, Any] = {
        "prompt_tokens": usage.in_tokens,
        "completion_tokens": usage.out_tokens,
        "total_tokens": usage.in_tokens + usage.out_tokens,
    }
    if usage.cached_tokens:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.estimated:
        told["estimated"] = True
    return told


def estimated_tokens(chars: int, pieces: int = 0) -> int:
    """Most providers stream a token per piece; some stream words. The larger count is the safer one."""
    return max(pieces, (chars + CHARS_PER_TOKEN - 1) // CHARS_PER_TOKEN)


@dataclass(slots=True)
class Tally:
    """What one answer has carried so far."""

    chars: int = 0
    pieces: int = 0
    usage: Usage | None = None
    finish_reason: str | None = None
    error: dict[str, Any] | None = None
    done: bool = False
    id: str = ""
    tool_names: list[str] = field(default_factory=list)

    def settled_usage(self, request_chars: int) -> Usage:
        if self.usage is not None:
            return self.usage
        return Usage(
            in_tokens=estimated_tokens(request_chars),
            out_tokens=estimated_tokens(self.chars, self.pieces),
            estimated=True,
        )

    @property
    def is_complete(self) -> bool:
        return self.done or self.finish_reason is not None

    def see_plain_text(self, chunk: Mapping[str, Any]) -> bool:
        """Nearly every chunk of a stream is one piece of text and nothing else: seen in one look.

        False, and nothing counted, for every other chunk."""
        choices = chunk.get("choices")
        if not self.id or not choices or len(choices) != 1 or chunk.get("usage") is not None or "error" in chunk:
            return False
        choice = choices[0]
        delta = choice.get("delta")
        if not delta or len(delta) != 1 or choice.get("finish_reason") is not None:
            return False
        text = delta.get("content")
        if not text or not isinstance(text, str):
            return False
        self.chars += len(text)
        self.pieces += 1
        return True

    def see_chunk(self, chunk: Mapping[str, Any]) -> None:
        if not self.id:
            self.id = str(chunk.get("id") or "")
        if chunk.get("usage") is not None:
            self.usage = usage_of(chunk["usage"]) or self.usage
        if chunk.get("error"):
            error = chunk["error"]
            self.error = error if isinstance(error, dict) else {"message": str(error)}
        for choice in chunk.get("choices") or ():
            self._see_choice(choice)

    def _see_choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("finish_reason"):
            self.finish_reason = str(choice["finish_reason"])
        delta = choice.get("delta")
        if not delta:
            return
        chars = len(delta.get("content") or "") + len(delta.get("reasoning_content") or "")
        for call in delta.get("tool_calls") or ():
            chars += self._see_call(call.get("function") or {})
        if chars:
            self.chars += chars
            self.pieces += 1

    def _see_call(self, function: Mapping[str, Any]) -> int:
        if function.get("name"):
            self.tool_names.append(str(function["name"]))
        return len(function.get("arguments") or "") + len(function.get("name") or "")

    def see_answer(self, answer: Mapping[str, Any]) -> None:
        """A whole answer instead of a stream."""
        self.id = str(answer.get("id") or "")
        self.usage = usage_of(answer.get("usage"))
        for choice in answer.get("choices") or ():
            message = choice.get("message") or {}
            self._see_choice({"finish_reason": choice.get("finish_reason"), "delta": message})
        self.pieces = 0


def is_usage_only(chunk: Mapping[str, Any]) -> bool:
    return chunk.get("usage") is not None and not chunk.get("choices")
