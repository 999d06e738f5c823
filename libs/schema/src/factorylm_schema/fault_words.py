"""Pydantic's findings in the words of somebody who edits a file."""

from collections.abc import Iterable, Iterator
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from factorylm_schema.names import nearest


def told(error: ValidationError, model: type[BaseModel] | None = None) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each finding as (key path, sentence); the arms of a union are told once. Knowing the model, a key that is not
    known is told with those that are.
    """
    seen = set()
    for detail in error.errors(include_url=False):
        at = tuple(str(part) for part in detail["loc"] if not _is_union_arm(part))
        if at not in seen:
            seen.add(at)
            known = _keys_beside(model, at) if model and detail["type"] == "extra_forbidden" else ()
            yield at, unknown(at[-1], known) if known else _sentence(detail)


def unknown(name: str, known: Iterable[str]) -> str:
    """A key, or a word, that is not known, and what it may have meant."""
    return f"{name!r} is not known here; did you mean {', '.join(nearest(name, known)[:3])}?"


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


def _keys_beside(model: type[BaseModel], at: tuple[str, ...]) -> Iterable[str]:
    """The keys that the table of `at` may have; none where the way there leads through more than tables."""
    for part in at[:-1]:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        tables = [kind for kind in inner if issubclass(kind, BaseModel)]
        if not tables:
            return ()
        model = tables[0]
    return model.model_fields


def _is_union_arm(part: int | str) -> bool:
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or "[" in part)
