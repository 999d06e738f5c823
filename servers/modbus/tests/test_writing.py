"""Writing through the driver: once, in the type that was meant, and nothing that cannot be written."""

import pytest
from factorylm_modbus.address import Table
from factorylm_modbus.endpoint import Link
from factorylm_schema import DeviceRefusedError, OutcomeUnknownError, Quality, WriteRefusedError
from factorylm_skill.faults import FaultKind

LINKS = [Link.TCP, Link.RTU_TCP]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("function", ["single", "multiple"])
async def test_every_type_is_written_once_and_reads_back(link, function, opened, simulated_device, tag):
    pairs = [
        (tag("hr@1:INT"), -5),
        (tag("hr@2:REAL"), 1.5),
        (tag("hr@4:STRING[6]"), "Pump"),
        (tag("hr@10:UINT", scale=0.1), 20.3),
        (tag("hr@12:UINT", enum={0: "off", 2: "automatic"}), "automatic"),
        (tag("co@1"), True),
        (tag("hr@20:LBCD{byte-order:CDAB}"), 12345678),
    ]
    async with opened(link=link, write_function=function) as driver:
        for each, value in pairs:
            await driver.write(each, value)
        sent = simulated_device.faults.writes
        readings = await driver.read([each for each, _ in pairs])
    assert [r.value for r in readings] == [value for _, value in pairs]
    assert sent == len(pairs)


async def test_a_bit_of_a_register_is_changed_inside_the_device(opened, simulated_device, tag):
    simulated_device.put(Table.HOLDING_REGISTER, 5, 0x0F0F)
    async with opened() as driver:
        await driver.write(tag("hr@5.4"), value=True)
        await driver.write(tag("hr@5.8..11"), 3)
    assert simulated_device.get(Table.HOLDING_REGISTER, 5) == 0x031F


async def test_a_bit_is_not_written_by_reading_and_writing_the_register(opened, simulated_device, tag):
    simulated_device.unsupported = frozenset({22})
    async with opened() as driver:
        with pytest.raises(DeviceRefusedError, match="mask write") as refused:
            await driver.write(tag("hr@5.4"), value=True)
    assert "races" in refused.value.hint
    assert simulated_device.get(Table.HOLDING_REGISTER, 5) == 5


@pytest.mark.parametrize(
    ("address", "keys", "value", "why"),
    [
        ("30001", {}, 1, "no service that writes it"),
        ("10001", {}, True, "no service that writes it"),
        ("40001", {}, 70000, "holds 0 to 65535"),
        ("40001", {}, True, "takes a number"),
        ("40001", {"scale": 0.1}, 20.05, "whole number"),
        ("40001:REAL", {}, float("nan"), "finite"),
        ("00001", {}, 1, "true or false"),
        ("40001.3", {}, 1, "true or false"),
        ("40001", {"options": {"bits": {0: "a"}}}, 1, "named bits"),
        ("40001:STRING[2]", {}, "Pump", "the field holds 2"),
        ("nonsense", {}, 1, "not a Modbus address"),
    ],
)
async def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    address, keys, value, why, opened, simulated_device, tag
):
    async with opened() as driver:
        with pytest.raises(WriteRefusedError) as refused:
            await driver.write(tag(address, **keys), value)
    assert why in str(refused.value)
    assert simulated_device.requests == 0


async def test_a_device_without_the_write_function_is_told_with_the_other_kind(opened, simulated_device, tag):
    simulated_device.unsupported = frozenset({6})
    async with opened() as driver:
        with pytest.raises(DeviceRefusedError, match="no function 6") as refused:
            await driver.write(tag("hr@1"), 1)
    assert "write_function" in refused.value.hint


async def test_a_refused_write_says_with_which_exception(opened, tag):
    async with opened() as driver:
        with pytest.raises(DeviceRefusedError, match="exception 2") as refused:
            await driver.write(tag("hr@9000"), 1)
    assert refused.value.quality is Quality.BadNodeIdUnknown


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    "kind", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.SHORT, FaultKind.WRONG_UNIT]
)
async def test_an_unconfirmed_write_is_unknown_and_never_repeated(link, kind, opened, simulated_device, tag):
    async with opened(link=link, reply_timeout_s=0.1, late_reply_s=0.02) as driver:
        simulated_device.faults.set(kind, times=None)
        with pytest.raises(OutcomeUnknownError, match="sent once"):
            await driver.write(tag("hr@1"), 99)
        simulated_device.faults.clear()
        assert simulated_device.faults.writes == 1
        [reading] = await driver.read([tag("hr@1")])
    assert reading.value == 99


async def test_a_write_that_the_device_still_works_on_is_not_called_done(opened, simulated_device, tag):
    simulated_device.scripted = {6: bytes((0x86, 5))}
    async with opened() as driver:
        with pytest.raises(OutcomeUnknownError, match="exception 5"):
            await driver.write(tag("hr@1"), 5)
