"""Devices that are not there, come back, or take too long."""

import pytest
from factorylm_schema import DeviceTimeoutError, NotConnectedError, Quality
from factorylm_skill.faults import FaultKind


async def test_a_closed_port_is_told_as_such(opened, tag, simulated_device):
    async with opened() as driver:
        pass
    with pytest.raises(NotConnectedError, match="nothing listens") as failed:
        await driver.read([tag("hr@0")])
    assert "502" in failed.value.hint
    with pytest.raises(NotConnectedError):
        await driver.write(tag("hr@0"), 1)


async def test_a_device_that_comes_back_is_read_without_restart(opened, tag, simulated_device):
    async with opened(reply_timeout_s=0.05) as driver:
        simulated_device.faults.set(FaultKind.DROP, times=None)
        with pytest.raises(DeviceTimeoutError, match="no answer within"):
            await driver.read([tag("hr@3")])
        simulated_device.faults.clear()
        [reading] = await driver.read([tag("hr@3")])
    assert reading.value == 3


async def test_a_connection_closed_between_two_reads_is_opened_again(opened, tag, simulated_device):
    async with opened() as driver:
        await driver.read([tag("hr@3")])
        await driver.close()
        [reading] = await driver.read([tag("hr@3")])
    assert reading.value == 3


async def test_time_that_runs_out_in_a_long_read_costs_only_what_was_not_read(opened, tag, simulated_device):
    simulated_device.faults.delay_s = 0.06
    simulated_device.faults.set(FaultKind.DELAY, times=None)
    tags = [tag(f"hr@{at}") for at in range(0, 100, 10)]
    async with opened(max_gap=0, timeout_s=0.4) as driver:
        readings = await driver.read(tags)
    read = [r for r in readings if r.quality is Quality.Good]
    assert 0 < len(read) < 10
    assert all(r.value == int(r.raw, 16) for r in read)
    assert {r.quality for r in readings if r not in read} == {Quality.BadTimeout}
    assert "fewer tags" in readings[-1].hint or "timeout_s" in readings[-1].hint
