"""Which tool definitions hosts and model APIs refuse, drop or misread; one sentence per fault."""

import re
from collections.abc import Iterator
from typing import Any

import mcp_types as types

# Hosts count 64 characters including their own prefix for server and tool
_LONGEST_NAME = 24
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ROOT_REFUSED = ("oneOf", "anyOf", "allOf", "not", "enum", "if", "then", "$ref")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "maxLength", "maxItems", "enum", "const", "format")


def lint_tool(tool: types.Tool) -> list[str]:
    """Everything wrong with the definition of `tool`."""
    faults = [*_names(tool), *_annotations(tool), *_root(tool.input_schema, "input")]
    if tool.input_schema.get("additionalProperties") is not False:
        faults.append("the input schema admits unknown arguments")
    for name, schema in tool.input_schema.get("properties", {}).items():
        faults.extend(f"argument {name}: {fault}" for fault in _argument(schema))
    if tool.output_schema is not None:
        faults.extend(_root(tool.output_schema, "output"))
    for part in (tool.input_schema, tool.output_schema or {}):
        faults.extend(_anywhere(part))
    return faults


def _names(tool: types.Tool) -> Iterator[str]:
    if not _NAME.fullmatch(tool.name) or len(tool.name) > _LONGEST_NAME:
        yield f"the name has more than {_LONGEST_NAME} characters or others than a-z, 0-9 and _"
    description = tool.description or ""
    if not description or not description.isascii() or not description.isprintable():
        yield "the description is missing or holds something else than printable ASCII"


def _annotations(tool: types.Tool) -> Iterator[str]:
    hints = tool.annotations
    values = (
        (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint) if hints else ()
    )
    if not values or None in values:
        yield "all four annotations must be set; hosts assume the worst of a missing one"


def _root(schema: dict[str, Any], which: str) -> Iterator[str]:
    if schema.get("type") != "object":
        yield f"the {which} schema's root is not a plain object"
    for word in _ROOT_REFUSED:
        if word in schema:
            yield f"the {which} schema has {word} at its root, which model APIs refuse"


def _argument(schema: dict[str, Any]) -> Iterator[str]:
    if not schema.get("description"):
        yield "no description"
    kinds = schema.get("anyOf", [schema])
    bounded = any(bound in schema for bound in _BOUNDS) or len(kinds) > 1 or schema.get("type") == "boolean"
    if not bounded:
        yield "no bounds"


def _anywhere(schema: dict[str, Any]) -> Iterator[str]:
    """Inspector's rules: no boolean or empty schema, no list of types, no reference, no $schema."""
    if isinstance(schema.get("type"), list):
        yield "a list of types"
    for word in ("$ref", "$schema", "$defs"):
        if word in schema:
            yield f"{word} in a schema"
    for part in _parts(schema):
        if isinstance(part, dict) and part:
            yield from _anywhere(part)
        else:
            yield "a schema that says nothing"


def _parts(schema: dict[str, Any]) -> Iterator[Any]:
    """The schemas directly inside `schema`."""
    yield from schema.get("properties", {}).values()
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(word, [])
    if "items" in schema:
        yield schema["items"]
    if isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
