"""What can be known about an answer without asking anybody: form, tools, arithmetic, tags and limits."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from factorylm_router.wire.chat import text_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with an answer. `fatal` ones are never accepted; the others count against it."""

    check: str
    detail: str
    fatal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the plant has: its tags, and between which values each may be set."""

    tags: frozenset[str] = frozenset()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


NOTHING_KNOWN = Known()
_REFUSAL = re.compile(
    r"^\W*(i['’]?m sorry|i am sorry|sorry,|i can(?:no|['’])t (?:help|assist|provide|answer|do that)|"
    r"i am unable|"
    r"i['’]?m unable|as an ai\b|i won['’]?t\b|i must decline)",
    re.IGNORECASE,
)
_EQUATION = re.compile(
    r"(?<![\d.,*/×÷+\-^)a-zA-Z])\$?(-?\d[\d,]*(?:\.\d+)?)\s*([-+*/×÷x])\s*\$?(\d[\d,]*(?:\.\d+)?)\s*=\s*\$?"
    r"(-?\d[\d,]*(?:\.\d+)?)(?![\d%/*×^]|\s*[-+*/×÷^]\s*\d)"
)
_TAG = re.compile(r"(?<![\w./@-])[A-Za-z]\w*\.[A-Za-z]\w*(?![\w(/-]|\.\w)")


def findings(request: Mapping[str, Any], answer: Mapping[str, Any], known: Known = NOTHING_KNOWN) -> list[Finding]:
    """Everything wrong with this whole chat answer to this chat request; empty is good."""
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    return [
        *_form(choice, message),
        *_tools(request, message),
        *_schema(request, message),
        *_plant(message, known),
    ]


def _form(choice: Mapping[str, Any], message: Mapping[str, Any]) -> Iterator[Finding]:
    text = text_of(message.get("content"))
    if choice.get("finish_reason") == "length":
        yield Finding("truncated", "the answer was cut off at its token limit")
    if choice.get("finish_reason") == "content_filter" or message.get("refusal") or _REFUSAL.match(text):
        yield Finding("refusal", "the model declined")
    if not text.strip() and not message.get("tool_calls"):
        yield Finding("empty", "there is no answer")
    right, wrong = arithmetic(text)
    if wrong:
        yield Finding("arithmetic", f"{wrong} of {right + wrong} calculations are wrong", fatal=False)


def arithmetic(text: str) -> tuple[int, int]:
    """How many of the `a + b = c` in a text are right and wrong, rounding allowed for."""
    right = wrong = 0
    for first, sign, second, told in _EQUATION.findall(text):
        value = _calculated(_float(first), sign, _float(second))
        if value is None:
            continue
        if abs(value - _float(told)) <= _rounding(told) + 1e-9 * abs(value):
            right += 1
        else:
            wrong += 1
    return right, wrong


def _float(text: str) -> float:
    return float(text.replace(",", ""))


def _rounding(told: str) -> float:
    """Half of the last place that was told, and a little for rounding on the way."""
    places = len(told.partition(".")[2])
    return float(0.6 * 10.0**-places + 0.005 * abs(_float(told)))


def _calculated(first: float, sign: str, second: float) -> float | None:
    match sign:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*" | "×" | "x":
            return first * second
        case _:
            return first / second if second else None


def _tools(request: Mapping[str, Any], message: Mapping[str, Any]) -> Iterator[Finding]:
    calls = message.get("tool_calls") or ()
    tools = {tool["function"]["name"]: tool["function"] for tool in request.get("tools") or () if "function" in tool}
    for call in calls:
        function = call.get("function") or {}
        name = function.get("name")
        if name not in tools:
            yield Finding("unknown tool", f"there is no tool {name!r}; there are {', '.join(tools) or 'none'}")
            continue
        try:
            arguments = orjson.loads(function.get("arguments") or "{}")
        except orjson.JSONDecodeError:
            yield Finding("tool arguments", f"the arguments of {name} are not JSON")
            continue
        for problem in schema_problems(tools[name].get("parameters") or {}, arguments):
            yield Finding("tool arguments", f"{name}: {problem}")
    if calls and _repeats(request, calls):
        yield Finding("no progress", "the same call was made just before")


def _repeats(request: Mapping[str, Any], calls: Sequence[Any]) -> bool:
    """The same call twice in a row is an agent going in circles."""
    last = next((m for m in reversed(request.get("messages") or []) if m.get("role") == "assistant"), None)
    if last is None or not last.get("tool_calls"):
        return False
    return [call.get("function") for call in calls] == [call.get("function") for call in last["tool_calls"]]


def _schema(request: Mapping[str, Any], message: Mapping[str, Any]) -> Iterator[Finding]:
    form = request.get("response_format")
    if not isinstance(form, Mapping) or message.get("tool_calls"):
        return
    if form.get("type") not in ("json_schema", "json_object"):
        return
    try:
        value = orjson.loads(text_of(message.get("content")))
    except orjson.JSONDecodeError:
        yield Finding("schema", "the answer is not JSON")
        return
    for problem in schema_problems((form.get("json_schema") or {}).get("schema") or {}, value):
        yield Finding("schema", problem)


def schema_problems(schema: Mapping[str, Any], value: Any, most: int = 3) -> list[str]:
    """Why the value does not fit; empty also for a schema that is itself no schema."""
    from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

    try:
        validator = _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    except SchemaError:
        return []
    problems = []
    for error in validator.iter_errors(value):
        where = ".".join(str(part) for part in error.absolute_path)
        problems.append(f"{where or 'value'}: {error.message[:200]}")
        if len(problems) == most:
            break
    return problems


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    from jsonschema import validators  # type: ignore[import-untyped]
    from referencing import Registry

    loaded = orjson.loads(schema)
    kind = validators.validator_for(loaded)
    kind.check_schema(loaded)
    # An empty registry: a $ref in a client's schema must not make us fetch it.
    return kind(loaded, registry=Registry())


def _plant(message: Mapping[str, Any], known: Known) -> Iterator[Finding]:
    if not known.tags:
        return
    devices = {tag.partition(".")[0] for tag in known.tags}
    for tag in dict.fromkeys(_TAG.findall(text_of(message.get("content")))):
        # Only names that begin like one of the plant's devices: 'e.g' and 'file.txt' are no tags.
        if tag.partition(".")[0] in devices and tag not in known.tags:
            yield Finding("unknown tag", f"the plant has no tag {tag}")
    for call in message.get("tool_calls") or ():
        yield from _limits((call.get("function") or {}).get("arguments") or "", known)


def _limits(arguments: str, known: Known) -> Iterator[Finding]:
    try:
        asked = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return
    if not isinstance(asked, dict):
        return
    tag, value = asked.get("tag"), asked.get("value")
    for name in [tag, *(asked["tags"] if isinstance(asked.get("tags"), list) else [])]:
        if isinstance(name, str) and "/" not in name and name not in known.tags:
            yield Finding("unknown tag", f"the plant has no tag {name}")
    if isinstance(tag, str) and isinstance(value, int | float) and tag in known.limits:
        lowest, highest = known.limits[tag]
        if not lowest <= value <= highest:
            yield Finding("limits", f"{tag} may be set from {lowest:g} to {highest:g}, not to {value:g}")
    unit = asked.get("unit")
    if isinstance(tag, str) and unit and known.units.get(tag, unit) != unit:
        yield Finding("unit", f"{tag} is in {known.units[tag]}, not in {unit}")
