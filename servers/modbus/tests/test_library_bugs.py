"""pymodbus' verified faults, one by one: our own client does not have them, on the wire and against its server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from factorylm_modbus import connect, pdu
from factorylm_modbus.address import Table
from factorylm_modbus.driver import ModbusDriver
from factorylm_modbus.endpoint import Link
from factorylm_schema import BadReplyError, Device, NotConnectedError, OutcomeUnknownError, Quality, WriteRefusedError
from factorylm_skill.faults import FaultKind


@pytest.fixture
def dial() -> Callable[..., ModbusDriver]:
    def to(port: int, link: Link = Link.TCP, **options: object) -> ModbusDriver:
        return connect(Device(name="d", url=f"{link}://127.0.0.1:{port}?unit=1", options=dict(options)))

    return to


async def test_a_peer_that_answers_fewer_registers_is_not_believed(tag, foreign_server, dial):
    """pymodbus' own client takes one register for the two it asked for."""

    def shortened(sending: bool, pdu: Any) -> Any:
        if sending and hasattr(pdu, "registers"):
            pdu.registers = pdu.registers[:1]
        return pdu

    async with foreign_server(trace_pdu=shortened) as port:
        driver = dial(port)
        with pytest.raises(BadReplyError, match="4 bytes of data expected, 2 came"):
            await driver.read([tag("hr@20:REAL")])
        await driver.close()


async def test_an_unanswered_write_is_not_sent_four_times(tag, foreign_server, dial):
    """pymodbus' client repeats an unanswered write three times by default."""
    arrived = []

    def swallowed(sending: bool, data: bytes) -> bytes:
        if not sending:
            arrived.append(data)
        return b"" if sending else data

    async with foreign_server(trace_packet=swallowed) as port:
        driver = dial(port, reply_timeout_s=0.2)
        with pytest.raises(OutcomeUnknownError):
            await driver.write(tag("hr@1"), 5)
        await driver.close()
    assert len(arrived) == 1


async def test_a_text_of_124_registers_is_refused_before_it_is_sent(tag, foreign_server, dial):
    """Its client checks the size of no write: 124 registers make an over-long frame, and the peer resets."""
    async with foreign_server() as port:
        driver = dial(port)
        with pytest.raises(WriteRefusedError, match="1 to 123"):
            await driver.write(tag("hr@0:STRING[248]"), "x" * 248)
        await driver.close()


def test_more_coils_than_the_specification_allows_are_never_packed():
    """Its client lets 2000 through where 1968 are allowed (V1.1b3, 6.11)."""
    pdu.write_coils(1, 0, [True] * 1968)
    with pytest.raises(ValueError, match="1968"):
        pdu.write_coils(1, 0, [True] * 1969)


async def test_bits_that_pad_an_answer_are_no_values(opened, simulated_device, tag):
    """Its client gives bits in multiples of eight, whatever was asked."""
    async with opened() as driver:
        readings = await driver.read([tag(f"co@{at}") for at in range(11)])
    assert [reading.value for reading in readings] == [at % 3 == 0 for at in range(11)]


@pytest.mark.parametrize("link", [Link.TCP, Link.RTU_TCP])
async def test_a_late_answer_is_not_taken_for_the_next_questions(link, opened, simulated_device, tag):
    """On RTU its client takes it where the function code is the same (pymodbus 2636)."""
    simulated_device.faults.late_s = 0.15
    async with opened(link=link, timeout_s=1.0, reply_timeout_s=0.1, late_reply_s=0.1) as driver:
        simulated_device.faults.set(FaultKind.LATE, times=1)
        first = await asyncio.gather(driver.read([tag("hr@5")]), return_exceptions=True)
        [second] = await driver.read([tag("hr@6")])
    assert second.value == 6
    assert all(reading.value == 5 for answer in first if isinstance(answer, list) for reading in answer)


async def test_an_answer_of_another_transaction_is_no_value(opened, simulated_device, tag):
    async with opened(reply_timeout_s=0.1, timeout_s=0.5) as driver:
        simulated_device.faults.set(FaultKind.WRONG_SEQUENCE, times=None)
        with pytest.raises(BadReplyError):
            await driver.read([tag("hr@5")])
        simulated_device.faults.clear()
        assert [reading.value for reading in await driver.read([tag("hr@6")])] == [6]


async def test_as_many_questions_are_under_way_as_the_plant_file_says(dial, tag):
    """Its client has one under way on a connection, however many tasks ask."""

    async def answer_when_all_have_come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(8):
            question = await reader.readexactly(12)
            questions.append(question[:2] + b"\0\0\0\5\1\3\2" + question[8:10])  # the register holds its address
        writer.writelines(questions)
        await reader.read()
        writer.close()
        over.set()

    questions, over = list[bytes](), asyncio.Event()
    server = await asyncio.start_server(answer_when_all_have_come, "127.0.0.1", 0)
    driver = dial(server.sockets[0].getsockname()[1], max_in_flight=8, max_gap=0)
    readings = await driver.read([tag(f"hr@{at}") for at in range(0, 160, 20)])
    await driver.close()
    await asyncio.wait_for(over.wait(), 5)
    server.close()
    await server.wait_closed()
    assert [reading.value for reading in readings] == list(range(0, 160, 20))


async def test_a_server_that_drops_questions_asked_together_costs_values_and_never_mixes_them(
    tag, foreign_server, dial
):
    """Its server answers one of eight questions that arrive together."""
    tags = [tag(f"hr@{at}:UINT") for at in range(0, 40, 5)]
    async with foreign_server() as port:
        one_by_one, together = dial(port, max_gap=0), dial(port, max_gap=0, max_in_flight=8, reply_timeout_s=0.3)
        values = [reading.value for reading in await one_by_one.read(tags)]
        readings = await together.read(tags)
        await one_by_one.close()
        await together.close()
    assert None not in values
    answered = [(reading.value, value) for reading, value in zip(readings, values, strict=True) if not reading.problem]
    assert answered
    assert all(read == value for read, value in answered)
    lost = [reading for reading in readings if reading.problem]
    assert lost
    assert {reading.quality for reading in lost} == {Quality.BadTimeout}
    assert {reading.hint for reading in lost} == {
        "Many devices answer only one question at a time: set max_in_flight = 1"
    }


async def test_a_lost_connection_is_told_where_it_is_awaited(dial, tag):
    """Its ConnectionException comes from the call itself, outside of what an await can guard."""
    driver = dial(1)
    job = driver.read([tag("hr@0")])
    with pytest.raises(NotConnectedError):
        await job


async def test_bytes_within_registers_are_swapped_where_the_library_knows_only_words(opened, simulated_device, tag):
    expected = {"ABCD": "47f12000", "CDAB": "200047f1", "BADC": "f1470020", "DCBA": "0020f147"}
    async with opened() as driver:
        for order, wire in expected.items():
            simulated_device.put_bytes(Table.HOLDING_REGISTER, 20, bytes.fromhex(wire))
            [reading] = await driver.read([tag("hr@20:REAL", options={"byte_order": order})])
            assert (reading.value, reading.raw) == (123456.0, wire)


async def test_a_read_past_the_device_is_a_refusal_and_not_zeros(foreign_server, dial, tag):
    async with foreign_server() as port:
        driver = dial(port)
        [reading] = await driver.read([tag("hr@65535")])
        await driver.close()
    assert (reading.value, reading.quality) == (None, Quality.BadNodeIdUnknown)
