"""A server that misbehaves: the right quality, never a wrong value, and back without a restart."""

import asyncio

import pytest
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import (
    BadReplyError,
    DeviceError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    Tag,
)
from factorylm_skill.faults import FaultKind

NS = f"nsu={NAMESPACE}"
SETPOINT = Tag(device="pump1", name="", address=f"{NS};s=Pump.Setpoint")
OTHERS = [Tag(device="pump1", name="", address=f"{NS};s=Pump.Spectrum;index={k}") for k in range(8)]
NAMES = ["Setpoint", "Mode", "Nameplate", "Beacon", "Running", "Speed", "BearingTemperature", "Spectrum"]
EACH = [Tag(device="pump1", name="", address=f"{NS};s=Pump.{name}") for name in NAMES]
SPECTRUM = [0.0, 0.841, 0.909, 0.141, -0.757, -0.959, -0.279, 0.657]


async def value(driver: OpcuaDriver) -> object:
    [reading] = await driver.read([SETPOINT])
    return reading.value


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.REFUSE, DeviceRefusedError),
        (FaultKind.DROP, DeviceTimeoutError),
        (FaultKind.LATE, DeviceTimeoutError),
        (FaultKind.GARBAGE, BadReplyError),
        (FaultKind.SHORT, BadReplyError),
        (FaultKind.LONG, BadReplyError),
        (FaultKind.TRUNCATED, NotConnectedError),
        (FaultKind.WRONG_SEQUENCE, BadReplyError),
        (FaultKind.WRONG_UNIT, BadReplyError),
        (FaultKind.DISCONNECT, NotConnectedError),
    ],
)
async def test_a_lasting_fault_is_told_for_what_it_is_and_ends_with_the_fault(driver, line, kind, error):
    assert await value(driver) == 1200
    line.faults.late_s = 2.0
    line.faults.set(kind, times=None)
    with pytest.raises(DeviceError) as raised:
        await value(driver)
    assert type(raised.value).__mro__.index(error) <= 1
    assert raised.value.hint
    line.faults.clear()
    assert await value(driver) == 1200


@pytest.mark.parametrize(
    "kind",
    [k for k in FaultKind if k not in (FaultKind.REFUSE, FaultKind.DROP, FaultKind.LATE)],
)
async def test_a_passing_fault_is_not_even_noticed(driver, line, kind):
    assert await value(driver) == 1200
    line.faults.set(kind, times=1)
    assert await value(driver) == 1200


async def test_a_late_answer_answers_nothing_else(driver, line):
    await value(driver)
    line.faults.late_s = 1.3  # the driver waits 1 s
    line.faults.set(FaultKind.LATE, times=1)
    with pytest.raises(DeviceTimeoutError):
        await value(driver)
    for _ in range(5):
        readings = await driver.read(OTHERS)
        assert [reading.value for reading in readings] == SPECTRUM


async def test_a_server_that_goes_in_the_middle_of_a_batch_costs_no_wrong_value(plant, line):
    options = {"max_nodes_per_read": 2}
    device = plant.device("pump1").model_copy(update={"options": options, "timeout_s": 1.0})
    driver = OpcuaDriver(device)
    answered = 0

    def goes(name, message):
        nonlocal answered
        answered += name == "ReadResponse"
        if name == "ReadResponse" and answered == 2:
            line.cut()
        return message.whole

    try:
        before = await driver.read(EACH)
        line.alter = goes
        after = await driver.read(EACH)
        assert [reading.value for reading in after] == [reading.value for reading in before]
        assert answered > 4
    finally:
        await driver.close()


async def test_many_slow_answers_together_keep_to_the_timeout(plant, line):
    device = plant.device("pump1").model_copy(update={"options": {"max_nodes_per_read": 1}, "timeout_s": 1.0})
    driver = OpcuaDriver(device)
    try:
        await value(driver)
        line.faults.delay_s = 0.3
        line.faults.set(FaultKind.DELAY, times=None)
        with pytest.raises(DeviceTimeoutError, match="took longer than"):
            await driver.read(EACH)
        line.faults.clear()
        assert await value(driver) == 1200
    finally:
        await driver.close()


async def test_a_server_that_is_down_and_comes_back_is_found_again(driver, line):
    await value(driver)
    await line.down()
    with pytest.raises(NotConnectedError, match="nothing listens"):
        await value(driver)
    await line.up()
    assert await value(driver) == 1200


async def test_a_session_the_server_forgot_is_opened_again(driver, server):
    await value(driver)
    for session in list(server.server.iserver._external_sessions.values()):
        await session.close_session(delete_subs=True)
    assert await value(driver) == 1200


async def test_twenty_reads_at_once_get_their_own_answers(driver):
    tags = [OTHERS[k % 8] for k in range(20)]
    answers = await asyncio.gather(*(driver.read([tag]) for tag in tags))
    assert [readings[0].value for readings in answers] == [SPECTRUM[k % 8] for k in range(20)]


async def test_a_read_that_is_given_up_leaves_nothing_behind(driver, line):
    await value(driver)
    line.faults.set(FaultKind.LATE, times=1)
    line.faults.late_s = 0.2
    task = asyncio.ensure_future(driver.read([SETPOINT]))
    asked = asyncio.Event()
    line.watch = lambda *_: asked.set()
    await asyncio.wait_for(asked.wait(), 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    readings = await driver.read(OTHERS)
    assert [reading.value for reading in readings] == SPECTRUM


async def test_something_that_is_no_opc_ua_server_is_told_by_name(plant):
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    for handler, told in ((mute, "does not answer as an OPC UA"), (rude, "closed"), (web, "does not fit")):
        other = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        url = f"opc.tcp://127.0.0.1:{port}"
        driver = OpcuaDriver(plant.device("pump1").model_copy(update={"url": url, "timeout_s": 1.0}))
        with pytest.raises(DeviceError, match=told):
            await value(driver)
        with pytest.raises(NotConnectedError, match=told):  # a write surely was not sent
            await driver.write(SETPOINT, 1250)
        other.close()
        await other.wait_closed()


async def test_an_unknown_name_is_told(plant):
    url = "opc.tcp://no-such-host.invalid:4840"
    driver = OpcuaDriver(plant.device("pump1").model_copy(update={"url": url}))
    with pytest.raises(NotConnectedError, match=r"not known here|cannot be reached"):
        await value(driver)
