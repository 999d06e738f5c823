"""Writing through the driver: once, in the type that was meant, and nothing that cannot be written."""

import socket

import pytest
from factorylm_enip.simulated_tags import got
from factorylm_enip.simulated_wire import Habits
from factorylm_schema import (
    DeviceRefusedError,
    NotConnectedError,
    OutcomeUnknownError,
    WriteRefusedError,
)
from factorylm_skill.faults import FaultKind


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("Speed", 1.1),
        ("Mode", -5),
        ("Run", False),
        ("Small", -128),
        ("Total", -(2**62)),
        ("Huge", 2**64 - 1),
        ("Level", 1e300),
        ("Counts[2998]", 7),
        ("Grid[2,3]", -1),
        ("Label", "new"),
        ("M1.Name", "right"),
        ("M1.Run", True),
        ("M1.Log[4]", 5),
        ("Motors[39].Speed", 3.5),
        ("Flags[95]", True),
        ("Counts[4].31", True),
        ("Program:Main.Cycle", 1),
    ],
)
@pytest.mark.parametrize("revision", ["new", "micro800"])
async def test_what_is_written_reads_back_and_is_sent_once(serving, drive, tag, address, value, revision, micro800):
    plate = {"nameplate": micro800} if revision == "micro800" else {}
    async with serving(**plate) as wire:
        driver = drive(wire)
        await driver.write(tag(address), value)
        [reading] = await driver.read([tag(address)])
        assert (reading.value, wire.controller.writes) == (value, 1)


async def test_scaling_and_labels_are_undone_on_the_way_down(wire, drive, tag):
    driver = drive(wire)
    await driver.write(tag("Int", scale=0.1, offset=5), 12.5)
    await driver.write(tag("Mode", enum={0: "off", 2: "automatic"}), "automatic")
    assert got(wire.controller.tags.named("Int"), []) == 75
    assert got(wire.controller.tags.named("Mode"), []) == 2


@pytest.mark.parametrize(
    ("address", "value", "reason"),
    [
        ("Mode", 2**31, "-2147483648"),
        ("Mode", 1.5, "whole number"),
        ("Mode", "on", "takes a number"),
        ("Run", 3, "true or false"),
        ("Mode.40", True, "bits 0 to 31"),
        ("Mode.3", 5, "true or false"),
        ("Flags", True, "array of BOOL"),
        ("Nope", 1, "no such tag"),
        ("Counts[3000]", 1, "beyond the end"),
        ("M1", 1, "structure"),
        ("3!", 1, "not a tag path"),
    ],
)
async def test_a_write_that_cannot_be_right_is_refused_and_nothing_is_sent(wire, drive, tag, address, value, reason):
    with pytest.raises(WriteRefusedError, match=reason):
        await drive(wire).write(tag(address), value)
    assert wire.controller.writes == 0


async def test_a_read_only_tag_is_refused_by_the_controller_and_before_it_once_that_is_known(wire, drive, tag):
    driver = drive(wire)
    with pytest.raises(DeviceRefusedError, match="does not permit"):
        await driver.write(tag("Serial"), 1)
    await driver.browse("", "", 10, "")
    with pytest.raises(WriteRefusedError, match="Read Only"):
        await driver.write(tag("Serial"), 1)
    assert (got(wire.controller.tags.named("Serial"), []), wire.controller.writes) == (77, 1)


async def test_a_text_that_no_packet_holds_is_refused(serving, drive, tag):
    async with serving(Habits(large_connections=False)) as wire:
        with pytest.raises(WriteRefusedError, match="one packet"):
            await drive(wire).write(tag("Essay"), "y" * 600)
        assert wire.controller.writes == 0


@pytest.mark.parametrize(
    "kind", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.GARBAGE, FaultKind.WRONG_SEQUENCE]
)
async def test_an_unanswered_write_is_unknown_and_never_repeated(wire, drive, tag, kind):
    driver = drive(wire, timeout_s=0.5)
    await driver.read([tag("Mode")])
    wire.faults.set(kind, writes_only=True)
    with pytest.raises(OutcomeUnknownError, match="not answered"):
        await driver.write(tag("Mode"), 8)
    [reading] = await driver.read([tag("Mode")])
    assert (reading.value, wire.controller.writes) == (8, 1)


async def test_a_write_to_a_controller_that_is_away_is_not_unknown_but_not_sent(wire, drive, tag):
    wire.port = 1
    with pytest.raises(NotConnectedError):
        await drive(wire).write(tag("Mode"), 8)


async def test_a_write_to_a_host_that_takes_connections_and_stays_silent_is_not_sent(wire, drive, tag):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        wire.port = silent.getsockname()[1]
        with pytest.raises(NotConnectedError, match="did not answer"):
            await drive(wire, timeout_s=0.3).write(tag("Mode"), 8)
