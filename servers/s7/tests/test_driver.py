"""The driver on real sockets: what it reads, what it sends, what it writes."""

import asyncio
import socket
import threading

import pytest
from factorylm_s7.driver import S7Driver
from factorylm_s7.session import Session
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_schema import (
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
    Quality,
    WriteRefusedError,
)
from factorylm_skill import FaultKind


def filled(**blocks):
    """A CPU whose data blocks have these sizes."""
    return SimulatedCpu(blocks={int(name[2:]): bytearray(size) for name, size in blocks.items()})


async def test_every_type_reads_back_as_the_program_set_it(bench):
    contents = {
        "DB1.DBX0.3": True, "DB1:2:INT": -5, "DB1:4:DINT": 70_000, "DB1:8:REAL": 1.5, "DB1:12:LREAL": 0.1,
        "DB1:20:STRING[20]": "Pumpe 3 läuft", "DB1:42:WSTRING[8]": "Ω€", "DB1:62:DTL": "2026-11-20T13:45:00.560",
        "DB1:74:DT": "2026-11-20T13:45:00.560", "DB1:82:DATE": "2026-11-20", "DB1:84:TOD": "13:45:00.560",
        "DB1:88:TIME": -1500, "DB1:92:LTIME": 10**12, "DB1:100:CHAR": "x", "DB1:102:WORD": 0xABCD,
        "MW20:INT": 7, "M30.7": True, "QB3:BYTE": 9, "IW4:UINT": 65_000,
    }  # fmt: skip
    async with bench(filled(db1=128)) as b:
        for address, value in contents.items():
            b.cpu.put(address, value)
        assert await b.values(*contents) == list(contents.values())
        assert b.driver.requests_sent == 1


async def test_timers_counters_and_arrays_read(bench):
    async with bench(filled(db1=32)) as b:
        b.cpu.areas[0x1D][10:12] = bytes.fromhex("2123")
        b.cpu.areas[0x1C][6:8] = bytes.fromhex("0347")
        b.cpu.blocks[1][:8] = bytes.fromhex("0001ffff00033fc0")
        b.cpu.blocks[1][8:14] = b"ABC   "
        assert await b.values("T5", "C3", "DB1:0:INT[3]", "DB1:0.0:BOOL[9]", "DB1:8:CHAR[6]") == [
            123_000, 347, "[1,-1,3]", "[false,false,false,false,false,false,false,false,true]", "ABC",
        ]  # fmt: skip


async def test_a_reading_carries_address_raw_bytes_unit_and_time(bench):
    async with bench(filled(db1=8)) as b:
        b.cpu.put("DB1:4:INT", 253)
        [reading] = await b.read("DB1,I4", name="t", scale=0.1, unit="Cel")
        assert (reading.tag, reading.value, reading.unit) == ("plc.t", 25.3, "Cel")
        assert (reading.address, reading.raw) == ("%DB1.DBW4:INT", "00fd")
        assert reading.time.tzinfo is not None


async def test_nan_outside_the_range_and_unknown_states_are_told(bench):
    async with bench(filled(db1=16)) as b:
        b.cpu.blocks[1][:4] = bytes.fromhex("7fc00000")
        b.cpu.put("DB1:4:INT", 99)
        [nan] = await b.read("DB1:0:REAL")
        [wide] = await b.read("DB1:4:INT", max=50)
        [state] = await b.read("DB1:4:INT", enum={1: "on"})
        assert (nan.value, nan.quality) == (None, Quality.BadSensorFailure)
        assert (wide.value, wide.quality) == (99, Quality.UncertainEngineeringUnitsExceeded)
        assert (state.value, state.quality) == (99, Quality.UncertainSubNormal)


async def test_a_doubtful_element_makes_its_array_doubtful(bench):
    async with bench(filled(db1=16)) as b:
        b.cpu.put("DB1:0:REAL", 1.5)
        b.cpu.blocks[1][4:8] = bytes.fromhex("7fc00000")
        [reading] = await b.read("DB1:0:REAL[2]")
        assert (reading.value, reading.quality) == ("[1.5,null]", Quality.UncertainSubNormal)
        assert reading.problem.startswith("element 1: the device sent nan")


async def test_bytes_that_are_not_of_the_type_are_that_tags_problem(bench):
    async with bench(filled(db1=64)) as b:
        b.cpu.blocks[1][0:2] = b"\xfe\xc8"
        text, number = await b.read("DB1:0:STRING[20]", "DB1:30:INT")
        assert (text.value, text.quality) == (None, Quality.BadDecodingError)
        assert "200 characters" in text.problem
        assert (number.value, number.quality) == (0, Quality.Good)


async def test_a_value_longer_than_a_reply_comes_in_pieces(bench):
    async with bench(filled(db1=1000), pdu=240) as b:
        b.cpu.put("DB1:0:STRING[254]", "x" * 254)
        b.cpu.blocks[1][300:900] = bytes(range(200)) * 3
        text, array = await b.read("DB1:0:STRING[254]", "DB1:300:BYTE[600]")
        assert text.value == "x" * 254
        assert array.raw == (bytes(range(200)) * 3).hex()
        assert b.cpu.longest_job <= 240


