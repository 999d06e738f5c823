"""Reading tags: status first, then value; one bad tag never spoils a batch."""

from datetime import UTC, datetime

import pytest
from asyncua import ua
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import Quality, Tag

NS = f"nsu={NAMESPACE}"


def raw(address: str, **keys: object) -> Tag:
    return Tag.model_validate({"device": "pump1", "name": "", "address": address, **keys})


@pytest.fixture
def put(server):
    """Set a node of the server to a DataValue: `await put("Pump.Flow", status=…)`; set back afterwards."""

    async def put_(name, value=1.0, vtype=ua.VariantType.Double, status=0, node=None, time=None):
        node = node or server.node(name)
        data = ua.DataValue(ua.Variant(value, vtype), ua.StatusCode(status), SourceTimestamp=time or datetime.now(UTC))
        # past the server's own checks: servers behind a gateway do change types
        server.server.iserver.aspace[node].attributes[ua.AttributeIds.Value].value = data

    return put_


@pytest.fixture
async def extra(server):
    """A variable that a test may do anything with."""
    anything = ua.NodeId(ua.ObjectIds.BaseDataType)
    node = await server.server.nodes.objects.add_variable(
        server.node("Extra"), f"{server.index}:Extra", 1.0, datatype=anything
    )
    yield server.node("Extra")
    await server.server.delete_nodes([node])


async def test_each_tag_has_its_reading_in_order_whatever_the_others_are(driver: OpcuaDriver):
    tags = [
        raw(f"{NS};s=Pump.Setpoint"),
        raw("no address"),
        raw(f"{NS};s=Pump.Gone"),
        raw("nsu=urn:nowhere;s=x"),
        raw("ns=99;s=x"),
        raw(f"{NS};s=Pump"),
        raw(f"{NS};s=Pump.Setpoint"),
        raw(f"{NS};s=Pump.Nameplate"),
    ]
    readings = await driver.read(tags)
    assert [(r.tag, r.value, r.quality) for r in readings] == [
        (tags[0].id, 1200, Quality.Good),
        (tags[1].id, None, Quality.BadNodeIdInvalid),
        (tags[2].id, None, Quality.BadNodeIdUnknown),
        (tags[3].id, None, Quality.BadNodeIdUnknown),
        (tags[4].id, None, Quality.BadNodeIdUnknown),
        (tags[5].id, None, Quality.Bad),
        (tags[6].id, 1200, Quality.Good),
        (tags[7].id, "FLM-PUMP-01", Quality.Good),
    ]
    assert all(reading.hint for reading in readings if reading.quality.is_bad)
    assert NAMESPACE in readings[3].hint


async def test_a_bad_status_is_never_hidden_behind_a_value(driver, put, extra):
    for status, quality in [
        (ua.StatusCodes.BadSensorFailure, Quality.BadSensorFailure),
        (ua.StatusCodes.BadNotConnected, Quality.BadNotConnected),
        (ua.StatusCodes.BadDataUnavailable, Quality.Bad),
    ]:
        await put("Extra", 42.0, status=status)
        [reading] = await driver.read([raw(f"{NS};s=Extra")])
        assert (reading.value, reading.quality) == (None, quality)
        assert reading.problem
        assert reading.hint


async def test_an_uncertain_value_is_kept_and_doubted(driver, put, extra):
    await put("Extra", 42.0, status=ua.StatusCodes.UncertainLastUsableValue)
    [reading] = await driver.read([raw(f"{NS};s=Extra")])
    assert (reading.value, reading.quality) == (42.0, Quality.UncertainLastUsableValue)
    assert "old" in reading.problem


async def test_the_time_is_the_sources(driver, put, extra):
    time = datetime(2020, 2, 29, 12, 0, 0, 500_000, tzinfo=UTC)
    await put("Extra", 1.0, time=time)
    [reading] = await driver.read([raw(f"{NS};s=Extra")])
    assert reading.time == time


async def test_what_is_no_number_is_a_bad_reading(driver, put, extra):
    for value in (float("nan"), float("inf")):
        await put("Extra", value)
        [reading] = await driver.read([raw(f"{NS};s=Extra")])
        assert (reading.value, reading.quality) == (None, Quality.BadSensorFailure)


async def test_a_changed_type_is_a_problem_and_not_a_value(driver, put, extra):
    tag = raw(f"{NS};s=Extra", type="Double")
    [before] = await driver.read([tag])
    await put("Extra", "now a text", ua.VariantType.String)
    [after] = await driver.read([tag])
    assert before.value == 1.0
    assert (after.value, after.quality) == (None, Quality.BadTypeMismatch)
    assert "String" in after.problem


async def test_a_node_without_a_value_says_so(driver, put, extra):
    await put("Extra", None, ua.VariantType.Null)
    [reading] = await driver.read([raw(f"{NS};s=Extra")])
    assert (reading.value, reading.problem) == (None, "the node has no value")


async def test_one_element_of_an_array_is_read_by_its_index(driver):
    tags = [raw(f"{NS};s=Pump.Spectrum;index={k}") for k in (0, 1, 7, 8)]
    readings = await driver.read(tags)
    assert [reading.value for reading in readings] == [0.0, 0.841, 0.657, None]
    assert "0 to 7" in readings[3].hint


async def test_engineering_units_and_states_are_applied(driver, plant):
    scaled = plant.tag("pump1.setpoint").model_copy(update={"scale": 0.1, "max": 100.0})
    reading, mode = await driver.read([scaled, plant.tag("pump1.mode")])
    assert (reading.value, reading.quality) == (120.0, Quality.UncertainEngineeringUnitsExceeded)
    assert mode.value == "automatic"


async def test_an_address_by_number_is_answered_by_its_uri(driver, server):
    [reading] = await driver.read([raw(f"ns={server.index};s=Pump.Setpoint")])
    assert reading.address == f"{NS};s=Pump.Setpoint"


async def test_a_batch_goes_in_the_fewest_requests_and_twice_asked_is_read_once(driver, line):
    await driver.read([raw("i=2258")])
    before = line.requests["Read"]
    await driver.read([raw(f"{NS};s=Pump.{name}") for name in ("Speed", "Flow", "Speed", "Flow")])
    assert line.requests["Read"] - before == 1


async def test_reads_are_split_by_what_the_server_states(server, plant, line):
    device = plant.device("pump1")
    driver = OpcuaDriver(device.model_copy(update={"options": {"max_nodes_per_read": 10}}))
    try:
        await driver.read([raw("i=2258")])
        before = line.requests["Read"]
        tags = [raw(f"{NS};s=N{k}") for k in range(25)]
        assert [reading.tag for reading in await driver.read(tags)] == [tag.id for tag in tags]
        assert line.requests["Read"] - before == 3
    finally:
        await driver.close()


async def test_several_requests_in_flight_keep_their_order(plant, line):
    options = {"max_nodes_per_read": 3, "max_in_flight": 4}
    driver = OpcuaDriver(plant.device("pump1").model_copy(update={"options": options}))
    try:
        tags = [raw(f"{NS};s=Pump.Spectrum;index={k}") for k in range(8)] + [raw(f"{NS};s=N{k}") for k in range(30)]
        readings = await driver.read(tags)
        assert [reading.tag for reading in readings] == [tag.id for tag in tags]
        assert readings[1].value == 0.841
    finally:
        await driver.close()


async def test_who_the_server_is_comes_from_its_build_information(driver):
    identity = await driver.identify()
    assert (identity.vendor, identity.product, identity.revision) == ("FactoryLM", "Pump simulator", "0.1.0")
    assert identity.details["state"] == "running"
