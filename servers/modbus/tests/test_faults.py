"""Every fault on every link: the right quality, never a wrong value, and recovery without restart."""

import pytest
from factorylm_modbus.endpoint import Link
from factorylm_schema import BadReplyError, DeviceTimeoutError, NotConnectedError, Quality
from factorylm_skill.faults import FaultKind

LINKS = [Link.TCP, Link.RTU_TCP]
# On RTU garbage and long answers can look like a frame still to be completed, so only time tells
_RAISES = {
    FaultKind.DROP: (DeviceTimeoutError,),
    FaultKind.LATE: (DeviceTimeoutError, BadReplyError),
    FaultKind.GARBAGE: (BadReplyError,),
    FaultKind.SHORT: (BadReplyError,),
    FaultKind.LONG: (BadReplyError,),
    FaultKind.TRUNCATED: (NotConnectedError, BadReplyError),
    FaultKind.WRONG_SEQUENCE: (BadReplyError,),
    FaultKind.WRONG_UNIT: (BadReplyError,),
    FaultKind.DISCONNECT: (NotConnectedError,),
}
PATIENT = {"reply_timeout_s": 0.1, "late_reply_s": 0.05}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", _RAISES)
async def test_an_answer_that_cannot_be_trusted_is_no_value(link, kind, opened, simulated_device, tag):
    tags = [tag("hr@7"), tag("hr@200:REAL"), tag("co@3")]
    simulated_device.faults.late_s = 0.15
    async with opened(link=link, timeout_s=0.5, **PATIENT) as driver:
        assert (await driver.read(tags))[0].value == 7
        simulated_device.faults.set(kind, times=None)
        with pytest.raises(_RAISES[kind]) as failed:
            await driver.read(tags)
        assert failed.value.quality.is_bad
        assert failed.value.hint
        simulated_device.faults.clear()
        assert (await driver.read(tags))[0].value == 7


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", _RAISES)
async def test_a_single_fault_is_overcome_by_asking_once_more(link, kind, opened, simulated_device, tag):
    simulated_device.faults.late_s = 0.12
    async with opened(link=link, timeout_s=2, **PATIENT) as driver:
        simulated_device.faults.set(kind, times=1)
        readings = await driver.read([tag("hr@7"), tag("hr@200"), tag("co@3")])
    assert [r.value for r in readings] == [7, 200, True]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("kind", [FaultKind.DELAY, FaultKind.TRICKLE])
async def test_a_slow_answer_is_a_right_answer(link, kind, opened, simulated_device, tag):
    async with opened(link=link) as driver:
        simulated_device.faults.set(kind, times=2)
        readings = await driver.read([tag("hr@7"), tag("hr@200")])
    assert [r.value for r in readings] == [7, 200]


@pytest.mark.parametrize("link", LINKS)
async def test_a_refusal_is_the_tags_problem_and_keeps_the_connection(link, opened, simulated_device, tag):
    async with opened(link=link) as driver:
        simulated_device.faults.set(FaultKind.REFUSE)
        readings = await driver.read([tag("hr@7"), tag("hr@200")])
        assert simulated_device.connections == 1
    assert [r.value for r in readings] == [None, 200]
    assert readings[0].quality is Quality.BadDeviceFailure
    assert "exception 4 (server device failure)" in readings[0].problem


@pytest.mark.parametrize("answers_echo", [True, False])
async def test_a_late_rtu_answer_never_answers_the_next_question(answers_echo, opened, simulated_device, tag):
    """The bridge hands the late answer to the new connection; both registers' answers look alike."""
    if not answers_echo:
        simulated_device.silent_functions = frozenset({8})
    simulated_device.faults.late_s = 0.25
    async with opened(
        link=Link.RTU_TCP, timeout_s=0.6 if answers_echo else 1.5, reply_timeout_s=0.1, late_reply_s=0.2
    ) as driver:
        for at in range(3):
            simulated_device.faults.set(FaultKind.LATE)
            first = tag(f"hr@{at}")
            readings = await driver.read([first])
            assert readings[0].value == at
            [second] = await driver.read([tag(f"hr@{at + 50}")])
            assert second.value == at + 50


async def test_an_echo_ends_the_doubt_also_about_answers_later_than_told(opened, simulated_device, tag):
    """late_reply_s is 0 here, so only the echo protects: the device answers in order."""
    simulated_device.faults.late_s = 0.4
    async with opened(link=Link.RTU_TCP, timeout_s=1.2, reply_timeout_s=0.3, late_reply_s=0) as driver:
        simulated_device.faults.set(FaultKind.LATE)
        [first] = await driver.read([tag("hr@1")])
        [second] = await driver.read([tag("hr@2")])
    assert (first.value, second.value) == (1, 2)
    assert simulated_device.requests == 4


async def test_values_that_came_before_the_fault_are_kept(opened, simulated_device, tag):
    tags = [tag(f"hr@{at}") for at in (0, 100, 200)]
    async with opened(timeout_s=0.5, reply_timeout_s=0.3) as driver:
        await driver.read(tags)
        simulated_device.silent_at = 100
        readings = await driver.read(tags)
    assert [r.value for r in readings] == [0, None, 200]
    assert readings[1].quality is Quality.BadTimeout