# -- one bad tag costs one tag ------------------------------------------------------------------------------


async def test_a_missing_block_and_a_short_block_cost_only_their_own_tags(bench):
    async with bench(filled(db1=16, db3=16)) as b:
        wanted = ["DB1:12:REAL", "DB1:14:REAL", "DB2:0:REAL", "DB3:0:REAL"]
        readings = await b.read(*wanted)
        assert [reading.quality for reading in readings] == [
            Quality.Good, Quality.BadNodeIdUnknown, Quality.BadNodeIdUnknown, Quality.Good,
        ]  # fmt: skip
        assert "outside the area or block (0x05)" in readings[1].problem
        assert "the object does not exist (0x0a)" in readings[2].problem
        assert all("Optimized block access" in reading.hint for reading in readings[1:3])


async def test_what_was_refused_is_asked_alone_from_then_on_and_comes_back(bench):
    async with bench(filled(db1=16)) as b:
        wanted = [f"DB1:{at}:INT" for at in range(0, 20, 2)]
        assert (await b.values(*wanted)).count(None) == 2
        assert b.driver.requests_sent == 2  # together, and then each for itself
        assert (await b.values(*wanted)).count(None) == 2
        assert b.driver.requests_sent == 3
        b.cpu.blocks[1] = bytearray(32)
        assert (await b.values(*wanted)).count(None) == 0
        assert (await b.values(*wanted)).count(None) == 0
        assert b.driver.requests_sent == 5


async def test_a_thousand_tags_of_a_missing_block_cost_few_jobs(bench):
    async with bench(filled(db1=16), pdu=480, timeout_s=20.0) as b:
        assert set(await b.values(*[f"DB9:{4 * n}:REAL" for n in range(1000)])) == {None}
        assert b.driver.requests_sent <= 9 + 1000 / 20


async def test_a_closed_block_names_access_and_what_permits_it(bench):
    cpu = filled(db1=16, db2=16)
    cpu.closed_blocks = {2}
    async with bench(cpu) as b:
        good, closed = await b.read("DB1:0:INT", "DB2:0:INT")
        assert good.quality is Quality.Good
        assert closed.quality is Quality.BadUserAccessDenied
        assert "not allowed (0x03)" in closed.problem
        assert "protection level" in closed.hint


async def test_put_get_switched_off_is_told_for_every_tag_in_one_job(bench):
    cpu = filled(db1=16)
    cpu.put_get = False
    async with bench(cpu) as b:
        readings = await b.read("DB1:0:INT", "DB1:2:INT")
        assert {reading.quality for reading in readings} == {Quality.BadUserAccessDenied}
        assert "PUT/GET" in readings[0].hint
        assert b.driver.requests_sent == 1


async def test_a_wrong_raw_address_asks_nothing_of_the_cpu_for_that_tag(bench):
    async with bench(filled(db1=16)) as b:
        wrong, good = await b.read("DB1.DBD4", "DB1:0:INT")
        assert (wrong.quality, good.quality) == (Quality.BadNodeIdInvalid, Quality.Good)
        assert "does not say its type" in wrong.problem


async def test_the_same_address_twice_is_read_once_and_answered_twice(bench):
    async with bench(filled(db1=16)) as b:
        assert await b.values("DB1:0:INT", "DB1.DBW0:INT", "DB1:0:WORD") == [0, 0, 0]
        assert b.cpu.most_items == 1


# -- writing ------------------------------------------------------------------------------------------------


async def test_a_bit_is_written_alone_and_its_neighbours_stay(bench, tag):
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
async def test_a_written_value_reads_back(bench, tag, address, value):
    async with bench(filled(db1=32)) as b:
        await b.driver.write(tag(address), value)
        assert await b.values(address) == [value]


async def test_scaling_and_states_are_undone_before_sending(bench, tag):
    async with bench(filled(db1=8)) as b:
        await b.driver.write(tag("DB1:0:INT", scale=0.1), 25.3)
        await b.driver.write(tag("DB1:2:INT", enum={0: "off", 2: "auto"}), "auto")
        assert b.cpu.blocks[1][:4].hex() == "00fd0002"


async def test_a_text_keeps_its_room_and_its_neighbours(bench, tag):
    async with bench(filled(db1=40)) as b:
        b.cpu.put("DB1:0:STRING[10]", "old text")
        b.cpu.blocks[1][12] = 0x77
        await b.driver.write(tag("DB1:0:STRING[10]"), "new")
        assert b.cpu.blocks[1][:5] == b"\x0a\x03new"
        assert b.cpu.blocks[1][12] == 0x77
        assert await b.values("DB1:0:STRING[10]") == ["new"]


async def test_a_text_whose_room_differs_from_the_plant_file_is_not_written(bench, tag):
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
async def test_what_cannot_be_written_is_refused_before_anything_is_sent(bench, tag, address, value, says):
    async with bench(filled(db1=32)) as b:
        with pytest.raises(WriteRefusedError, match=says):
            await b.driver.write(tag(address), value)
        assert b.cpu.jobs == 0


