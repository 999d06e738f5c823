"""Writing: typed, once, and never in doubt about the doubt."""

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import DeviceRefusedError, OutcomeUnknownError, Quality, Tag, WriteRefusedError
from factorylm_skill.faults import FaultKind

NS = f"nsu={NAMESPACE}"


def tag(address: str, **keys: object) -> Tag:
    return Tag.model_validate({"device": "pump1", "name": "x", "address": f"{NS};s={address}", **keys})


@pytest.fixture(autouse=True)
async def as_before(server):
    """Each test finds the pump as it was."""
    yield
    for name, value, vtype in (("Setpoint", 1200, "UInt16"), ("Mode", 2, "Int32"), ("Beacon", False, "Boolean")):
        data = ua.DataValue(ua.Variant(value, getattr(ua.VariantType, vtype)))
        await server.server.write_attribute_value(server.node(f"Pump.{name}"), data)


def stored(server, name: str) -> object:
    return server.server.read_attribute_value(server.node(f"Pump.{name}")).Value.Value


async def test_a_value_arrives_in_the_nodes_type_and_engineering_units(driver, server):
    await driver.write(tag("Pump.Setpoint", scale=0.1), 130.0)
    await driver.write(tag("Pump.Mode", enum={0: "off", 1: "manual", 2: "automatic"}), "manual")
    assert (stored(server, "Setpoint"), stored(server, "Mode")) == (1300, 1)


@pytest.mark.parametrize(
    ("given", "value", "told"),
    [
        (tag("Pump.Setpoint"), 70_000, "UInt16"),
        (tag("Pump.Setpoint"), 1.5, "UInt16"),
        (tag("Pump.Setpoint"), "fast", "UInt16"),
        (tag("Pump.Setpoint", type="Double"), 1200, "the plant file says Double"),
        (tag("Pump.Mode", enum={0: "off"}), "warp", "no state"),
        (tag("Pump.Speed"), 1.0, "does not let us write"),
        (tag("Pump.Spectrum"), 1.0, "is an array"),
        (tag("Pump.Spectrum;index=1"), 1.0, "element of an array"),
        (tag("nowhere").model_copy(update={"address": "nsu=urn:none;s=x"}), 1, "no namespace"),
    ],
)
async def test_what_cannot_be_written_reaches_no_wire(driver, line, given, value, told):
    with pytest.raises(WriteRefusedError, match=told):
        await driver.write(given, value)
    assert line.requests["Write"] == 0


async def test_a_missing_node_is_the_devices_no(driver, line):
    with pytest.raises(DeviceRefusedError, match="no such node"):
        await driver.write(tag("Pump.Gone"), 1)
    assert line.requests["Write"] == 0


@pytest.mark.parametrize("fault", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.SHORT])
async def test_an_unanswered_write_is_unknown_and_sent_once(driver, line, server, fault):
    line.faults.set(fault, times=None, writes_only=True)
    with pytest.raises(OutcomeUnknownError, match=r"sent and not answered|answered 0 times"):
        await driver.write(tag("Pump.Setpoint"), 1250)
    line.faults.clear()
    assert (line.requests["Write"], line.faults.writes) == (1, 1)
    [reading] = await driver.read([tag("Pump.Setpoint")])
    assert reading.value == 1250


@pytest.mark.parametrize(
    ("status", "error", "quality"),
    [
        (ua.StatusCodes.BadUserAccessDenied, DeviceRefusedError, Quality.BadUserAccessDenied),
        (ua.StatusCodes.BadOutOfRange, DeviceRefusedError, Quality.BadOutOfRange),
        (ua.StatusCodes.BadWriteNotSupported, DeviceRefusedError, Quality.BadWriteNotSupported),
        (ua.StatusCodes.BadTimeout, OutcomeUnknownError, None),
    ],
)
async def test_the_servers_answer_to_a_write_is_told_as_it_is(driver, line, status, error, quality):
    def answered(name, message):
        if name != "WriteResponse":
            return message.whole
        answer = struct_from_binary(ua.WriteResponse, ua.utils.Buffer(message.body))
        answer.Results = [ua.StatusCode(status)]
        return message.with_body(struct_to_binary(answer))

    line.alter = answered
    with pytest.raises(error) as raised:
        await driver.write(tag("Pump.Setpoint"), 1250)
    assert raised.value.hint
    assert getattr(raised.value, "quality", None) == quality


async def test_a_write_on_a_connection_that_has_gone_is_made_on_a_fresh_one_once(driver, line, server):
    await driver.read([tag("Pump.Setpoint")])
    line.cut()
    await driver.write(tag("Pump.Setpoint"), 1260)
    assert (stored(server, "Setpoint"), line.requests["Write"]) == (1260, 1)


METHOD = {"object": f"{NS};s=Pump", "method": f"{NS};s=Pump.SetBeacon"}


async def test_a_tag_may_be_written_by_the_method_the_plant_file_names(driver, line, server):
    await driver.write(by_method(METHOD), value=True)
    assert (stored(server, "Beacon"), line.requests["Call"], line.requests["Write"]) == (True, 1, 0)


@pytest.mark.parametrize(
    ("method", "value", "told"),
    [
        (METHOD, "on", "Boolean"),
        ({**METHOD, "sends_value": False}, True, "takes 1 inputs"),
        ({**METHOD, "method": f"{NS};s=Pump.Explode"}, True, "no such node"),
        ({**METHOD, "object": "nsu=urn:none;s=x"}, True, "no namespace"),
    ],
)
async def test_a_method_that_does_not_fit_is_not_called(driver, line, server, method, value, told):
    with pytest.raises(WriteRefusedError, match=told):
        await driver.write(by_method(method), value)
    assert (stored(server, "Beacon"), line.requests["Call"]) == (False, 0)


async def test_a_method_s_no_is_told(driver, line):
    def refused(name, message):
        if name != "CallResponse":
            return message.whole
        answer = struct_from_binary(ua.CallResponse, ua.utils.Buffer(message.body))
        answer.Results[0].StatusCode = ua.StatusCode(ua.StatusCodes.BadNotExecutable)
        return message.with_body(struct_to_binary(answer))

    line.alter = refused
    with pytest.raises(DeviceRefusedError, match="may not be called now"):
        await driver.write(by_method(METHOD), value=True)


def by_method(method: dict[str, object]) -> Tag:
    return tag("Pump.Beacon", options={"write_method": method})
