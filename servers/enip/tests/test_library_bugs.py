"""What pycomm3 1.2.16 does wrong must not reach a plant: each test shows the bug's trigger and our right answer."""

import asyncio
import contextlib
import time

import pytest
from factorylm_enip.simulated_tags import got, put
from factorylm_enip.simulated_wire import Habits
from factorylm_schema import (
    DeviceError,
    DeviceTimeoutError,
    NotConnectedError,
    Quality,
    WriteRefusedError,
)
from factorylm_skill.faults import FaultKind
from pycomm3 import LogixDriver


def _library(port: int) -> LogixDriver:
    plc = LogixDriver(f"127.0.0.1:{port}/0")
    plc.open()
    return plc


async def test_a_late_reply_never_becomes_the_next_tags_value(wire, drive, tag):
    driver = drive(wire, timeout_s=0.3)
    await driver.read([tag("Mode"), tag("Small")])
    wire.faults.late_s = 0.5
    wire.faults.set(FaultKind.LATE)
    with pytest.raises(DeviceTimeoutError):
        await driver.read([tag("Mode")])
    [reading] = await driver.read([tag("Small")])
    assert (reading.value, reading.quality) == (-7, Quality.Good)


async def test_a_reply_with_another_sequence_number_is_thrown_away_and_the_tag_asked_for_again(wire, drive, tag):
    driver = drive(wire)
    await driver.read([tag("Mode")])
    wire.faults.set(FaultKind.WRONG_SEQUENCE)
    sessions = wire.received[0x65]
    [reading] = await driver.read([tag("Mode")])
    assert reading.value == 5
    assert wire.received[0x65] == sessions + 1, "the doubtful connection was kept"


async def test_a_peer_that_closes_in_the_middle_of_a_reply_costs_no_more_than_the_timeout(wire, drive, tag):
    driver = drive(wire, timeout_s=0.5)
    await driver.read([tag("Mode")])
    wire.faults.set(FaultKind.TRUNCATED, times=None)
    begun = time.monotonic()
    with pytest.raises(NotConnectedError):
        await driver.read([tag("Mode")])
    assert time.monotonic() - begun < 1.5, "the bound on every call: its timeout and a second"
    wire.faults.clear()
    [reading] = await driver.read([tag("Mode")])
    assert reading.value == 5


async def test_a_reply_that_trickles_past_the_timeout_is_given_up(wire, drive, tag):
    """pycomm3's timeout begins anew with every byte."""
    driver = drive(wire, timeout_s=0.2)
    await driver.read([tag("Mode")])
    wire.pace_s = 0.02
    wire.faults.set(FaultKind.TRICKLE, times=None)
    with pytest.raises(DeviceTimeoutError):
        await driver.read([tag("Mode")])


async def test_a_single_write_goes_out_once_and_well_formed(wire, drive, tag):
    plc = await asyncio.to_thread(_library, wire.port)
    refused = await asyncio.to_thread(plc.write, "Mode", 8)
    assert "Too much data" in refused.error, "the library was mended: this test no longer shows anything"
    await asyncio.to_thread(plc.close)

    wire.controller.served.clear()
    driver = drive(wire)
    await driver.write(tag("Mode"), 8)
    assert wire.controller.served.count(0x4D) == 1
    assert got(wire.controller.tags.named("Mode"), []) == 8


async def test_a_bit_write_has_masks_of_the_tags_own_width(wire, drive, tag):
    plc = await asyncio.to_thread(_library, wire.port)
    refused = await asyncio.to_thread(plc.write, "Mode.3", True)  # noqa: FBT003
    assert refused.error, "the library was mended: this test no longer shows anything"
    await asyncio.to_thread(plc.close)

    driver = drive(wire)
    for address, width in [("Small.2", 1), ("Int.9", 2), ("Mode.31", 4), ("Total.50", 8)]:
        name, bit = address.split(".")
        mask = (1 << 8 * width) - 1
        before = got(wire.controller.tags.named(name), []) & mask
        await driver.write(tag(address), value=True)
        assert got(wire.controller.tags.named(name), []) & mask == before | 1 << int(bit)
        await driver.write(tag(address), value=False)
        assert got(wire.controller.tags.named(name), []) & mask == before & ~(1 << int(bit))


@pytest.mark.parametrize("count", [994, 995, 996, 997, 998, 999, 1000, 1001, 2000])
async def test_arrays_around_the_size_of_a_packet_are_read_whole(wire, drive, tag, count):
    readings = await drive(wire).read([tag(f"Counts[{index}]") for index in range(count)])
    assert [reading.value for reading in readings] == [10 * index for index in range(count)]


async def test_a_text_longer_than_a_packet_is_read_whole(serving, drive, tag):
    async with serving(Habits(large_connections=False)) as wire:
        [reading] = await drive(wire).read([tag("Essay")])
    assert reading.value == "x" * 850


async def test_names_are_compared_without_case(wire, drive, tag):
    readings = await drive(wire).read([tag("MODE"), tag("m1.FAULT"), tag("program:MAIN.cycle"), tag("counts[2]")])
    assert [reading.value for reading in readings] == [5, True, 9, 20]


async def test_any_element_of_a_bool_array_is_read_and_written_alone(wire, drive, tag):
    driver = drive(wire)
    readings = await driver.read([tag(f"Flags[{index}]") for index in (0, 36, 37, 38, 95)])
    assert [reading.value for reading in readings] == [False, False, True, False, False]
    await driver.write(tag("Flags[70]"), value=True)
    words = [got(wire.controller.tags.named("Flags"), [index]) for index in range(3)]
    assert words == [0, 1 << 5, 1 << 6], "neighbouring bits changed"


