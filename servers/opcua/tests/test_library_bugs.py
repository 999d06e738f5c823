"""asyncua's verified faults and traps, one by one: our driver is not affected."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.faulty_line import Message
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import BadReplyError, DeviceRefusedError, Quality, Tag

NS = f"nsu={NAMESPACE}"


def raw(address: str) -> Tag:
    return Tag(device="pump1", name="", address=address)


def tag(name: str, **keys: object) -> Tag:
    return Tag.model_validate({"device": "pump1", "name": "x", "address": f"{NS};s=Pump.{name}", **keys})


@pytest.fixture
async def library(line) -> AsyncIterator[Client]:
    """The bare library, to show that the trap is there."""
    client = Client(f"opc.tcp://127.0.0.1:{line.port}", timeout=2)
    async with client:
        yield client


async def written(line, write) -> bytes:
    """The WriteRequest that `write` puts on the wire; its DataValue is what it ends with."""
    bodies: list[bytes] = []
    line.watch = lambda name, body: bodies.append(body) if name == "WriteRequest" else None
    await write()
    line.watch = None
    [body] = bodies
    return body


async def test_a_write_carries_the_value_alone_where_the_library_adds_a_time(driver, line, library, server):
    node = library.get_node(server.node("Pump.Mode"))
    theirs = await written(line, lambda: node.write_value(2, ua.VariantType.Int32))
    value = b"\x06\x02\x00\x00\x00"  # Int32, 2
    assert value in theirs
    assert not theirs.endswith(value), "the library adds nothing any more: this driver's own way may go"
    ours = await written(line, lambda: driver.write(tag("Mode"), 2))
    assert ours.endswith(b"\xff\xff\xff\xff\x01" + value)  # no index range; only a value, no status, no times


async def test_a_write_carries_the_time_where_the_plant_file_asks_for_it(plant, line):
    driver = OpcuaDriver(plant.device("pump1").model_copy(update={"options": {"source_timestamps": True}}))
    try:
        body = await written(line, lambda: driver.write(tag("Mode"), 2))
        assert body[-14:-8] == b"\x05\x06\x02\x00\x00\x00"  # value and source time
    finally:
        await driver.close()


async def test_a_number_is_written_as_the_nodes_type_where_the_library_takes_int64(driver, library, server, line):
    with pytest.raises(ua.UaStatusCodeError, match="BadTypeMismatch"):
        await library.get_node(server.node("Pump.Setpoint")).write_value(1200)
    body = await written(line, lambda: driver.write(tag("Setpoint"), 1200))
    assert body.endswith(b"\x01\x05\xb0\x04")  # a value alone: UInt16, 1200


async def test_a_bad_node_is_told_where_the_library_gives_none(driver, library, server):
    bad = ua.NodeId("Pump.Gone", server.index)
    assert await library.read_values([library.get_node(bad)]) == [None]
    [reading] = await driver.read([raw(f"{NS};s=Pump.Gone")])
    assert reading.quality is Quality.BadNodeIdUnknown


async def test_a_server_that_takes_less_than_it_states_is_asked_for_less(driver, line, server):
    tags = [raw(f"{NS};s=N{k}") for k in range(100)]
    server.core.most_reads = 30
    try:
        first = await driver.read(tags)
        spent = line.requests["Read"]
        again = await driver.read(tags)
        assert [r.quality for r in first] == [r.quality for r in again] == [Quality.BadNodeIdUnknown] * 100
        assert line.requests["Read"] - spent == 4, "the smaller size was not remembered"
    finally:
        server.core.most_reads = 0


async def test_a_namespace_uri_is_resolved_where_the_library_ignores_it(driver, library):
    address = f"{NS};s=Pump.Setpoint"
    with pytest.raises(ua.UaStatusCodeError):
        await library.get_node(address).read_value()
    [reading] = await driver.read([raw(address)])
    assert reading.value == 1200


async def test_a_renumbered_namespace_never_gives_another_nodes_value(driver, line, server):
    """Two namespaces change places behind the driver's back, as after a restart of the server."""
    core = server.server
    table = core.get_node(ua.NodeId(ua.ObjectIds.Server_NamespaceArray))
    one, two = await core.register_namespace("urn:one"), await core.register_namespace("urn:two")
    nodes = [
        await core.nodes.objects.add_variable(ua.NodeId("X", index), f"{index}:X", value)
        for index, value in ((one, 1.0), (two, 2.0))
    ]
    tags = [raw("nsu=urn:one;s=X"), raw("nsu=urn:two;s=X"), raw(f"ns={one};s=X"), raw(f"ns={two};s=X")]
    uris = await table.read_value()
    try:
        before = await driver.read(tags)
        swapped = list(uris)
        swapped[one], swapped[two] = uris[two], uris[one]
        await table.write_value(swapped)
        await nodes[0].write_value(2.0)
        await nodes[1].write_value(1.0)
        line.cut()
        after = await driver.read(tags)
        assert [reading.value for reading in before] == [1.0, 2.0, 1.0, 2.0]
        assert [reading.value for reading in after] == [1.0, 2.0, 1.0, 2.0]
    finally:
        await table.write_value(uris[:one])
        await core.delete_nodes(nodes)


