"""Reading through the driver, against the simulated device over real sockets."""

from datetime import UTC

import pytest
from factorylm_modbus.address import Table
from factorylm_modbus.endpoint import Link
from factorylm_schema import Quality
from factorylm_skill.faults import FaultKind

LINKS = [Link.TCP, Link.RTU_TCP]


@pytest.mark.parametrize("link", LINKS)
async def test_every_table_reads_with_value_unit_time_address_and_raw_bytes(link, opened, simulated_device, tag):
    simulated_device.put_bytes(Table.HOLDING_REGISTER, 107, bytes.fromhex("47f12000"))
    tags = [
        tag("40108:REAL", unit="m3/h"),
        tag("30003", scale=0.1, offset=-40, unit="Cel"),
        tag("00004"),
        tag("10001"),
    ]
    async with opened(link=link) as driver:
        readings = await driver.read(tags)
    assert [(r.value, r.unit, r.raw) for r in readings] == [
        (123456.0, "m3/h", "47f12000"),
        (60.2, "Cel", "03ea"),
        (True, "", "01"),
        (False, "", "00"),
    ]
    assert readings[0].address == "holding-register:108:REAL (40108, PDU 107 = 0x6B)"
    assert all(r.quality is Quality.Good and r.time.tzinfo is UTC for r in readings)
    assert [r.tag for r in readings] == [t.id for t in tags]


async def test_tags_close_together_cost_one_request(opened, simulated_device, tag):
    async with opened() as driver:
        readings = await driver.read([tag(f"hr@{at}") for at in (0, 3, 20, 37)])
    assert [r.value for r in readings] == [0, 3, 20, 37]
    assert simulated_device.requests == 1


@pytest.mark.parametrize(
    ("options", "requests"),
    [({}, 1), ({"max_registers": 10}, 4), ({"max_gap": 0}, 4), ({"one_request_per_tag": True}, 4)],
)
async def test_the_devices_limits_decide_how_many_requests(options, requests, opened, simulated_device, tag):
    async with opened(**options) as driver:
        readings = await driver.read([tag(f"hr@{at}") for at in (0, 15, 30, 45)])
    assert [r.value for r in readings] == [0, 15, 30, 45]
    assert simulated_device.requests == requests


async def test_a_forbidden_range_is_never_touched(opened, simulated_device, tag):
    del simulated_device._memory[Table.HOLDING_REGISTER][5]
    async with opened(forbidden=["hr@5..hr@6"]) as driver:
        readings = await driver.read([tag("hr@4"), tag("hr@7"), tag("hr@6"), tag("hr@4:REAL")])
    assert [r.value for r in readings] == [4, 7, None, None]
    assert [r.quality for r in readings[2:]] == [Quality.BadNodeIdInvalid] * 2
    assert "forbidden range hr@5..hr@6" in readings[2].problem
    assert simulated_device.requests == 2


async def test_a_hole_is_found_once_and_remembered(opened, simulated_device, tag):
    for at in range(40, 50):
        del simulated_device._memory[Table.HOLDING_REGISTER][at]
    tags = [tag(f"hr@{at}") for at in (30, 35, 39, 50, 55, 60)]
    async with opened() as driver:
        first = await driver.read(tags)
        learning = simulated_device.requests
        second = await driver.read(tags)
    assert [r.value for r in first] == [r.value for r in second] == [30, 35, 39, 50, 55, 60]
    assert learning <= 6
    assert simulated_device.requests == learning + 2


async def test_one_missing_register_costs_only_its_own_tag(opened, simulated_device, tag):
    del simulated_device._memory[Table.HOLDING_REGISTER][7]
    tags = [tag(f"hr@{at}") for at in range(20)]
    async with opened() as driver:
        first = await driver.read(tags)
        learning = simulated_device.requests
        second = await driver.read(tags)
        requests = simulated_device.requests - learning
        simulated_device.put(Table.HOLDING_REGISTER, 7, 77)
        third = await driver.read(tags)
    assert [r.value for r in first] == [r.value for r in second] == [*range(7), None, *range(8, 20)]
    assert first[7].quality is Quality.BadNodeIdUnknown
    assert "exception 2" in first[7].problem
    assert first[7].hint
    assert requests == 3
    assert third[7].value == 77


async def test_a_refusal_in_passing_is_not_remembered_as_a_hole(opened, simulated_device, tag):
    simulated_device.refusal = 2
    tags = [tag("hr@0"), tag("hr@9")]
    async with opened() as driver:
        simulated_device.faults.set(FaultKind.REFUSE)
        first = await driver.read(tags)
        simulated_device.requests = 0
        await driver.read(tags)
    assert [r.value for r in first] == [0, 9]
    assert simulated_device.requests == 1


async def test_a_device_with_a_smaller_limit_than_told_is_still_read(opened, simulated_device, tag):
    simulated_device.max_registers = 8
    async with opened() as driver:
        readings = await driver.read([tag(f"hr@{at}") for at in range(30)])
    assert [r.value for r in readings] == list(range(30))


