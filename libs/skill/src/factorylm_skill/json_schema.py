"""Schemas as small as they can be: every client pays for them on every request."""

from copy import deepcopy
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]


def slim_schema(model: type[BaseModel]) -> Schema:
    """The model's JSON schema without titles, `$defs` and nulls; the root a plain object.

    Hosts refuse or drop tools whose root holds oneOf, anyOf or $ref, and older clients reject an output
    schema whose root is not an object.
    """
    full = model.model_json_schema()
    slim = _slim(full, full.get("$defs", {}))
    slim.pop("description", None)
    slim.setdefault("properties", {})
    return slim


def _slim(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    schema = _inlined(schema, definitions)
    slim: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            slim[key] = {name: _without_null(_slim(part, definitions)) for name, part in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            slim[key] = _slim(value, definitions)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            slim[key] = [_slim(part, definitions) for part in value]
        elif key not in ("title", "$defs") and not (key == "default" and value in (None, "", [])):
            slim[key] = value
    return _one_number(slim)


def _inlined(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    while "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        schema = {**deepcopy(target), **rest}
    return schema


def _one_number(schema: Schema) -> Schema:
    """An integer is a number: one arm serves for both."""
    arms = schema.get("anyOf", [])
    if {"type": "integer"} in arms and {"type": "number"} in arms:
        schema["anyOf"] = [arm for arm in arms if arm != {"type": "integer"}]
    return schema


def _without_null(schema: Schema) -> Schema:
    """`X | None` with a default is an optional X: leave the argument out instead of sending null."""
    arms = [arm for arm in schema.get("anyOf", []) if arm != {"type": "null"}]
    if len(arms) == len(schema.get("anyOf", [])):
        return schema
    rest = {k: v for k, v in schema.items() if k != "anyOf"}
    return {**arms[0], **rest} if len(arms) == 1 else {**rest, "anyOf": arms}
