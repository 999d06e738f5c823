"""The ladder: the first failed rung is where to look, with evidence and a next step."""

import pytest
from factorylm_enip.driver import EnipDriver
from factorylm_enip.simulated_wire import Habits
from factorylm_schema import Device, Tag
from factorylm_skill.faults import FaultKind


def _driver(url: str, *tags: Tag, timeout_s: float = 1.0) -> EnipDriver:
    named = {f"t{number}": tag for number, tag in enumerate(tags)}
    return EnipDriver(Device(name="plc", url=url, timeout_s=timeout_s, tags=named))


async def _rungs(driver):
    diagnosis = await driver.diagnose()
    await driver.close()
    return {rung.name: rung for rung in diagnosis.rungs}, diagnosis


async def test_a_healthy_controller_passes_every_rung(wire, tag):
    driver = _driver(f"enip://127.0.0.1:{wire.port}/0", tag("Mode"), tag("Speed"))
    rungs, diagnosis = await _rungs(driver)
    assert diagnosis.healthy
    assert list(rungs) == ["name", "connection", "session", "device", "slot", "messages", "tags"]
    assert "remote run mode" in rungs["slot"].evidence
    assert rungs["tags"].evidence == "all 2 read good"


async def test_the_connection_of_a_diagnosis_is_used_on(wire, tag):
    driver = _driver(f"enip://127.0.0.1:{wire.port}/0", tag("Mode"))
    await driver.diagnose()
    [reading] = await driver.read([tag("Mode")])
    await driver.close()
    assert (reading.value, wire.received[0x65]) == (5, 1)


async def test_a_wrong_slot_names_what_stands_in_the_others(serving, tag):
    async with serving(slot=2) as wire:
        rungs, _ = await _rungs(_driver(f"enip://127.0.0.1:{wire.port}/0", tag("Mode")))
    assert rungs["slot"].outcome == "failed"
    assert "no module at that slot" in rungs["slot"].evidence
    assert "slot 2: 1756-L83E/B simulated (a controller)" in rungs["slot"].next_step


async def test_a_name_that_does_not_resolve_is_the_first_rung():
    rungs, _ = await _rungs(_driver("enip://no-such-host.invalid/0"))
    assert [(rung.name, rung.outcome) for rung in rungs.values()] == [("name", "failed")]


async def test_a_closed_port_is_the_connection_rung(wire):
    rungs, _ = await _rungs(_driver("enip://127.0.0.1:1/0"))
    assert rungs["connection"].outcome == "failed"
    assert "44818" in rungs["connection"].next_step


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.GARBAGE, FaultKind.DISCONNECT, FaultKind.REFUSE])
async def test_a_port_that_speaks_something_else_is_the_session_rung(wire, kind):
    wire.faults.set(kind, times=None)
    rungs, _ = await _rungs(_driver(f"enip://127.0.0.1:{wire.port}/0", timeout_s=0.3))
    assert (rungs["connection"].outcome, rungs["session"].outcome) == ("passed", "failed")
    assert rungs["session"].next_step


async def test_no_free_connection_is_the_message_rung(serving):
    async with serving(Habits(most_connections=0)) as wire:
        rungs, _ = await _rungs(_driver(f"enip://127.0.0.1:{wire.port}/0"))
    assert rungs["messages"].outcome == "failed"
    assert "no free connection" in rungs["messages"].evidence


async def test_a_bad_tag_is_the_last_rung_and_named(wire, tag):
    rungs, diagnosis = await _rungs(_driver(f"enip://127.0.0.1:{wire.port}/0", tag("Mode"), tag("Sped")))
    assert not diagnosis.healthy
    assert rungs["tags"].evidence.startswith("1 of 2 are not good: plc/Sped: no such tag")
    assert "Speed" in rungs["tags"].next_step


async def test_a_micro800_has_no_slot(serving, tag, micro800):
    async with serving(nameplate=micro800) as wire:
        rungs, diagnosis = await _rungs(_driver(f"enip://127.0.0.1:{wire.port}", tag("Mode")))
    assert diagnosis.healthy, rungs
