"""Pydantic's findings in the words of somebody who edits a file."""

from collections.abc import Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def told(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each finding as (key path, sentence); the arms of a union are told once."""
    seen = set()
    for detail in error.errors(include_url=False):
        at = tuple(str(part) for part in detail["loc"] if not _is_union_arm(part))
        if at not in seen:
            seen.add(at)
            yield at, _sentence(detail)


def _sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return str(context["error"])
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        return "is not known here"
    if detail["type"] in ("literal_error", "enum"):
        return f"{detail['input']!r} is not allowed; use {context['expected']}"
    given = repr(detail["input"])
    given = given if len(given) <= 60 else given[:57] + "…"
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, not {given}"


def _is_union_arm(part: int | str) -> bool:
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or "[" in part)
