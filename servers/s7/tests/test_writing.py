"""Writing through the driver: once, in the type that was meant, and nothing that cannot be written."""

import pytest
from factorylm_schema import (
    DeviceRefusedError,
    OutcomeUnknownError,
    WriteRefusedError,
)
from factorylm_skill import FaultKind


async def test_a_bit_is_written_alone_and_its_neighbours_stay(bench, filled, tag):
    async with bench(filled(db1=4)) as b:
        b.cpu.blocks[1][0] = 0b0010_0111
        await b.driver.write(tag("DB1.DBX0.3"), value=True)
        await b.driver.write(tag("DB1.DBX0.0"), value=False)
        assert b.cpu.blocks[1][0] == 0b0010_1110
        assert b.cpu.jobs == b.faults.writes == 2


@pytest.mark.parametrize(
    ("address", "value"),
    [
        ("DB1:0:REAL", 12.5), ("DB1:0:INT", -7), ("DB1:0:LREAL", 0.1), ("DB1:0:DT", "2026-11-20T13:45:00.000"),
        ("DB1:0:DTL", "2026-11-20T13:45:00.500"), ("DB1:0:TIME", 2500), ("DB1:0:CHAR", "x"), ("MW4:INT", 3),
        ("QB0:BYTE", 255), ("DB1:0:S5TIME", 2500),
    ],
)  # fmt: skip
async def test_a_written_value_reads_back(bench, filled, tag, address, value):
    async with bench(filled(db1=32)) as b:
        await b.driver.write(tag(address), value)
        assert await b.values(address) == [value]


async def test_scaling_and_states_are_undone_before_sending(bench, filled, tag):
    async with bench(filled(db1=8)) as b:
        await b.driver.write(tag("DB1:0:INT", scale=0.1), 25.3)
        await b.driver.write(tag("DB1:2:INT", enum={0: "off", 2: "auto"}), "auto")
        assert b.cpu.blocks[1][:4].hex() == "00fd0002"


async def test_a_text_keeps_its_room_and_its_neighbours(bench, filled, tag):
    async with bench(filled(db1=40)) as b:
        b.cpu.put("DB1:0:STRING[10]", "old text")
        b.cpu.blocks[1][12] = 0x77
        await b.driver.write(tag("DB1:0:STRING[10]"), "new")
        assert b.cpu.blocks[1][:5] == b"\x0a\x03new"
        assert b.cpu.blocks[1][12] == 0x77
        assert await b.values("DB1:0:STRING[10]") == ["new"]


async def test_a_text_whose_room_differs_from_the_plant_file_is_not_written(bench, filled, tag):
    async with bench(filled(db1=40)) as b:
        b.cpu.put("DB1:0:STRING[10]", "old")
        with pytest.raises(WriteRefusedError, match="room for 10 characters"):
            await b.driver.write(tag("DB1:0:STRING[20]"), "much too long")
        assert b.faults.writes == 0


@pytest.mark.parametrize(
    ("address", "value", "says"),
    [
        ("IW0:INT", 1, "inputs come from the process"),
        ("PIW0:INT", 1, "inputs come from the process"),
        ("T5", 100, "set by the program"),
        ("DB1:0:INT[4]", 1, "one element its own tag, such as %DB1.DBW0:INT"),
        ("DB1:0:INT", 70_000, "does not fit an? INT"),
        ("DB1:0:INT", 1.5, "whole number"),
        ("nonsense", 1, "not an S7 address"),
    ],
)
async def test_what_cannot_be_written_is_refused_before_anything_is_sent(bench, filled, tag, address, value, says):
    async with bench(filled(db1=32)) as b:
        with pytest.raises(WriteRefusedError, match=says):
            await b.driver.write(tag(address), value)
        assert b.cpu.jobs == 0


async def test_the_cpus_no_to_a_write_is_told_with_its_reason(bench, filled, tag):
    async with bench(filled(db1=8)) as b:
        with pytest.raises(DeviceRefusedError, match="does not exist"):
            await b.driver.write(tag("DB2:0:INT"), 1)
        with pytest.raises(DeviceRefusedError, match="does not exist"):
            await b.driver.write(tag("DB2:0:STRING[5]"), "a")


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.WRONG_SEQUENCE])
async def test_an_unanswered_write_is_unknown_and_sent_once(bench, filled, tag, kind):
    async with bench(filled(db1=8), timeout_s=0.4) as b:
        b.faults.set(kind, times=None, writes_only=True)
        with pytest.raises(OutcomeUnknownError, match="the write was sent"):
            await b.driver.write(tag("DB1:0:INT"), 1)
        assert b.faults.writes == 1
        b.faults.clear()
        assert await b.values("DB1:0:INT") == [1]
