"""Reading through the driver on real sockets: what it answers, and what it sends for it."""

from factorylm_schema import (
    Quality,
)


async def test_every_type_reads_back_as_the_program_set_it(bench, filled):
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


async def test_timers_counters_and_arrays_read(bench, filled):
    async with bench(filled(db1=32)) as b:
        b.cpu.areas[0x1D][10:12] = bytes.fromhex("2123")
        b.cpu.areas[0x1C][6:8] = bytes.fromhex("0347")
        b.cpu.blocks[1][:8] = bytes.fromhex("0001ffff00033fc0")
        b.cpu.blocks[1][8:14] = b"ABC   "
        assert await b.values("T5", "C3", "DB1:0:INT[3]", "DB1:0.0:BOOL[9]", "DB1:8:CHAR[6]") == [
            123_000, 347, "[1,-1,3]", "[false,false,false,false,false,false,false,false,true]", "ABC",
        ]  # fmt: skip


async def test_a_reading_carries_address_raw_bytes_unit_and_time(bench, filled):
    async with bench(filled(db1=8)) as b:
        b.cpu.put("DB1:4:INT", 253)
        [reading] = await b.read("DB1,I4", name="t", scale=0.1, unit="Cel")
        assert (reading.tag, reading.value, reading.unit) == ("plc.t", 25.3, "Cel")
        assert (reading.address, reading.raw) == ("%DB1.DBW4:INT", "00fd")
        assert reading.time.tzinfo is not None


async def test_nan_outside_the_range_and_unknown_states_are_told(bench, filled):
    async with bench(filled(db1=16)) as b:
        b.cpu.blocks[1][:4] = bytes.fromhex("7fc00000")
        b.cpu.put("DB1:4:INT", 99)
        [nan] = await b.read("DB1:0:REAL")
        [wide] = await b.read("DB1:4:INT", max=50)
        [state] = await b.read("DB1:4:INT", enum={1: "on"})
        assert (nan.value, nan.quality) == (None, Quality.BadSensorFailure)
        assert (wide.value, wide.quality) == (99, Quality.UncertainEngineeringUnitsExceeded)
        assert (state.value, state.quality) == (99, Quality.UncertainSubNormal)


async def test_a_doubtful_element_makes_its_array_doubtful(bench, filled):
    async with bench(filled(db1=16)) as b:
        b.cpu.put("DB1:0:REAL", 1.5)
        b.cpu.blocks[1][4:8] = bytes.fromhex("7fc00000")
        [reading] = await b.read("DB1:0:REAL[2]")
        assert (reading.value, reading.quality) == ("[1.5,null]", Quality.UncertainSubNormal)
        assert reading.problem.startswith("element 1: the device sent nan")


async def test_bytes_that_are_not_of_the_type_are_that_tags_problem(bench, filled):
    async with bench(filled(db1=64)) as b:
        b.cpu.blocks[1][0:2] = b"\xfe\xc8"
        text, number = await b.read("DB1:0:STRING[20]", "DB1:30:INT")
        assert (text.value, text.quality) == (None, Quality.BadDecodingError)
        assert "200 characters" in text.problem
        assert (number.value, number.quality) == (0, Quality.Good)


async def test_a_value_longer_than_a_reply_comes_in_pieces(bench, filled):
    async with bench(filled(db1=1000), pdu=240) as b:
        b.cpu.put("DB1:0:STRING[254]", "x" * 254)
        b.cpu.blocks[1][300:900] = bytes(range(200)) * 3
        text, array = await b.read("DB1:0:STRING[254]", "DB1:300:BYTE[600]")
        assert text.value == "x" * 254
        assert array.raw == (bytes(range(200)) * 3).hex()
        assert b.cpu.longest_job <= 240


# -- one bad tag costs one tag ------------------------------------------------------------------------------


async def test_a_missing_block_and_a_short_block_cost_only_their_own_tags(bench, filled):
    async with bench(filled(db1=16, db3=16)) as b:
        wanted = ["DB1:12:REAL", "DB1:14:REAL", "DB2:0:REAL", "DB3:0:REAL"]
        readings = await b.read(*wanted)
        assert [reading.quality for reading in readings] == [
            Quality.Good, Quality.BadNodeIdUnknown, Quality.BadNodeIdUnknown, Quality.Good,
        ]  # fmt: skip
        assert "outside the area or block (0x05)" in readings[1].problem
        assert "the object does not exist (0x0a)" in readings[2].problem
        assert all("Optimized block access" in reading.hint for reading in readings[1:3])


async def test_what_was_refused_is_asked_alone_from_then_on_and_comes_back(bench, filled):
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


async def test_a_thousand_tags_of_a_missing_block_cost_few_jobs(bench, filled):
    async with bench(filled(db1=16), pdu=480, timeout_s=20.0) as b:
        assert set(await b.values(*[f"DB9:{4 * n}:REAL" for n in range(1000)])) == {None}
        assert b.driver.requests_sent <= 9 + 1000 / 20


async def test_a_closed_block_names_access_and_what_permits_it(bench, filled):
    cpu = filled(db1=16, db2=16)
    cpu.closed_blocks = {2}
    async with bench(cpu) as b:
        good, closed = await b.read("DB1:0:INT", "DB2:0:INT")
        assert good.quality is Quality.Good
        assert closed.quality is Quality.BadUserAccessDenied
        assert "not allowed (0x03)" in closed.problem
        assert "protection level" in closed.hint


async def test_put_get_switched_off_is_told_for_every_tag_in_one_job(bench, filled):
    cpu = filled(db1=16)
    cpu.put_get = False
    async with bench(cpu) as b:
        readings = await b.read("DB1:0:INT", "DB1:2:INT")
        assert {reading.quality for reading in readings} == {Quality.BadUserAccessDenied}
        assert "PUT/GET" in readings[0].hint
        assert b.driver.requests_sent == 1


async def test_a_wrong_raw_address_asks_nothing_of_the_cpu_for_that_tag(bench, filled):
    async with bench(filled(db1=16)) as b:
        wrong, good = await b.read("DB1.DBD4", "DB1:0:INT")
        assert (wrong.quality, good.quality) == (Quality.BadNodeIdInvalid, Quality.Good)
        assert "does not say its type" in wrong.problem


async def test_the_same_address_twice_is_read_once_and_answered_twice(bench, filled):
    async with bench(filled(db1=16)) as b:
        assert await b.values("DB1:0:INT", "DB1.DBW0:INT", "DB1:0:WORD") == [0, 0, 0]
        assert b.cpu.most_items == 1
