"""Controllers that are not there, go away or restart, and who answers behind the route."""

import asyncio

import pytest
from factorylm_enip.simulated_controller import Nameplate
from factorylm_enip.simulated_wire import Habits
from factorylm_schema import (
    NotConnectedError,
    Quality,
)
from factorylm_skill.faults import FaultKind


async def test_a_restart_during_a_batch_is_survived_by_the_same_call(serving, drive, tag):
    async with serving(Habits(large_connections=False)) as wire:
        driver = drive(wire, timeout_s=10)
        tags = [tag(f"Counts[{index}]") for index in range(1500)]
        await driver.read(tags)
        wire.faults.set(FaultKind.DISCONNECT)
        readings = await driver.read(tags)
    assert [reading.value for reading in readings] == [10 * index for index in range(1500)]


async def test_a_wrong_slot_says_so(wire, drive, tag):
    with pytest.raises(NotConnectedError, match="no module at that slot") as refused:
        await drive(wire, "/3").read([tag("Mode")])
    assert "slot 3" in refused.value.hint


async def test_a_controller_without_free_connections_says_so(serving, drive, tag):
    async with serving(Habits(most_connections=0)) as wire:
        with pytest.raises(NotConnectedError, match="no free connection"):
            await drive(wire).read([tag("Mode")])


async def test_an_address_that_is_none_is_a_problem_also_while_the_controller_is_away(wire, drive, tag):
    wire.port = 1
    [reading] = await drive(wire).read([tag("no address!")])
    assert reading.quality is Quality.BadNodeIdInvalid


async def test_a_closed_port_says_what_to_check(wire, drive, tag):
    wire.port = 1
    with pytest.raises(NotConnectedError, match="refused") as refused:
        await drive(wire).read([tag("Mode"), tag("no address!")])
    assert "44818" in refused.value.hint


async def test_a_call_that_nobody_waits_for_does_not_answer_the_next(wire, drive, tag):
    driver = drive(wire)
    await driver.read([tag("Mode")])
    wire.faults.late_s = 0.3
    wire.faults.set(FaultKind.LATE)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await driver.read([tag("Mode")])
    [reading] = await driver.read([tag("Small")])
    assert reading.value == -7


async def test_a_call_that_was_cancelled_is_neither_repeated_nor_begun(wire, drive, tag):
    driver = drive(wire)
    await driver.read([tag("Mode")])
    wire.faults.late_s = 0.3
    wire.faults.set(FaultKind.LATE)
    asked, arrived = wire.received[0x70], asyncio.Event()
    wire.controller.refresh = arrived.set
    calls = [asyncio.ensure_future(driver.read([tag("Mode")])) for _ in range(3)]
    async with asyncio.timeout(2):
        await arrived.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await driver.close()
    assert wire.received[0x70] == asked + 1


async def test_identify_tells_the_controller_behind_the_route(wire, drive):
    identity = await drive(wire).identify()
    assert identity.model_dump() == {
        "vendor": "Rockwell Automation/Allen-Bradley",
        "product": "1756-L83E/B simulated",
        "revision": "33.011",
        "serial": "00c0ffee",
        "details": {"product type": "Programmable Logic Controller", "mode": "remote run"},
    }


async def test_a_device_that_is_no_controller_still_tells_who_it_is(serving, drive):
    plate = Nameplate(product_type=2, product_code=150, name="PowerFlex 755 simulated")
    async with serving(Habits(most_connections=0), nameplate=plate) as wire:
        identity = await drive(wire, "").identify()
    assert (identity.product, identity.details["product type"]) == ("PowerFlex 755 simulated", "AC Drive")