async def test_an_unreachable_name_in_the_servers_list_is_not_used(driver, line, server):
    def misnamed(name: str, message: Message) -> bytes:
        if name != "GetEndpointsResponse":
            return message.whole
        answer = struct_from_binary(ua.GetEndpointsResponse, ua.utils.Buffer(message.body))
        for endpoint in answer.Endpoints:
            endpoint.EndpointUrl = "opc.tcp://not-reachable.invalid:4840"
        return message.with_body(struct_to_binary(answer))

    line.alter = misnamed
    diagnosis = await driver.diagnose()
    assert diagnosis.healthy
    [endpoints] = [rung for rung in diagnosis.rungs if rung.name == "endpoints"]
    assert "calls itself not-reachable.invalid" in endpoints.evidence


async def test_a_folder_with_thousands_of_nodes_comes_in_pages(patient, server):
    core = server.server
    folder = await core.nodes.objects.add_folder(server.node("Big"), f"{server.index}:Big")
    for k in range(300):
        await folder.add_variable(server.node(f"Big.{k}"), f"{server.index}:V{k:04}", k)
    try:
        seen, cursor = [], ""
        while True:
            page = await patient.browse("Big", "", 70, cursor)
            assert len(page.rows) <= 70
            seen += [row[0] for row in page.rows]
            cursor = page.cursor
            if not cursor:
                break
        assert seen == [f"V{k:04}" for k in range(300)]
    finally:
        await core.delete_nodes([folder], recursive=True)


def other_service(message: Message) -> bytes:
    answer = struct_from_binary(ua.ReadResponse, ua.utils.Buffer(message.body))
    write = ua.WriteResponse(ResponseHeader=answer.ResponseHeader, Results=[ua.StatusCode(0)])
    return message.with_body(struct_to_binary(write))


def other_handle(message: Message) -> bytes:
    answer = struct_from_binary(ua.ReadResponse, ua.utils.Buffer(message.body))
    answer.ResponseHeader.RequestHandle += 1
    return message.with_body(struct_to_binary(answer))


@pytest.mark.parametrize("lie", [other_service, other_handle])
async def test_an_answer_under_the_right_request_id_must_also_be_that_requests(driver, line, lie):
    """asyncua looks only at the request id."""
    await driver.read([raw("i=2258")])
    line.alter = lambda name, message: lie(message) if name == "ReadResponse" else message.whole
    with pytest.raises(BadReplyError):
        await driver.read([raw(f"{NS};s=Pump.Setpoint")])
    line.alter = None
    [reading] = await driver.read([raw(f"{NS};s=Pump.Setpoint")])
    assert reading.value == 1200


async def test_bytes_that_are_no_message_are_noticed_before_the_timeout(driver, line):
    """asyncua waits for the rest of a message whose size it read from noise."""
    tags = [raw(f"{NS};s=Pump.Setpoint")]
    await driver.read(tags)
    line.alter = lambda name, message: b"\x93NO UA AT ALL\xff" * 5 if name == "ReadResponse" else message.whole
    with pytest.raises(BadReplyError):
        await driver.read(tags)
    line.alter = None
    [reading] = await driver.read(tags)
    assert reading.value == 1200


async def test_an_idle_connection_sends_nothing_by_itself(driver, line):
    """asyncua's client asks for the server's state every second."""
    await driver.read([raw("i=2258")])
    assert driver._session.client._supervisor_task is None
    assert driver._session.client._renew_channel_task is None


async def test_keys_are_renewed_before_the_channel_ends(driver, line):
    await driver.read([raw("i=2258")])
    driver._session.client.secure_channel_timeout = 0
    before = line.requests["OPN"]
    [reading] = await driver.read([raw(f"{NS};s=Pump.Setpoint")])
    assert (reading.value, line.requests["OPN"] - before) == (1200, 1)


async def test_a_password_never_goes_out_on_an_unsecured_channel(secured, tmp_path, secured_device):
    """The plant file refuses this already. asyncua would encrypt it for whatever certificate comes back, or fail
    with an AttributeError where none does."""
    driver = OpcuaDriver(secured_device(secured, tmp_path, security="none"))
    with pytest.raises(DeviceRefusedError, match="so it was not sent"):
        await driver.read([raw("i=2258")])
    await driver.close()


async def test_bounds_that_nobody_asked_for_are_no_values(driver, server, monkeypatch):
    storage = server.server.iserver.history_manager.storage
    bound = ua.DataValue(ua.Variant(None), ua.StatusCode(ua.StatusCodes.BadBoundNotFound))
    bad = ua.DataValue(ua.Variant(None), ua.StatusCode(ua.StatusCodes.BadSensorFailure))
    good = ua.DataValue(ua.Variant(5.0), SourceTimestamp=datetime.now(UTC))

    async def bounded(*_: object) -> object:
        return [bound, good, bad, bound], None

    monkeypatch.setattr(storage, "read_node_history", bounded)
    now = datetime.now(UTC)
    found = await driver.history(raw(f"{NS};s=Pump.Speed"), now - timedelta(hours=1), now, 10)
    assert [(r.value, r.quality) for r in found.readings] == [(5.0, Quality.Good), (None, Quality.BadSensorFailure)]
