"""The two tools that only this skill has, asked over MCP."""

from datetime import UTC, datetime, timedelta

import pytest
from factorylm_opcua import SKILL
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_skill.skill import Settings
from factorylm_skill.testing.clients import connected


@pytest.fixture
async def client(plant):
    async with connected(SKILL, Settings(plant=plant)) as one:
        yield one


def moment(**before: float) -> str:
    return (datetime.now(UTC) - timedelta(**before)).isoformat()


async def test_history_is_told_as_samples_are_with_where_to_go_on(client, server):
    whole = await client.ask("opcua_read_history", tag="pump1.speed", start=moment(hours=1))
    [row] = whole["rows"]
    told = dict(zip(whole["columns"], row, strict=True))
    assert (told["tag"], told["unit"], told["series"].split(":")[0]) == ("pump1.speed", "/min", "series")
    assert whole["samples"]["columns"] == ["s", "pump1.speed"]
    assert whole["next_start"] is None if "next_start" in whole else True
    for _ in range(3):
        await server.core.put(server.node("Pump.Speed"), "Double", 1100.0 + told["count"])
    part = await client.ask("opcua_read_history", tag="pump1.speed", start=moment(hours=1), limit=2)
    assert part["rows"][0][2] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"tag": "pump1.speed", "start": "yesterday"}, "not a time with its zone"),
        ({"tag": "pump1.speed", "start": "2026-11-20T06:00:00"}, "not a time with its zone"),
        ({"tag": "pump1.speed", "start": "2026-11-20T06:00:00Z", "end": "2026-11-19T06:00:00Z"}, "not before end"),
        ({"tag": "pump1.speed", "start": "1990-01-01T00:00:00Z", "end": "1991-01-01T00:00:00Z"}, "no values"),
        ({"tag": "pump1.flow", "start": "2026-01-01T00:00:00Z"}, "keeps no history"),
        ({"tag": "pump1/nonsense", "start": "2026-01-01T00:00:00Z"}, "write one of: nsu="),
        ({"tag": "pump1.sped", "start": "2026-01-01T00:00:00Z"}, "pump1.speed"),
    ],
)
async def test_a_question_about_history_that_cannot_be_answered_says_why(client, arguments, told):
    assert told in await client.refused("opcua_read_history", **arguments)


async def test_alarms_are_listed_as_data(client, server):
    server.alarm.event.SourceName = "Pump\u202e\x07"
    await server.raise_alarm(active=True)
    try:
        answer = await client.ask("opcua_list_alarms", device="pump1")
    finally:
        server.alarm.event.SourceName = "Pump"
        setattr(server.alarm.event, "AckedState/Id", True)
        await server.raise_alarm(active=False)
    assert answer["columns"] == ["time", "source", "name", "text", "severity", "state"]
    [row] = answer["rows"]
    assert row[1:] == [
        "Pump<U+202E><U+0007>", "BearingHot", "Bearing temperature above 55 °C", 700, "unacknowledged",
    ]  # fmt: skip
    assert answer["truncated"] is False


async def test_an_address_from_browse_reads(client):
    page = await client.ask("opcua_browse", device="pump1", path="Pump", search="setpoint")
    [row] = page["rows"]
    assert row[1] == f"nsu={NAMESPACE};s=Pump.Setpoint"
    answer = await client.ask("opcua_read_tags", tags=[f"pump1/{row[1]}"])
    assert answer["rows"][0][1] == 1200
