"""Sampling where the device tells of changes: nothing between two looks is lost, other calls need not wait."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from factorylm_schema import Device, NotConnectedError, Reading, Tag
from factorylm_skill import to_reading
from factorylm_skill.testing import connected


@pytest.fixture(autouse=True)
def _no_document(monkeypatch) -> None:
    from factorylm_skill.skill_documents import SkillDocument

    document = SkillDocument(text="---\nname: x\n---\n", head={"name": "x", "description": "x"})
    monkeypatch.setattr("factorylm_skill.command.document_of", lambda _: document)


@pytest.fixture
def telling(skill, memory):
    """The skill with drivers that tell of changes: `changes` are told at once, then silence or `fails`."""

    class Teller:
        changes: list[tuple[str, float]] = []  # noqa: RUF012
        fails: NotConnectedError | None = None
        made: list["Teller"] = []  # noqa: RUF012
        closed = 0

        def __init__(self, _: Device) -> None:
            Teller.made.append(self)

        async def sample(self, tags: Sequence[Tag], interval_s: float) -> AsyncIterator[list[Reading]]:
            by_address = {tag.address: tag for tag in tags}
            for address, value in Teller.changes:
                yield [to_reading(by_address[address], value, datetime.now(UTC))]
            if Teller.fails:
                raise Teller.fails
            await asyncio.Event().wait()

        async def close(self) -> None:
            Teller.closed += 1

        identify, read, write = memory.identify, memory.read, memory.write

    from dataclasses import replace

    return replace(skill, connect=Teller), Teller


async def test_every_change_is_counted_on_a_connection_of_its_own(telling, settings) -> None:
    skill, teller = telling
    teller.changes = [("level", 1.0), ("level", 3.0), ("level", 2.0), ("setpoint", 50)]
    async with connected(skill, settings) as client:
        answer = await client.ask("shed_sample_tags", tags=["d.level", "d.setpoint"], seconds=0.5, interval_s=0.25)
    level, setpoint = (dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"])
    assert (level["count"], level["min"], level["max"], level["changes"]) == (3, 1.0, 3.0, 2)
    assert (setpoint["count"], setpoint["changes"]) == (1, 0)
    assert answer["samples"]["rows"][-1][1:] == [2.0, 50]
    assert answer["problems"] == []
    assert len(teller.made) == 2
    assert teller.closed == 2


async def test_a_line_lost_while_watching_ends_the_series_with_its_reason(telling, settings) -> None:
    skill, teller = telling
    teller.changes, teller.fails = [("level", 1.0)], NotConnectedError("cable cut")
    async with connected(skill, settings) as client:
        answer = await client.ask("shed_sample_tags", tags=["d.level"], seconds=20, interval_s=0.25)
    row = dict(zip(answer["columns"], answer["rows"][0], strict=True))
    assert (row["count"], row["missing"]) == (1, 1)
    assert answer["problems"][0]["problem"] == "cable cut"
    assert answer["samples"]["rows"][-1][0] < 20, "a moment that nobody watched"


async def test_a_tag_that_tells_nothing_is_a_problem(telling, settings) -> None:
    skill, teller = telling
    teller.changes, teller.fails = [("level", 1.0)], None
    async with connected(skill, settings) as client:
        answer = await client.ask("shed_sample_tags", tags=["d.level", "d.mode"], seconds=0.5, interval_s=0.25)
    [problem] = answer["problems"]
    assert (problem["tag"], problem["quality"]) == ("d.mode", "BadWaitingForInitialData")