async def test_the_cpus_no_to_a_write_is_told_with_its_reason(bench, tag):
    async with bench(filled(db1=8)) as b:
        with pytest.raises(DeviceRefusedError, match="does not exist"):
            await b.driver.write(tag("DB2:0:INT"), 1)
        with pytest.raises(DeviceRefusedError, match="does not exist"):
            await b.driver.write(tag("DB2:0:STRING[5]"), "a")


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.WRONG_SEQUENCE])
async def test_an_unanswered_write_is_unknown_and_sent_once(bench, tag, kind):
    async with bench(filled(db1=8), timeout_s=0.4) as b:
        b.faults.set(kind, times=None, writes_only=True)
        with pytest.raises(OutcomeUnknownError, match="the write was sent"):
            await b.driver.write(tag("DB1:0:INT"), 1)
        assert b.faults.writes == 1
        b.faults.clear()
        assert await b.values("DB1:0:INT") == [1]


# -- the connection -----------------------------------------------------------------------------------------


async def test_no_byte_is_sent_before_the_first_call_and_one_connection_serves_all(bench):
    async with bench() as b:
        assert b.driver._owner is None
        await b.values("DB1:0:INT")
        first = b.driver._owner._session
        await b.values("DB1:2:INT", "DB1:200:INT")
        assert b.driver._owner._session is first


async def test_a_connection_that_the_cpu_closed_is_made_anew_without_losing_a_reading(bench):
    async with bench() as b:
        await b.values("DB1:0:INT")
        b.faults.set(FaultKind.DISCONNECT)
        assert await b.values("DB1:0:INT") == [1]


async def test_negotiated_limits_are_kept(bench):
    small = filled(db1=2000)
    small.pdu = 240
    async with bench(small) as b:
        await b.values(*[f"DB1:{4 * n}:REAL" for n in range(400)])
        assert b.driver._owner._session.budget.pdu == 240
        assert small.longest_job <= 240
        assert small.most_items <= 19


async def test_a_host_that_takes_the_connection_and_stays_silent_is_a_timeout(device, tag):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        driver = S7Driver(device(silent.getsockname()[1], timeout_s=0.3))
        with pytest.raises(DeviceTimeoutError, match="does not answer as an S7 CPU"):
            await driver.browse("", "", 5, "")
        with pytest.raises(NotConnectedError, match="does not answer as an S7 CPU"):
            await driver.write(tag("DB1,INT0"), 1)  # it surely was not sent
        await driver.close()


async def test_nobody_at_the_address_is_not_connected_and_closing_twice_is_no_harm(device):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    driver = S7Driver(device(port))
    with pytest.raises(NotConnectedError, match=r"no connection to 127\.0\.0\.1"):
        await driver.browse("", "", 5, "")
    await driver.close()
    await driver.close()


async def test_a_wrong_slot_is_told_as_a_wrong_slot(bench, device):
    async with bench() as b:
        driver = S7Driver(device(b.port, slot=3))
        with pytest.raises(NotConnectedError, match="refuses a connection to rack 0, slot 3") as refusal:
            await driver.browse("", "", 5, "")
        assert "S7-300: slot 2" in refusal.value.hint
        await driver.close()


async def test_a_caller_that_gives_up_leaves_the_line_usable(bench):
    async with bench() as b:
        await b.values("DB1:0:INT")
        b.faults.set(FaultKind.DROP)
        arrived, answer = asyncio.Event(), b.cpu.answer
        b.cpu.answer = lambda question: arrived.set() or answer(question)
        reading = asyncio.ensure_future(b.values("DB1:0:INT"))
        async with asyncio.timeout(5):
            await arrived.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await b.values("DB1:2:INT") == [0x0203]


async def test_a_thread_that_nothing_can_wake_is_left_behind_and_harms_nobody_later(bench, monkeypatch):
    """A name server that is silent holds the thread in the operating system."""
    released, done, opened = threading.Event(), threading.Event(), Session.open

    def hanging(session: Session) -> None:
        released.wait(10)
        try:
            opened(session)
        finally:
            done.set()

    async with bench(timeout_s=0.2) as b:
        monkeypatch.setattr(Session, "open", hanging)
        with pytest.raises(DeviceTimeoutError, match="could not be reached in time"):
            await b.values("DB1:0:INT")
        monkeypatch.setattr(Session, "open", opened)
        assert await b.values("DB1:0:INT") == [1]
        session = b.driver._owner._session
        released.set()
        assert await asyncio.to_thread(done.wait, 10)
        assert await b.values("DB1:0:INT") == [1]
        assert b.driver._owner._session is session


async def test_a_write_that_was_left_behind_is_not_sent_later(bench, tag, monkeypatch):
    released, done, opened = threading.Event(), threading.Event(), Session.open

    def hanging(session: Session) -> None:
        released.wait(10)
        try:
            opened(session)
        finally:
            done.set()

    async with bench(timeout_s=0.2) as b:
        monkeypatch.setattr(Session, "open", hanging)
        with pytest.raises(DeviceTimeoutError):
            await b.driver.write(tag("DB1:0:INT"), 7)
        released.set()
        assert await asyncio.to_thread(done.wait, 10)
        assert b.faults.writes == 0
