"""Misbehaviour on the wire: right quality, a hint, values for the rest, never a wrong value, back without restart."""

import contextlib

import pytest
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_schema import DeviceError, Quality
from factorylm_skill import FaultKind

LIES = [FaultKind.GARBAGE, FaultKind.SHORT, FaultKind.LONG, FaultKind.WRONG_SEQUENCE, FaultKind.WRONG_UNIT]
LOSSES = [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.TRUNCATED, FaultKind.LATE]


def counting() -> SimulatedCpu:
    """A CPU in which every word holds its own number, so that a wrong value is seen."""
    return SimulatedCpu(blocks={1: bytearray(b"".join(n.to_bytes(2) for n in range(2000)))})


@pytest.mark.parametrize("kind", LIES + LOSSES)
async def test_a_single_fault_costs_a_second_request_and_no_value(bench, kind):
    async with bench(counting(), timeout_s=3.0, reply_timeout_s=0.4) as b:
        b.faults.late_s = 4
        b.faults.set(kind)
        assert await b.values("DB1:20:INT", "DB1:2000:INT") == [10, 1000]
        assert b.driver.requests_sent == 2


@pytest.mark.parametrize("kind", LIES + LOSSES)
async def test_a_lasting_fault_is_an_error_with_quality_and_hint_and_passes(bench, kind):
    async with bench(counting(), timeout_s=0.4) as b:
        b.faults.late_s = 2
        b.faults.set(kind, times=None)
        with pytest.raises(DeviceError) as failure:
            await b.values("DB1:20:INT")
        assert failure.value.quality.is_bad
        assert failure.value.hint
        b.faults.clear()
        assert await b.values("DB1:20:INT") == [10]


@pytest.mark.parametrize("kind", LIES + LOSSES)
async def test_what_was_answered_before_the_fault_is_kept(bench, kind):
    """Ten jobs, the fault strikes from the fourth on: three jobs' values stand, the others say why not."""
    wanted = [f"DB1:{2 * n}:INT" for n in range(1100)]
    async with bench(counting(), timeout_s=6.0, reply_timeout_s=0.3, pdu=240) as b:
        b.faults.late_s = 8
        answer, good = b.cpu.answer, 3

        def strikes_later(question: bytes) -> bytes:
            if b.cpu.jobs + 1 == good:
                b.faults.set(kind, times=None)
            return answer(question)

        b.cpu.answer = strikes_later
        readings = await b.read(*wanted)
    for number, reading in enumerate(readings):
        assert reading.value in (number, None)
        assert reading.value == number or (reading.quality.is_bad and reading.problem and reading.hint)
    values = sum(reading.value is not None for reading in readings)
    assert values == 3 * 111


async def test_a_late_reply_never_becomes_the_next_readings_value(bench):
    async with bench(counting(), timeout_s=0.3) as b:
        b.faults.late_s = 0.35
        for number in range(5):
            b.faults.set(FaultKind.LATE)
            try:
                late = await b.values(f"DB1:{2 * number}:INT")
            except DeviceError:
                late = [None]
            assert late in ([number], [None])
            assert await b.values(f"DB1:{2 * number + 200}:INT") == [number + 100]


async def test_a_reply_byte_by_byte_is_a_reply_unless_it_takes_too_long(bench):
    async with bench(counting(), timeout_s=1.5) as b:
        b.faults.set(FaultKind.TRICKLE)
        assert await b.values("DB1:20:INT") == [10]
    async with bench(counting(), timeout_s=0.3) as b:
        b.faults.set(FaultKind.TRICKLE, times=None)
        with pytest.raises(DeviceError) as failure:
            await b.values(*[f"DB1:{2 * n}:INT" for n in range(400)])
        assert failure.value.quality is Quality.BadTimeout
        b.faults.clear()
        assert await b.values("DB1:20:INT") == [10]


async def test_a_refused_answer_keeps_the_connection(bench):
    async with bench(counting()) as b:
        await b.values("DB1:20:INT")
        session = b.driver._owner._session
        b.faults.set(FaultKind.REFUSE)
        [reading] = await b.read("DB1:20:INT")
        assert reading.quality is Quality.BadUserAccessDenied
        assert b.driver._owner._session is session


@pytest.mark.parametrize("kind", LIES + LOSSES)
async def test_questions_about_the_cpu_survive_every_fault(bench, kind):
    async with bench(counting(), timeout_s=0.4, system_lists=True) as b:
        b.faults.late_s = 2
        b.faults.set(kind)
        told = None
        with contextlib.suppress(DeviceError):
            told = (await b.driver.identify()).product
        # a list cut short or grown still has its whole records: less may be told, nothing else
        assert told in (None, "CPU 315-2 PN/DP (simulated)", "6ES7 315-2EH14-0AB0", "")
        assert (await b.driver.identify()).product == "CPU 315-2 PN/DP (simulated)"


async def test_several_jobs_under_way_are_matched_by_their_numbers(bench):
    wanted = [f"DB1:{2 * n}:INT" for n in range(1500)]
    async with bench(counting(), pdu=240, max_in_flight=4) as b:
        assert await b.values(*wanted) == list(range(1500))
        assert b.driver._owner._session.max_in_flight == 4
        b.faults.set(FaultKind.WRONG_SEQUENCE)
        assert await b.values(*wanted) == list(range(1500))


async def test_no_more_jobs_are_under_way_than_the_cpu_agreed_to(bench):
    cpu = counting()
    cpu.max_in_flight = 2
    async with bench(cpu, pdu=240, max_in_flight=8) as b:
        await b.values("DB1:0:INT")
        assert b.driver._owner._session.max_in_flight == 2


async def test_a_loss_while_a_bad_tag_is_isolated_costs_no_other_tag(bench):
    """The second round, in which the tags of a refused item are asked for one by one, is lost altogether."""
    cpu = SimulatedCpu(blocks={1: bytearray(16), 2: bytearray(16)})
    async with bench(cpu, timeout_s=0.4) as b:
        answer = cpu.answer

        def silent_from_the_second_on(question: bytes) -> bytes:
            if question[10] == 4:  # the first read job; the fault strikes from the next one on
                b.faults.set(FaultKind.DROP, times=None)
            return answer(question)

        cpu.answer = silent_from_the_second_on
        readings = await b.read("DB1:14:INT", "DB1:16:INT", "DB2:0:INT")
    assert [reading.value for reading in readings] == [None, None, 0]
    assert {reading.quality for reading in readings[:2]} <= {Quality.BadTimeout, Quality.BadNoCommunication}
