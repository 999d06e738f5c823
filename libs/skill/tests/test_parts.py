"""The small pure parts: text, pages, schemas, front matter, engineering values."""

import struct
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import factorylm_skill
import mcp_types as types
import pytest
from factorylm_schema import BadRequestError, Quality, Series, Tag, UnknownNameError, WriteRefusedError
from factorylm_skill import SeriesShelf, page, shortest, to_raw, to_reading, told_to_the_model
from factorylm_skill.front_matter import front_matter
from factorylm_skill.json_schema import slim_schema
from factorylm_skill.testing import lint_tool
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_all_exported_names_exist_and_are_sorted() -> None:
    assert sorted(factorylm_skill.__all__) == factorylm_skill.__all__
    assert all(hasattr(factorylm_skill, name) for name in factorylm_skill.__all__)


@given(st.text(max_size=500))
def test_text_for_the_model_is_short_and_shows_everything_hidden(text: str) -> None:
    shown = told_to_the_model(text)
    assert len(shown) <= 200
    assert shown.isprintable()


def test_bidi_and_control_characters_are_spelled_out() -> None:
    assert told_to_the_model("a\u202eb\x00\n") == "a<U+202E>b<U+0000><U+000A>"
    assert told_to_the_model("x" * 10_000) == "x" * 199 + "…"


@given(st.integers(0, 40), st.integers(1, 10))
def test_pages_put_together_are_the_whole(count: int, limit: int) -> None:
    items = list(range(count))
    seen: list[int] = []
    cursor = ""
    while True:
        part, cursor = page(items, limit, cursor, "q")
        seen += part
        if not cursor:
            break
    assert seen == items


@pytest.mark.parametrize("cursor", ["x", "!!!", "WzEsICJ4Il0", "bnVsbA", "e30"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequestError, match="does not continue"):
        page([1, 2, 3], 1, cursor, "q")


class Inner(BaseModel):
    title: str
    kind: Literal["a", "b"] = "a"


class Outer(BaseModel):
    """Long words."""

    many: list[Inner]
    maybe: Annotated[int | None, Field(description="A number")] = None
    cell: bool | int | float | str | None
    rows: list[list[int | None]]


def test_schemas_lose_titles_references_and_nulls_but_keep_what_counts() -> None:
    assert slim_schema(Outer) == {
        "type": "object",
        "required": ["many", "cell", "rows"],
        "properties": {
            "many": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["title"],
                    "properties": {
                        "title": {"type": "string"},
                        "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
                    },
                },
            },
            "maybe": {"type": "integer", "description": "A number"},
            "cell": {"anyOf": [{"type": "boolean"}, {"type": "number"}, {"type": "string"}]},
            "rows": {
                "type": "array",
                "items": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
            },
        },
    }


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "Read-Tags"}, "the name"),
        ({"name": "a" * 25}, "the name"),
        ({"description": "Reads\u200b"}, "printable ASCII"),
        ({"annotations": None}, "all four annotations"),
        ({"annotations": types.ToolAnnotations(read_only_hint=True)}, "all four annotations"),
        ({"input_schema": {"type": "object"}}, "admits unknown arguments"),
        ({"input_schema": {"type": "array", "additionalProperties": False}}, "not a plain object"),
        ({"input_schema": {"type": "object", "additionalProperties": False, "anyOf": [{"type": "object"}]}}, "anyOf"),
        (
            {
                "input_schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"a": {"type": "string"}},
                }
            },
            "no bounds",
        ),
        ({"input_schema": {"type": "object", "additionalProperties": False, "properties": {"a": {}}}}, "says nothing"),
        ({"output_schema": {"type": "object", "properties": {"a": {"type": ["string"]}}}}, "a list of types"),
        ({"output_schema": {"type": "object", "properties": {"a": {"$ref": "#"}}}}, "$ref"),
        ({"output_schema": {"type": "object", "additionalProperties": {"$ref": "#"}}}, "$ref"),
        ({"output_schema": {"type": "string"}}, "the output schema's root"),
    ],
)
def test_the_lint_names_what_hosts_refuse(change: dict[str, object], fault: str) -> None:
    hints = types.ToolAnnotations(
        read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    )
    good = types.Tool(
        name="read",
        description="Reads.",
        annotations=hints,
        input_schema={
            "type": "object",
            "additionalProperties": False,
            "properties": {"a": {"type": "string", "maxLength": 3, "description": "x"}},
        },
    )
    assert lint_tool(good) == []
    assert any(fault in told for told in lint_tool(good.model_copy(update=change)))


