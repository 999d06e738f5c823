"""Other people's parts: asyncua's whole server below our driver, asyncua's client above our simulator."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from asyncua import Client, Server, ua
from factorylm_opcua.driver import OpcuaDriver
from factorylm_schema import Device, Tag


@pytest.fixture(scope="session")
async def whole_server() -> AsyncIterator[tuple[Server, int]]:
    """A server as the library makes it, with every standard node."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace("urn:whole")
    await server.start()
    yield server, index
    await server.stop()


@pytest.fixture
async def above(whole_server) -> AsyncIterator[OpcuaDriver]:
    server, _ = whole_server
    driver = OpcuaDriver(Device(name="d", url=f"opc.tcp://127.0.0.1:{server.bserver.port}"))
    yield driver
    await driver.close()


def tag(address: str, **keys: object) -> Tag:
    return Tag.model_validate({"device": "d", "name": "x", "address": address, **keys})


async def test_every_kind_of_node_id_is_read_and_found_again_by_browsing(above, whole_server):
    server, index = whole_server
    guid = UUID("09087e75-8e5e-499b-954f-f2a9603db28a")
    ids = {
        "nsu=urn:whole;i=70000": ua.NodeId(70_000, index),
        "nsu=urn:whole;s=Ä;b": ua.NodeId("Ä;b", index),
        f"nsu=urn:whole;g={guid}": ua.NodeId(guid, index, ua.NodeIdType.Guid),
        "nsu=urn:whole;b=YWJj": ua.NodeId(b"abc", index, ua.NodeIdType.ByteString),
    }
    folder = await server.nodes.objects.add_folder(index, "Ids")
    for number, node in enumerate(ids.values()):
        await folder.add_variable(node, f"{index}:V{number}", number)
    readings = await above.read([tag(address) for address in ids])
    assert [(reading.address, reading.value) for reading in readings] == list(zip(ids, range(4), strict=True))
    page = await above.browse("Ids", "", 50, "")
    assert [row[1] for row in page.rows] == list(ids)


async def test_a_subtype_is_written_as_what_it_is_made_of(above, whole_server):
    """The node has no value yet, so its type is found by walking up the server's types."""
    server, index = whole_server
    for name, data_type, value, stored in [
        ("Duration", ua.NodeId(ua.ObjectIds.Duration), 2.5, ua.Variant(2.5, ua.VariantType.Double)),
        ("State", ua.NodeId(ua.ObjectIds.ServerState), 3, ua.Variant(3, ua.VariantType.Int32)),
    ]:
        node = await server.nodes.objects.add_variable(
            ua.NodeId(name, index), f"{index}:{name}", None, varianttype=ua.VariantType.Null, datatype=data_type
        )
        await node.set_writable()
        await above.write(tag(f"nsu=urn:whole;s={name}"), value)
        assert (await node.read_data_value()).Value == stored


async def test_the_whole_server_is_diagnosed_and_says_who_it_is(above):
    diagnosis = await above.diagnose()
    assert diagnosis.healthy
    assert diagnosis.identity is not None
    assert diagnosis.identity.product == "FreeOpcUa Python Server"


async def test_the_library_s_client_reads_our_simulator_as_we_do(server, driver, plant):
    async with Client(f"opc.tcp://127.0.0.1:{server.port}") as client:
        nodes = [client.get_node(server.node(f"Pump.{name}")) for name in ("Setpoint", "Nameplate", "Running")]
        theirs = [value.Value.Value for value in await client.read_attributes(nodes)]
        unit = await (await nodes[0].get_child("0:EngineeringUnits")).read_value()
    ours = await driver.read([plant.tag(f"pump1.{name}") for name in ("setpoint", "nameplate", "running")])
    assert [reading.value for reading in ours] == theirs
    assert unit.DisplayName.Text == "/min"
