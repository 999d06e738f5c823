"""Names, addresses and tag values replaced on the way out and put back on the way in.

Redaction lowers what an outside provider learns; it is no proof. What must not leave is class `plant`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from factorylm_router.config import RedactConfig
from factorylm_router.errors import PolicyRefusedError

PLACEHOLDER = re.compile(r"\[\[(?:NAME|TAG|ADDRESS|VALUE)-\d+\]\]")
LONGEST_PLACEHOLDER = 20
TEXT_FIELDS = ("content", "reasoning_content")
ADDRESSES = re.compile(
    r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"  # IPv4, with a port
    r"|\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b"  # MAC
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4})(?![\w:])"  # IPv6
    r"|(?<![\w:])[0-9a-fA-F]{0,4}::[0-9a-fA-F:]{2,}"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail
    r"|\b[a-z][a-z0-9.+-]*://[^\s\"'<>\]]+"  # URL
)
# What may stand between a tag and its value: '= ', '": ', ' is ', '", '.
BETWEEN = r"(\W{0,6}(?:is|was|at|reads|value|to)?\W{0,4})"
NUMBER = r"(-?\d+(?:[.,]\d+)?)"
UNREADABLE_PARTS = frozenset({"image_url", "input_image", "image", "input_audio", "file", "input_file", "document"})


class Redaction:
    """The replacements of one request, the same text always by the same placeholder."""

    def __init__(self, config: RedactConfig) -> None:
        self._names = _any_of(config.names)
        self._tags = _any_of(config.tags)
        self._values = _values_after(config.tags) if config.values else None
        self._addresses = ADDRESSES if config.addresses else None
        self._placeholders: dict[str, str] = {}
        self._originals: dict[str, str] = {}

    def hidden(self, value: Any) -> Any:
        """A copy of a request's body that may leave."""
        if isinstance(value, str):
            return self._hidden_text(value)
        if isinstance(value, Mapping):
            if value.get("type") in UNREADABLE_PARTS:
                raise PolicyRefusedError(
                    "pictures, sound and files cannot be redacted",
                    hint="send them to a model on site, or as class public if they may leave",
                )
            return {self._hidden_text(key): self._hidden_item(value, key, item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.hidden(item) for item in value]
        return value

    def _hidden_item(self, owner: Mapping[str, Any], key: str, item: Any) -> Any:
        """Tool arguments carry the value beside the tag: {"tag": "pump1.speed", "value": 1450}."""
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        if is_number and key == "value" and self._values and any(self._names_a_tag(other) for other in owner.values()):
            return self._placeholder("VALUE", str(item))
        return self.hidden(item)

    def _names_a_tag(self, text: Any) -> bool:
        return isinstance(text, str) and self._tags is not None and self._tags.search(text) is not None

    def _hidden_text(self, text: str) -> str:
        text = PLACEHOLDER.sub(lambda found: self._placeholder("NAME", found[0]), text)
        if self._values:
            text = self._values.sub(lambda found: found[1] + found[2] + self._placeholder("VALUE", found[3]), text)
        for kind, pattern in (("ADDRESS", self._addresses), ("TAG", self._tags), ("NAME", self._names)):
            if pattern:
                text = _sub_outside_placeholders(pattern, kind, text, self._placeholder)
        return text

    def _placeholder(self, kind: str, original: str) -> str:
        found = self._placeholders.get(original)
        if found is None:
            found = f"[[{kind}-{len(self._placeholders) + 1}]]"
            self._placeholders[original] = found
            self._originals[found] = original
        return found

    def shown(self, text: str, *, inside_json: bool = False) -> str:
        """The text with what was hidden; inside JSON text (tool arguments) escaped as JSON."""

        def original(found: re.Match[str]) -> str:
            told = self._originals.get(found[0], found[0])
            return orjson.dumps(told).decode()[1:-1] if inside_json else told

        return PLACEHOLDER.sub(original, text)

    def shown_answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """A whole chat answer, restored in place."""
        for choice in answer.get("choices") or ():
            message = choice.get("message") or {}
            for name in TEXT_FIELDS:
                if isinstance(message.get(name), str):
                    message[name] = self.shown(message[name])
            for call in message.get("tool_calls") or ():
                function = call.get("function") or {}
                function["arguments"] = self.shown(function.get("arguments") or "", inside_json=True)
        return answer


def _any_of(words: tuple[str, ...]) -> re.Pattern[str] | None:
    if not words:
        return None
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)


def _values_after(tags: tuple[str, ...]) -> re.Pattern[str] | None:
    words = _any_of(tags)
    return re.compile(f"({words.pattern}){BETWEEN}{NUMBER}", re.IGNORECASE) if words else None


def _sub_outside_placeholders(pattern: re.Pattern[str], kind: str, text: str, placeholder: Any) -> str:
    """A plant may have a tag called VALUE-1: what was just put in must not be taken for text."""
    parts = re.split(f"({PLACEHOLDER.pattern})", text)
    for number in range(0, len(parts), 2):
        parts[number] = pattern.sub(lambda found: placeholder(kind, found[0]), parts[number])
    return "".join(parts)


class StreamRestorer:
    """Puts hidden text back into chat chunks; a placeholder may be cut over several of them."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._held: dict[tuple[str, int, int], str] = {}

    def restore(self, chunk: dict[str, Any]) -> None:
        for choice in chunk.get("choices") or ():
            number = int(choice.get("index") or 0)
            delta = choice.setdefault("delta", {})
            for name in TEXT_FIELDS:
                if isinstance(delta.get(name), str):
                    delta[name] = self._fed((name, number, 0), delta[name])
            for call in delta.get("tool_calls") or ():
                function = call.get("function") or {}
                if function.get("arguments"):
                    slot = ("call", number, int(call.get("index") or 0))
                    function["arguments"] = self._fed(slot, function["arguments"])
            if choice.get("finish_reason"):
                self._release(number, delta)

    def _fed(self, slot: tuple[str, int, int], piece: str) -> str:
        text = self._held.pop(slot, "") + piece
        start = text.rfind("[[")
        if start < 0 and text.endswith("["):
            start = len(text) - 1
        if start >= 0 and "]]" not in text[start:] and len(text) - start < LONGEST_PLACEHOLDER:
            text, self._held[slot] = text[:start], text[start:]
        return self._redaction.shown(text, inside_json=slot[0] == "call")

    def _release(self, number: int, delta: dict[str, Any]) -> None:
        for kind, text, index in self._take_held(number):
            if kind in TEXT_FIELDS:
                delta[kind] = (delta.get(kind) or "") + text
            else:
                delta.setdefault("tool_calls", []).append({"index": index, "function": {"arguments": text}})

    def _take_held(self, number: int) -> Iterator[tuple[str, str, int]]:
        for slot in [slot for slot in self._held if slot[1] == number]:
            yield slot[0], self._redaction.shown(self._held.pop(slot), inside_json=slot[0] == "call"), slot[2]