async def test_a_structure_is_never_written_whole_and_a_member_alone(wire, drive, tag):
    driver = drive(wire)
    with pytest.raises(WriteRefusedError, match="structure"):
        await driver.write(tag("M1"), 1)
    put(wire.controller.tags.named("M1"), ["Log", 4], 44)
    await driver.write(tag("M1.Speed"), 9.5)
    motor = wire.controller.tags.named("M1")
    assert (got(motor, ["Speed"]), got(motor, ["Log", 4]), got(motor, ["Name"])) == (9.5, 44, "left")


async def test_a_text_that_is_too_long_is_refused_before_anything_is_sent(wire, drive, tag):
    driver = drive(wire)
    for address, most in [("Label", 82), ("M1.Name", 20)]:
        await driver.write(tag(address), "a" * most)
        with pytest.raises(WriteRefusedError, match=f"holds {most}"):
            await driver.write(tag(address), "a" * (most + 1))
    assert wire.controller.writes == 2


async def test_closing_does_not_wait_for_a_controller_that_does_not_answer(serving, drive, tag):
    async with serving(Habits(answers_forward_close=False)) as wire:
        driver = drive(wire, timeout_s=5)
        await driver.read([tag("Mode")])
        begun = time.monotonic()
        await driver.close()
        assert time.monotonic() - begun < 2, "pycomm3 waits five seconds, and then raises"


@pytest.mark.parametrize("bad", ["Nope", "Nope[3]", "M1.Nope", "Nope.3"])
async def test_a_server_that_hangs_up_on_a_bad_name_costs_only_that_tag(serving, drive, tag, bad):
    async with serving(Habits(closes_on_unknown_tag=True)) as wire:
        driver = drive(wire)
        tags = [tag("Mode"), tag(bad), tag("Speed"), tag("Counts[3]"), tag("Flags[37]")]
        await driver.read(tags)
        second = await driver.read(tags)
    assert [reading.value for reading in second] == [5, None, 12.3, 30, True]
    assert second[1].quality is Quality.BadNoCommunication


async def test_a_server_that_refuses_a_sender_context_is_opened(serving, drive, tag):
    async with serving(Habits(refuses_context=True)) as wire:
        plc = LogixDriver(f"127.0.0.1:{wire.port}/0")
        assert await asyncio.to_thread(plc.open) is False, "the library was mended"
        await asyncio.to_thread(plc._sock.close)
        [reading] = await drive(wire).read([tag("Mode")])
    assert reading.value == 5


async def test_a_type_that_changed_in_the_controller_is_not_read_as_the_old_one(wire, drive, tag):
    """pycomm3 decodes with the type it uploaded once."""
    driver = drive(wire)
    tags = [tag("Mode"), tag("Speed", type="REAL"), tag("Counts[3]")]
    await driver.read(tags)
    for name, kind, dims in [("Mode", "REAL", ()), ("Speed", "DINT", ()), ("Counts", "BOOL", (96,))]:
        wire.controller.tags.remove(name)
        wire.controller.tags.add(name, kind, *dims)
    put(wire.controller.tags.named("Mode"), [], 1.5)
    put(wire.controller.tags.named("Counts"), [0], 8)
    mode, speed, count = await driver.read(tags)
    assert (mode.value, count.value) == (1.5, True)
    assert (speed.value, speed.quality) == (None, Quality.BadTypeMismatch)
    assert "DINT" in speed.problem
    assert "REAL" in speed.problem


async def test_a_tag_that_took_over_anothers_instance_number_is_not_read_in_its_place(wire, drive, tag):
    """pycomm3 asks for instance numbers from revision 21 on; a download may give them to other tags."""
    driver = drive(wire)
    await driver.read([tag("Mode")])
    scope = wire.controller.tags
    mode, small = scope.named("Mode"), scope.named("Double")
    scope.symbols[mode.instance], scope.symbols[small.instance] = small, mode
    [reading] = await driver.read([tag("Mode")])
    assert reading.value == 5


async def test_twenty_calls_at_once_share_one_connection_and_get_their_own_values(wire, drive, tag):
    driver = drive(wire)
    tags = [tag(f"Counts[{index}]") for index in range(20)]
    answers = await asyncio.gather(*(driver.read([one]) for one in tags))
    assert [answer[0].value for answer in answers] == [10 * index for index in range(20)]
    assert wire.received[0x65] == 1


async def test_a_driver_whose_controller_went_away_connects_anew_by_itself(wire, drive, tag):
    driver = drive(wire)
    await driver.read([tag("Mode")])
    await wire.hang_up()
    [reading] = await driver.read([tag("Mode")])
    assert reading.value == 5


@pytest.mark.parametrize("kind", list(FaultKind))
async def test_no_failure_of_the_library_comes_out_untranslated(drive, wire, tag, kind):
    good = kind in (FaultKind.DELAY, FaultKind.TRICKLE)
    driver = drive(wire, timeout_s=3.0 if good else 0.3)
    wire.faults.late_s = 0.6
    wire.faults.set(kind, times=None)
    readings = []
    with contextlib.suppress(DeviceError):  # any other kind of error fails the test
        readings = await driver.read([tag("Mode"), tag("Speed")])
    assert [reading.quality.is_good for reading in readings] == ([True, True] if good else [])
