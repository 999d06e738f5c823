"""The history as an assistant asks it, through a real client."""

from pathlib import Path

import pytest
from factorylm_edge import SKILL
from factorylm_edge.history import Retention, TagRecord
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_schema import load_manifest
from factorylm_skill import Settings
from factorylm_skill.testing import Check, skill_checks
from factorylm_skill.testing.clients import connected

BEGIN_US = 1_767_225_600 * SECOND
DAY = {"start": "2026-01-01T00:00Z", "end": "2026-01-02T00:00Z"}


@pytest.mark.parametrize("check", skill_checks(SKILL), ids=lambda check: check.name)
async def test_contract(check: Check):
    await check.run()


def test_the_manifest_says_what_the_code_does():
    manifest = load_manifest(Path(__file__).parents[1] / "skill.toml")
    assert (manifest.name, manifest.title, manifest.safety) == (SKILL.name, SKILL.title, "read-only")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An hour of a value that rises by one a second, and a few of others."""
    history = SqliteHistory(tmp_path / "history.db")
    history.describe([TagRecord(name="pump1.speed", unit="/min", description="Motor speed")])
    history.append([Sample("pump1.speed", BEGIN_US + s * SECOND, float(s)) for s in range(3600)])
    history.append(
        [Sample("pump1.mode", BEGIN_US, "off"), Sample("pump1.mode", BEGIN_US + SECOND, "on\u202e", 0x40900000)]
    )
    history.compact(everything=True)
    history.close()
    return tmp_path


async def asked(folder: Path, tool: str, **arguments: object) -> dict:
    async with connected(SKILL, Settings(data=(folder,))) as client:
        return await client.ask(tool, **arguments)


async def test_figures_of_a_span_are_right_and_name_what_is_missing(folder):
    found = await asked(folder, "history_stats", tags=["pump1.speed", "pump1.sped"], **DAY)
    assert found["columns"] == ["tag", "unit", "mean", "min", "max", "last", "samples", "not_good", "held_s"]
    # the last value holds for the 90 s a value may
    mean = (sum(range(3600)) + 3599 * 89) / 3689
    assert found["rows"] == [["pump1.speed", "/min", float(f"{mean:.7g}"), 0, 3599, 3599, 3600, 0, 3689]]
    assert "'pump1.sped'; the nearest: pump1.speed" in found["problems"][0]


async def test_few_samples_are_shown_as_they_are_with_what_is_doubtful_and_hidden(folder):
    found = await asked(folder, "history_read", tag="pump1.mode", **DAY)
    assert (found["kind"], found["columns"]) == ("samples", ["s", "value", "quality"])
    assert found["rows"] == [[0, "off", None], [1, "on<U+202E>", "UncertainLastUsableValue"]]


async def test_many_samples_are_shown_as_windows_within_the_points_asked_for(folder):
    span = {"start": "2026-01-01T00:00Z", "end": "2026-01-01T01:00Z"}
    found = await asked(folder, "history_read", tag="pump1.speed", points=4, **span)
    assert found["kind"] == "windows"
    assert found["rows"] == [[at * 900, at * 900 + 449.5, at * 900, at * 900 + 899, 0] for at in range(4)]
    assert found["note"] == "each row sums up 900 s"


async def test_an_empty_span_says_where_there_is_something(folder):
    found = await asked(folder, "history_read", tag="pump1.speed", start="-1h")
    assert found["rows"] == []
    assert "goes from 2026-01-01T00:00:00Z to 2026-01-01T00:59:59Z" in found["note"]


async def test_what_retention_left_still_answers(folder):
    history = SqliteHistory(folder / "history.db")
    history.retain(Retention(sample_days=1), BEGIN_US + 10 * 86_400 * SECOND)
    history.close()
    found = await asked(folder, "history_stats", tags=["pump1.speed"], **DAY)
    assert found["rows"][0][3:7] == [0, 3599, 3599, 3600]


async def test_tags_are_found_by_name_and_description_page_by_page(folder):
    found = await asked(folder, "history_list_tags", search="MOTOR")
    assert found["rows"] == [["pump1.speed", "/min", "Motor speed"]]
    first = await asked(folder, "history_list_tags", limit=1)
    assert (first["truncated"], first["rows"][0][0]) == (True, "pump1.mode")
    second = await asked(folder, "history_list_tags", limit=1, cursor=first["cursor"])
    assert (second["truncated"], second["rows"][0][0]) == (False, "pump1.speed")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"tag": "pump1.sped"}, "the nearest: pump1.speed"),
        ({"tag": "pump1.speed", "start": "yesterday"}, "-30min"),
        ({"tag": "pump1.speed", "start": "-1h", "end": "-2h"}, "is empty"),
        ({"tag": "pump1.speed", "points": 100_000}, "200"),
    ],
)
async def test_a_question_that_cannot_be_answered_says_what_can(folder, arguments, told):
    async with connected(SKILL, Settings(data=(folder,))) as client:
        assert told in await client.refused("history_read", **arguments)


async def test_without_a_history_the_answer_says_how_to_have_one(tmp_path):
    async with connected(SKILL, Settings(data=(tmp_path,))) as client:
        assert "factorylm-edge run --plant" in await client.refused("history_list_tags")