def test_front_matter_reads_maps_lists_and_quotes_and_refuses_the_rest() -> None:
    text = '---\nname: x\nmetadata:\n  a: "1: 2"\n  openclaw:\n    requires:\n      bins:\n        - uvx\n---\nBody'
    assert front_matter(text) == {"name": "x", "metadata": {"a": "1: 2", "openclaw": {"requires": {"bins": ["uvx"]}}}}
    for wrong in ("name: x", "---\nname: x\n", "---\nname\n---\n", "---\n- a\n---\n"):
        with pytest.raises(ValueError, match=r"SKILL\.md|line"):
            front_matter(wrong)


def scaled(**more: Any) -> Tag:
    return Tag(device="d", name="t", address="a", **more)


@pytest.mark.parametrize(
    ("tag", "raw", "value", "quality"),
    [
        (scaled(), 5, 5, Quality.Good),
        (scaled(scale=0.1), 3, 0.3, Quality.Good),
        (scaled(scale=0.1, offset=-10), 3, -9.7, Quality.Good),
        (scaled(scale=0.001), 123456789012345, 123456789012.345, Quality.Good),
        (scaled(), True, True, Quality.Good),
        (scaled(), "x", "x", Quality.Good),
        (scaled(enum={1: "on"}), 1, "on", Quality.Good),
        (scaled(enum={1: "on"}), 1.5, 1.5, Quality.UncertainSubNormal),
        (scaled(min=0), -1, -1, Quality.UncertainEngineeringUnitsExceeded),
        (scaled(max=0), 1, 1, Quality.UncertainEngineeringUnitsExceeded),
        (scaled(), float("inf"), None, Quality.BadSensorFailure),
    ],
)
def test_raw_values_become_engineering_values_with_their_quality(tag, raw, value, quality) -> None:
    reading = to_reading(tag, raw, NOW)
    assert (reading.value, reading.quality) == (value, quality)
    assert bool(reading.problem) is (quality is not Quality.Good)


@given(st.integers(-(2**31), 2**31 - 1), st.sampled_from([0.1, 0.01, 0.5, 2, 1, 3.6]), st.integers(-50, 50))
def test_what_was_read_is_what_would_be_sent(raw: int, scale: float, offset: int) -> None:
    tag = scaled(scale=scale, offset=offset)
    value = to_reading(tag, raw, NOW).value
    assert value is not None
    assert to_raw(tag, value) == pytest.approx(raw, abs=1e-6)


@given(st.floats(width=32))
def test_the_shortest_decimal_is_the_same_real(real: float) -> None:
    short = shortest(real)
    assert struct.pack(">f", short) == struct.pack(">f", real)
    assert len(repr(short)) <= len(repr(real))


@pytest.mark.parametrize("decimal", [0.1, 1.1, 123456.8, 1.5e-38, -0.0])
def test_a_decimal_that_was_stored_as_a_real_comes_back(decimal: float) -> None:
    [real] = struct.unpack(">f", struct.pack(">f", decimal))
    assert shortest(real) == pytest.approx(decimal, rel=1e-7)
    assert len(repr(shortest(real))) <= len(repr(decimal))


def test_a_label_is_sent_as_its_number_and_an_unknown_one_refused() -> None:
    tag = scaled(enum={0: "stopped", 1: "running"})
    assert to_raw(tag, "running") == 1
    with pytest.raises(WriteRefusedError, match="no state 'flying'"):
        to_raw(tag, "flying")


def test_the_shelf_keeps_the_latest_and_names_what_it_has() -> None:
    shelf = SeriesShelf(most=2)
    handles = [shelf.put(Series(tag=f"t{i}", times=[NOW], values=[i])) for i in range(3)]
    assert shelf.get(handles[2]).tag == "t2"
    with pytest.raises(UnknownNameError, match="keeps the latest 2"):
        shelf.get(handles[0])
