"""Structured values: their members by the server's own definitions, and nothing guessed where it gives none."""

import pytest
from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from factorylm_opcua import connect
from factorylm_schema import Device, Quality, Tag

NAMESPACE = "urn:factorylm:structures"


@pytest.fixture(scope="module")
async def recipes():
    """A server with a recipe: a text, an array, a state and limits; its port."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    index = await server.register_namespace(NAMESPACE)
    state = await new_enum(server, index, "RecipeState", ["Stopped", "Running"])
    limits, _ = await new_struct(
        server, index, "RecipeLimits", [new_struct_field(name, ua.VariantType.Double) for name in ("Low", "High")]
    )
    fields = [
        new_struct_field("Name", ua.VariantType.String),
        new_struct_field("Steps", ua.VariantType.Int32, array=True),
        new_struct_field("State", state),
        new_struct_field("Limits", limits),
    ]
    recipe, _ = await new_struct(server, index, "Recipe", fields)
    note = new_struct_field("Note", ua.VariantType.String, optional=True)
    noted, _ = await new_struct(server, index, "NotedRecipe", [note])
    await server.load_data_type_definitions()
    pale = ua.Recipe(Name="Pale", Steps=[1, 2], State=ua.RecipeState.Running, Limits=ua.RecipeLimits(1.5, 20.0))
    stout = ua.Recipe(Name="x" * 300, Steps=[], State=ua.RecipeState.Stopped, Limits=ua.RecipeLimits())
    for name, value, kind in (
        ("Pale", pale, recipe),
        ("Long", stout, recipe),
        ("Both", [pale, pale], recipe),
        ("Other", ua.RecipeLimits(1.0, 2.0), recipe),
        ("Noted", ua.NotedRecipe(Note="n"), noted),
    ):
        node = await server.nodes.objects.add_variable(ua.NodeId(name, index), f"{index}:{name}", value)
        await node.write_attribute(ua.AttributeIds.DataType, ua.DataValue(kind.nodeid))
    await server.start()
    yield server.bserver.port
    await server.stop()


@pytest.fixture
async def driver(recipes):
    one = connect(Device(name="d", url=f"opc.tcp://127.0.0.1:{recipes}", timeout_s=10))
    yield one
    await one.close()


def tag(address: str) -> Tag:
    return Tag(device="d", name="", address=f"nsu={NAMESPACE};s={address}")


PALE = '{"Name":"Pale","Steps":[1,2],"State":1,"Limits":{"Low":1.5,"High":20.0}}'


async def test_a_structure_is_read_as_its_members(driver):
    readings = await driver.read([tag("Pale"), tag("Both;index=1")])
    assert [(reading.value, reading.quality) for reading in readings] == [(PALE, Quality.Good), (PALE, Quality.Good)]


async def test_a_structure_too_long_to_show_names_its_members(driver):
    [reading] = await driver.read([tag("Long")])
    assert (reading.value, reading.quality) == (None, Quality.BadNotSupported)
    assert reading.problem == "the value is a structure too long to show: Name, Steps, State, Limits"


@pytest.mark.parametrize("name", ["Other", "Noted"])
async def test_a_value_of_another_type_and_optional_fields_stay_a_structure(driver, name):
    readings = await driver.read([tag(name), tag("Pale")])
    assert (readings[0].value, readings[0].quality) == (None, Quality.BadNotSupported)
    assert "the value is a structure of" in readings[0].problem
    assert readings[1].value == PALE


async def test_a_definition_is_asked_for_once_a_connection(driver):
    await driver.read([tag("Pale")])
    learned = [key for key in driver._session.remembered if key[0] == "structure"]
    sent = []
    session = driver._session
    read = type(session).read

    async def counted(nodes, **more):
        sent.append(nodes)
        return await read(session, nodes, **more)

    session.read = counted
    await driver.read([tag("Pale")])
    assert len(learned) == 1
    assert len(sent) == 1
