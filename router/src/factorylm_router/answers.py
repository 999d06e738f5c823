"""What an answer comes down to, and whether two answers are the same."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from factorylm_router.wire.chat import last_user_text, text_of

Kind = Literal["number", "choice", "literal", "text", "calls", "json", "judged", "task"]
NEVER_EQUAL = frozenset({"judged", "task"})

_OPTION = re.compile(r"^\s*\(?([A-P])[.):]\s+\S", re.MULTILINE)
_ASKS_FOR_A_NUMBER = re.compile(
    r"\b(how (much|many|long|far|fast|old|tall|heavy|often)|calculate|compute|"
    r"what is the (sum|total|value|average|"
    r"number|rate|speed|pressure|temperature|flow|difference|percentage|probability)|what percent)",
    re.IGNORECASE,
)
_CHOSEN = (
    re.compile(r"answer\W{0,20}(?:is|:)\W{0,6}(?:option\s+)?\(?([A-P])\b\)?", re.IGNORECASE),
    re.compile(r"\\boxed\{\\?(?:text\{)?\(?([A-P])\)?\}"),
    re.compile(r"^\W{0,3}([A-P])\W{0,3}$", re.MULTILINE),
)
_NUMBER = r"-?\$?\s?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?"
_NUMBERED = (
    re.compile(r"####\s*(" + _NUMBER + ")"),
    re.compile(r"\\boxed\{\s*(" + _NUMBER + ")"),
    re.compile(r'"answer"\s*:\s*"?\s*(' + _NUMBER + ")"),
    re.compile(r"answer\W{0,20}(?:is|:)\W{0,12}(" + _NUMBER + ")", re.IGNORECASE),
)
_ANY_NUMBER = re.compile(_NUMBER)
SHORT_TEXT = 80


def comparable(kind: str, answer: str | None) -> str | None:
    """The form in which answers are compared; None agrees with nothing."""
    if answer is None or kind in NEVER_EQUAL:
        return None
    if kind == "number":
        return _as_number(answer)
    if kind == "literal":
        return answer.strip().strip("'\"").strip()
    if kind == "text":
        return "".join(c for c in answer.casefold() if c.isalnum()) or None
    return answer


def _as_number(answer: str) -> str | None:
    try:
        return f"{float(answer.replace(',', '').replace('$', '').replace(' ', '')):g}"
    except ValueError:
        return None


def options_in(prompt: str) -> int:
    """How many choices the question offers, 0 if it is not of that kind."""
    letters = _OPTION.findall(prompt)
    in_order = [letter for number, letter in enumerate(dict.fromkeys(letters)) if letter == chr(65 + number)]
    return len(in_order) if len(in_order) >= 2 else 0


def kind_of(chat: Mapping[str, Any]) -> tuple[str, int]:
    """How answers to this request can be compared, and the number of choices."""
    form = chat.get("response_format")
    if isinstance(form, Mapping) and form.get("type") in ("json_schema", "json_object"):
        return "json", 0
    prompt = last_user_text(chat)
    options = options_in(prompt)
    if options:
        return "choice", options
    return ("number", 0) if _ASKS_FOR_A_NUMBER.search(prompt) else ("text", 0)


def final_answer(kind: str, message: Mapping[str, Any]) -> tuple[str, str | None]:
    """What a message comes down to, as (kind, answer). Prose comes down to nothing: it agrees with
    nothing."""
    if message.get("tool_calls"):
        return "calls", _told_calls(message["tool_calls"])
    text = text_of(message.get("content"))
    if kind == "json":
        return "json", _told_json(text)
    if kind == "choice":
        return kind, _last_of(_CHOSEN, text)
    if kind == "number":
        found = _last_of(_NUMBERED, text) or _only_last_number(text)
        return kind, _as_number(found) if found else None
    return "text", text if 0 < len(text.strip()) <= SHORT_TEXT else None


def _last_of(patterns: tuple[re.Pattern[str], ...], text: str) -> str | None:
    for pattern in patterns:
        found = pattern.findall(text)
        if found:
            return str(found[-1])
    return None


def _only_last_number(text: str) -> str | None:
    found = _ANY_NUMBER.findall(text.rstrip().rsplit("\n", 1)[-1])
    return found[-1] if found else None


def _told_calls(calls: Any) -> str | None:
    told = []
    for call in calls:
        function = call.get("function") or {}
        try:
            told.append([function.get("name"), orjson.loads(function.get("arguments") or "{}")])
        except orjson.JSONDecodeError:
            return None
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def _told_json(text: str) -> str | None:
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
    except orjson.JSONDecodeError:
        return None
