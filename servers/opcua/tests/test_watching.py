"""Subscriptions, history and alarms."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from factorylm_opcua.alarms import to_alarm
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import AlarmState, BadReplyError, BadRequestError, DeviceError, Quality, Tag
from factorylm_skill.driver import Samples
from factorylm_skill.faults import FaultKind

NS = f"nsu={NAMESPACE}"


def raw(address: str) -> Tag:
    return Tag(device="pump1", name="", address=address)


async def put(server, name: str, value: object, vtype: ua.VariantType) -> None:
    data = ua.DataValue(ua.Variant(value, vtype), SourceTimestamp=datetime.now(UTC))
    await server.server.write_attribute_value(server.node(name), data)


async def kept(server, value: float) -> None:
    """Wait until the server has put `value` into its history."""
    node = server.server.get_node(server.node("Pump.Speed"))
    async with asyncio.timeout(5):
        while value not in [found.Value.Value for found in await node.read_raw_history(None, None, 0)]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_changes_are_told_as_they_come_and_what_cannot_be_watched_at_once(driver, server, line):
    assert isinstance(driver, Samples)
    tags = [raw(f"{NS};s=Pump.Mode"), raw("nonsense"), raw(f"{NS};s=Pump.Gone")]
    async with asyncio.timeout(5), aclosing(driver.sample(tags, 0.05)) as changes:
        first = await anext(changes)
        assert {reading.quality for reading in first} == {Quality.BadNodeIdInvalid, Quality.BadNodeIdUnknown}
        assert [(r.tag, r.value) for r in await anext(changes)] == [(tags[0].id, 2)]
        await put(server, "Pump.Mode", 1, ua.VariantType.Int32)
        assert [(r.tag, r.value) for r in await anext(changes)] == [(tags[0].id, 1)]
        await put(server, "Pump.Mode", 2, ua.VariantType.Int32)
        assert [(r.tag, r.value) for r in await anext(changes)] == [(tags[0].id, 2)]
    assert line.requests["DeleteSubscriptions"] == 1


async def test_a_fast_source_is_told_change_by_change(driver, server):
    tags = [raw(f"{NS};s=Pump.Mode")]
    seen: list[object] = []
    async with asyncio.timeout(5), aclosing(driver.sample(tags, 0.1)) as changes:
        await anext(changes)
        for mode in (0, 1, 2):
            await put(server, "Pump.Mode", mode, ua.VariantType.Int32)
        while len(seen) < 3:
            seen += [reading.value for reading in await anext(changes)]
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("kind", [FaultKind.DISCONNECT, FaultKind.GARBAGE, FaultKind.WRONG_SEQUENCE])
async def test_a_lost_subscription_is_an_error_and_not_a_silence(driver, line, server, kind):
    async with asyncio.timeout(5), aclosing(driver.sample([raw(f"{NS};s=Pump.Mode")], 0.05)) as changes:
        await anext(changes)
        line.faults.set(kind, times=1)
        await put(server, "Pump.Mode", 1, ua.VariantType.Int32)
        await put(server, "Pump.Mode", 2, ua.VariantType.Int32)
        with pytest.raises(DeviceError):
            await anext(changes)
    [reading] = await driver.read([raw(f"{NS};s=Pump.Mode")])
    assert reading.value == 2


async def test_history_comes_oldest_first_in_pages_with_an_honest_end(driver, server):
    for k in range(5):
        await put(server, "Pump.Speed", 1000.0 + k, ua.VariantType.Double)
    await kept(server, 1004.0)
    tag = raw(f"{NS};s=Pump.Speed")
    now = datetime.now(UTC)
    whole = await driver.history(tag, now - timedelta(hours=1), now, 100)
    part = await driver.history(tag, now - timedelta(hours=1), now, 4)
    values = [reading.value for reading in whole.readings]
    assert values[-5:] == [1000.0, 1001.0, 1002.0, 1003.0, 1004.0]
    assert (whole.more, part.more) == (False, True)
    assert [reading.value for reading in part.readings] == values[:4]
    assert [r.time for r in whole.readings] == sorted(r.time for r in whole.readings)


async def test_history_is_followed_where_the_server_cuts_it(driver, server, line, monkeypatch):
    storage = server.server.iserver.history_manager.storage
    count = len(storage._datachanges[server.node("Pump.Speed")])
    monkeypatch.setattr(storage, "max_history_data_response_size", 2)
    now = datetime.now(UTC)
    found = await driver.history(raw(f"{NS};s=Pump.Speed"), now - timedelta(hours=1), now, 1000)
    assert len(found.readings) == count
    assert line.requests["HistoryRead"] >= count // 2


async def test_a_tag_without_history_is_told(driver):
    now = datetime.now(UTC)
    with pytest.raises(BadRequestError, match="keeps no history"):
        await driver.history(raw(f"{NS};s=Pump.Flow"), now - timedelta(hours=1), now, 10)


async def test_standing_alarms_are_listed_and_gone_ones_are_not(driver, server):
    assert (await driver.alarms(10)).alarms == []
    await server.raise_alarm(active=True)
    found = await driver.alarms(10)
    assert found.complete
    [alarm] = found.alarms
    assert (alarm.source, alarm.name, alarm.severity) == ("Pump", "BearingHot", 700)
    assert (alarm.state, alarm.text) == (AlarmState.UNACKNOWLEDGED, "Bearing temperature above 55 °C")
    await server.raise_alarm(active=False)
    [alarm] = (await driver.alarms(10)).alarms
    assert alarm.state is AlarmState.RETURNED_UNACKNOWLEDGED
    setattr(server.alarm.event, "AckedState/Id", True)
    server.alarm.event.Retain = False
    await server.alarm.trigger(message="acknowledged")
    assert (await driver.alarms(10)).alarms == []


async def test_a_server_that_cannot_repeat_its_alarms_is_told(driver, line, server):
    def refused(name, message):
        if name != "CallResponse":
            return message.whole
        from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

        answer = struct_from_binary(ua.CallResponse, ua.utils.Buffer(message.body))
        answer.Results[0].StatusCode = ua.StatusCode(ua.StatusCodes.BadMethodInvalid)
        return message.with_body(struct_to_binary(answer))

    line.alter = refused
    assert not (await driver.alarms(10)).complete


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"Active": True, "Acked": False}, AlarmState.UNACKNOWLEDGED),
        ({"Active": True, "Acked": True}, AlarmState.ACKNOWLEDGED),
        ({"Active": True}, AlarmState.ACKNOWLEDGED),
        ({"Active": False, "Acked": False}, AlarmState.RETURNED_UNACKNOWLEDGED),
        ({"Active": True, "Shelving": ua.NodeId(2930)}, AlarmState.NORMAL),
        ({"Active": True, "Shelving": ua.NodeId(2932)}, AlarmState.SHELVED),
        ({"Active": True, "Suppressed": True}, AlarmState.SUPPRESSED),
        ({"Active": True, "OutOfService": True}, AlarmState.OUT_OF_SERVICE),
    ],
)
def test_a_condition_s_states_become_the_alarm_s(fields, state):
    if fields.get("Shelving") == ua.NodeId(2930):  # unshelved
        state = AlarmState.ACKNOWLEDGED
    assert to_alarm({"ConditionName": "a", "SourceName": "b", "Severity": 5000, **fields}).state is state
    assert to_alarm({"ConditionName": "a", "SourceName": "b", "Severity": 5000, **fields}).severity == 1000


async def test_a_change_for_nobody_is_a_bad_answer(driver, line):
    from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary

    def misplaced(name, message):
        if name != "PublishResponse":
            return message.whole
        answer = struct_from_binary(ua.PublishResponse, ua.utils.Buffer(message.body))
        for part in answer.Parameters.NotificationMessage.NotificationData or []:
            part.MonitoredItems[0].ClientHandle = 77
        return message.with_body(struct_to_binary(answer))

    line.alter = misplaced
    async with asyncio.timeout(5), aclosing(driver.sample([raw(f"{NS};s=Pump.Mode")], 0.05)) as changes:
        with pytest.raises(BadReplyError, match="item 77"):
            await anext(changes)