async def test_a_wrong_raw_address_is_that_tags_problem_alone(opened, simulated_device, tag):
    async with opened() as driver:
        readings = await driver.read([tag("hr@1"), tag("nonsense"), tag("hr@2")])
        nothing = await driver.read([tag("nonsense")])
    assert [r.value for r in readings] == [1, None, 2]
    assert "40108" in readings[1].problem
    assert nothing[0].quality is Quality.BadNodeIdInvalid
    assert simulated_device.requests == 1


async def test_byte_orders_of_device_and_tag(opened, simulated_device, tag):
    simulated_device.put_bytes(Table.HOLDING_REGISTER, 0, bytes.fromhex("200047f1f147002000200abc"))
    tags = [
        tag("hr@0:REAL"),
        tag("hr@2:REAL{byte-order:BADC}"),
        tag("hr@5:UINT"),
        tag("hr@5:UINT", options={"byte_order": "BADC"}),
    ]
    async with opened(byte_order="CDAB") as driver:
        readings = await driver.read(tags)
    # one register's bytes are fixed by the specification; only the tag's own word can swap them
    assert [r.value for r in readings] == [123456.0, 123456.0, 0x0ABC, 0xBC0A]


async def test_enumerations_named_bits_and_ranges_are_told(opened, simulated_device, tag):
    simulated_device.put(Table.HOLDING_REGISTER, 1, 0b1010)
    tags = [
        tag("hr@2", enum={2: "automatic"}),
        tag("hr@3", enum={2: "automatic"}),
        tag("hr@1", options={"bits": {1: "running"}}),
        tag("hr@0", options={"bits": {1: "running"}}),
        tag("hr@50", max=40),
    ]
    async with opened() as driver:
        readings = await driver.read(tags)
    assert [r.value for r in readings] == ["automatic", 3, "running, bit 3", "none", 50]
    assert [r.quality for r in readings] == [
        Quality.Good,
        Quality.UncertainSubNormal,
        Quality.Good,
        Quality.Good,
        Quality.UncertainEngineeringUnitsExceeded,
    ]


async def test_what_is_no_number_is_no_value(opened, simulated_device, tag):
    simulated_device.put_bytes(Table.HOLDING_REGISTER, 0, bytes.fromhex("7fc000007f80000012af"))
    async with opened() as driver:
        readings = await driver.read([tag("hr@0:REAL"), tag("hr@2:REAL"), tag("hr@4:BCD")])
    assert [r.value for r in readings] == [None, None, None]
    assert [r.quality for r in readings] == [
        Quality.BadSensorFailure,
        Quality.BadSensorFailure,
        Quality.BadDecodingError,
    ]
    assert readings[2].raw == "12af"


async def test_tags_may_name_units_of_their_own_behind_a_gateway(opened, simulated_device, tag):
    simulated_device.units = frozenset({1, 7})
    async with opened() as driver:
        readings = await driver.read([tag("hr@1"), tag("7!40003", name="b"), tag("hr@3{unit-id:9}", name="c")])
    assert [r.value for r in readings] == [1, 2, None]
    assert readings[2].quality is Quality.BadNoCommunication
    assert "exception 11" in readings[2].problem


async def test_a_raw_address_reaches_only_units_that_the_plant_file_names(opened, simulated_device, tag):
    simulated_device.units = frozenset({1, 7, 8})
    async with opened(tags={"b": tag("7!40003", name="b")}) as driver:
        readings = await driver.read([tag("1!40002"), tag("7!40003"), tag("8!40003")])
    assert [r.value for r in readings] == [1, 2, None]
    assert "unit 8 is not one that the plant file names" in readings[2].problem
    assert simulated_device.requests == 2


async def test_a_silent_unit_costs_only_its_own_tags(opened, simulated_device, tag):
    tags = [tag("2!40001", name="a"), tag("hr@3"), tag("hr@200")]
    async with opened(link=Link.RTU_TCP, reply_timeout_s=0.1, late_reply_s=0.05) as driver:
        readings = await driver.read(tags)
    assert [r.value for r in readings] == [None, 3, 200]
    assert readings[0].quality is Quality.BadTimeout


async def test_many_requests_in_flight_and_several_connections_bring_the_same_values(opened, simulated_device, tag):
    tags = [tag(f"hr@{at}") for at in range(0, 300, 2)]
    async with opened(max_gap=0, max_in_flight=8, connections=3) as driver:
        readings = await driver.read(tags)
    assert [r.value for r in readings] == list(range(0, 300, 2))
    assert simulated_device.requests == 150


async def test_a_pause_between_requests_is_kept(opened, tag):
    import asyncio

    async with opened(max_gap=0, pause_ms=20) as driver:
        await driver.read([tag("hr@0")])
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await driver.read([tag("hr@0"), tag("hr@2"), tag("hr@4")])
        # three requests have at least two pauses between them: a promise to the device, not a measurement
        assert loop.time() - begun >= 0.04
