"""A plant file that changed while the server runs, and alarms that devices keep."""

import asyncio
import json
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from factorylm_schema import AlarmEvent, NotConnectedError, UnknownNameError
from factorylm_skill import ApprovalDesk, Devices, StandingAlarms, build_server
from factorylm_skill.command import simulated_plant
from factorylm_skill.log_lines import JsonLines
from mcp import Client

FASTER = """
[devices.d]
url = "memory://shed"

[devices.d.tags]
level = { address = "level", unit = "m", min = 0, max = 10 }
setpoint = { address = "setpoint", unit = "/min", write = { min = 0, max = 55, max_step = 20 } }

[devices.e]
url = "memory://annex"

[devices.e.tags]
level = { address = "level" }
"""


async def test_a_changed_plant_is_served_at_once_and_only_changed_devices_are_connected_anew(
    skill, settings, memory
) -> None:
    opened = skill.open(settings)
    async with Client(build_server([opened], name="x", title="x", version="1")) as client:
        await client.call_tool("shed_read_tags", {"tags": ["d.level"]})
        await opened.replant(settings.plant.model_copy(update={"name": "Other"}))
        assert memory.closed == 0
        await opened.replant(simulated_plant(FASTER, skill))
        assert memory.closed == 1
        listed = await client.call_tool("shed_list_tags", {})
    assert [row[0] for row in listed.structured_content["rows"]] == ["d.level", "d.setpoint", "e.level"]


async def test_a_call_under_way_still_gets_its_answer_when_its_device_changes(skill, settings, memory) -> None:
    opened = skill.open(settings)
    memory.gate = asyncio.Event()
    reading = asyncio.ensure_future(opened.devices.read([settings.plant.tag("d.level")]))
    await asyncio.sleep(0)
    replanting = asyncio.ensure_future(opened.replant(simulated_plant(FASTER, skill)))
    await asyncio.wait([replanting], timeout=0.05)
    assert (replanting.done(), memory.closed) == (False, 0)
    memory.gate.set()
    assert [found.value for found in await asyncio.wait_for(reading, 5)] == [2.5]
    await asyncio.wait_for(replanting, 5)
    assert memory.closed == 1


async def test_a_device_that_is_gone_takes_its_last_values_along(skill, settings, memory) -> None:
    opened = skill.open(settings)
    await opened.devices.read([settings.plant.tag("d.level")])
    await opened.replant(simulated_plant(FASTER, skill))
    memory.read_fails = NotConnectedError("gone")
    [reading] = await opened.devices.read([opened.devices.plant.tag("d.level")])
    assert opened.devices.problem(reading).last_value is None
    with pytest.raises(UnknownNameError):
        opened.devices.plant.tag("d.valve")


async def test_a_write_approved_after_its_limit_was_lowered_is_refused_with_the_new_limit(
    skill, writing, memory
) -> None:
    laid = asyncio.Event()
    desk = ApprovalDesk(clock=lambda: datetime.now(UTC), changed=laid.set)
    opened = skill.open(replace(writing, desk=desk))
    async with Client(build_server([opened], name="x", title="x", version="1")) as client:
        asking = asyncio.ensure_future(client.call_tool("shed_write_tag", {"tag": "d.setpoint", "value": 60}))
        await asyncio.wait_for(laid.wait(), 5)
        await opened.replant(simulated_plant(FASTER, skill))
        desk.decide(desk.requests()[0][0].id, approve=True, by="anna")
        result = await asyncio.wait_for(asking, 5)
    assert result.is_error
    assert "55" in result.content[0].text
    assert memory.writes == []


ALARM = AlarmEvent(time=datetime(2026, 11, 20, tzinfo=UTC), source="d", name="HI", active=True)


@dataclass
class Told:
    alarms: list[AlarmEvent]
    complete: bool = True


async def test_alarms_come_from_the_devices_that_keep_them(skill, settings, memory) -> None:
    class Horn(type(memory)):
        async def alarms(self, limit: int) -> Told:
            if self.read_fails:
                raise self.read_fails
            return Told([ALARM][:limit])

    horn = Horn()
    assert await skill.open(settings).alarms() == StandingAlarms(alarms=[], keeping=[], unknown=[])
    devices = Devices(settings.plant, lambda _: horn)
    assert devices.health() == {"d": None}
    assert await devices.alarms() == StandingAlarms(alarms=[ALARM], keeping=["d"], unknown=[])
    horn.read_fails = NotConnectedError("gone")
    assert await devices.alarms() == StandingAlarms(alarms=[], keeping=["d"], unknown=["d"])
    assert devices.health() == {"d": False}


def test_a_log_line_as_json_holds_what_was_given_and_the_traceback() -> None:
    record = logging.LogRecord("factorylm", logging.ERROR, "x", 1, "tool %s", ("a",), None)
    record.tool = "a"
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["tool"]) == ("ERROR", "tool a", "a")
    record.exc_info = (RuntimeError, RuntimeError("inside"), None)
    assert "RuntimeError: inside" in json.loads(JsonLines().format(record))["exception"]
