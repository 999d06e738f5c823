"""python-snap7's verified faults, one by one: our driver does not have them.

Its own client and server also serve as a second opinion on our codec and our simulator.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import pytest
from factorylm_s7 import system_data
from factorylm_s7.driver import S7Driver
from factorylm_s7.owner import Owner
from factorylm_s7.session import Session
from factorylm_s7.simulated_cpu import STOPPED, SimulatedCpu
from factorylm_s7.simulator import serving
from factorylm_schema import Quality
from factorylm_skill import FaultKind
from snap7 import Area, Client, WordLen
from snap7.server import Server
from snap7.type import Block, SrvArea


@contextmanager
def library_server(**blocks: bytearray) -> Iterator[int]:
    """python-snap7's own server; gives its port."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Server(log=False)
    for name, data in blocks.items():
        area = {"db": SrvArea.DB, "mk": SrvArea.MK, "tm": SrvArea.TM, "ct": SrvArea.CT}[name[:2]]
        server.register_area(area, int(name[2:] or 0), data)
    server.start_to("127.0.0.1", port)
    try:
        yield port
    finally:
        server.stop()
        server.destroy()


@asynccontextmanager
async def library_client(cpu: SimulatedCpu) -> AsyncIterator[Client]:
    """python-snap7's client, connected to our simulator; call its methods in a thread."""
    async with serving(cpu) as port:
        client = Client()
        await asyncio.to_thread(client.connect, "127.0.0.1", 0, 1, port)
        try:
            yield client
        finally:
            await asyncio.to_thread(client.disconnect)


# -- a second opinion ---------------------------------------------------------------------------------------


async def test_our_driver_reads_and_writes_the_librarys_server(device, tag):
    memory, markers = bytearray(range(256)), bytearray(range(64))
    with library_server(db1=memory, mk=markers) as port:
        driver = S7Driver(device(port))
        wanted = ["DB1:4:INT", "DB1.DBX3.1", "DB1:100:DINT", "DB1:254:INT", "DB1:255:INT", "DB9:0:INT", "MW20:WORD"]
        readings = await driver.read([tag(address) for address in wanted])
        assert [r.value for r in readings] == [0x0405, True, 0x64656667, -257, None, None, 0x1415]
        assert {r.quality for r in readings[4:6]} == {Quality.BadNodeIdUnknown}
        await driver.write(tag("DB1:8:REAL"), 1.5)
        assert (await driver.read([tag("DB1:8:REAL")]))[0].value == 1.5
        await driver.close()


async def test_the_librarys_client_reads_and_writes_our_simulator():
    cpu = SimulatedCpu(blocks={2: bytearray(range(64)), 5: bytearray(8)})
    async with library_client(cpu) as client:

        def use() -> None:
            assert client.db_read(2, 4, 3) == bytearray([4, 5, 6])
            client.db_write(5, 0, bytearray([9, 8]))
            client.write_area(Area.DB, 5, 3, bytearray([1]), WordLen.Bit)
            assert cpu.blocks[5][:2] == bytearray([9 | 8, 8])
            _, several = client.read_multi_vars(
                [{"area": Area.DB, "db_number": 2, "start": n, "size": 3} for n in (0, 20, 40)]
            )
            assert [bytes(each) for each in several] == [bytes([n, n + 1, n + 2]) for n in (0, 20, 40)]
            assert client.read_area(Area.TM, 0, 3, 2) == bytearray(4)
            assert client.list_blocks().DBCount == 2
            assert client.list_blocks_of_type(Block.DB, 100) == [2, 5]
            assert client.get_block_info(Block.DB, 5).MC7Size == 8
            assert client.get_order_code().OrderCode == b"6ES7 315-2EH14-0AB0"
            assert client.get_cpu_info().ModuleTypeName == b"CPU 315-2 PN/DP (simulated)"
            assert client.get_plc_datetime() == datetime(2026, 11, 20, 13, 45)  # noqa: DTZ001

        await asyncio.to_thread(use)


# -- its faults, which are not ours -------------------------------------------------------------------------


async def test_one_job_is_under_way_where_one_was_negotiated(bench):
    """It negotiates one and then sends up to eight at once."""
    async with bench(SimulatedCpu(blocks={1: bytearray(4000)}), pdu=240) as b:
        loop, answer, counts = asyncio.get_running_loop(), b.cpu.answer, {"under way": 0, "most": 0}
        b.faults.delay_s = 0.002
        b.faults.set(FaultKind.DELAY, times=None)

        def answered() -> None:
            counts["under way"] -= 1

        def counted(question: bytes) -> bytes:
            counts["under way"] += 1
            counts["most"] = max(counts.values())
            loop.call_later(b.faults.delay_s, answered)  # just before the reply itself leaves
            return answer(question)

        b.cpu.answer = counted
        await b.values(*[f"DB1:{4 * n}:REAL" for n in range(1000)])
        assert b.driver.requests_sent == 19
        assert counts["most"] == 1


async def test_more_than_twenty_tags_are_read_at_once(bench):
    """It refuses more than 20 items before it merges them."""
    async with bench(SimulatedCpu(blocks={1: bytearray(400)})) as b:
        assert await b.values(*[f"DB1:{4 * n}:REAL" for n in range(100)]) == [0.0] * 100
        assert b.driver.requests_sent == 1


async def test_a_bit_is_written_as_a_bit_while_the_program_changes_its_neighbours(bench, tag):
    """Its write_tag reads the byte and writes the byte back, undoing what the program did in between."""
    cpu = SimulatedCpu(blocks={1: bytearray(1)})
    async with bench(cpu) as b:
        cpu.refresh = lambda each: each.blocks[1].__setitem__(0, each.blocks[1][0] | 0x80)
        await b.driver.write(tag("DB1.DBX0.0"), value=True)
        assert cpu.blocks[1][0] == 0x81
        assert cpu.jobs == 1


async def test_one_bad_item_leaves_the_others_their_values(bench):
    """It raises 'Multi-read item 1 failed' for the whole call."""
    async with bench(SimulatedCpu(blocks={1: bytearray(8), 3: bytearray(8)})) as b:
        assert await b.values("DB1:0:INT", "DB2:0:INT", "DB3:0:INT") == [0, None, 0]


async def test_missing_block_and_missing_address_are_one_kind_of_problem(bench):
    """0x0a, 0x05 and, from some servers, 'Data item is truncated' (see test_pdu for that one)."""
    async with bench(SimulatedCpu(blocks={1: bytearray(8)})) as b:
        readings = await b.read("DB1:100:INT", "DB2:0:INT")
        assert {reading.quality for reading in readings} == {Quality.BadNodeIdUnknown}
        assert all(reading.problem.startswith("address not readable") for reading in readings)


async def test_nothing_of_no_length_or_before_the_start_is_asked(bench):
    """db_read of 0 bytes answers nothing; a negative start raises ValueError."""
    async with bench() as b:
        readings = await b.read("DB1:0:INT[0]", "DB1:-1:INT", "DB1:0:STRING[0]")
        assert {reading.quality for reading in readings} == {Quality.BadNodeIdInvalid}
        assert b.cpu.jobs == 0


async def test_only_blocks_that_are_in_the_list_are_asked_about(bench):
    """get_block_info of a missing block confuses it: 'S7 response contains trailing bytes'."""
    async with bench(SimulatedCpu(blocks={1: bytearray(8), 9: bytearray(20)})) as b:
        page = await b.driver.browse("DB", "", 50, "")
        assert [row[:3] for row in page.rows] == [["DB1", "", 8], ["DB9", "", 20]]


async def test_a_stopped_cpu_is_told_as_stopped(bench):
    """Its get_cpu_state says RUN whatever the CPU does."""
    cpu = SimulatedCpu(blocks={1: bytearray(8)}, state=STOPPED)
    async with bench(cpu, system_lists=True) as b:
        rungs = {rung.name: rung for rung in (await b.driver.diagnose()).rungs}
        assert rungs["state"].outcome == "failed"
        assert rungs["state"].evidence == "the CPU is in STOP"
    async with library_client(cpu) as client:
        assert await asyncio.to_thread(_state_of, client) == "S7CpuStatusRun"


def _state_of(client: Client) -> str:
    try:
        return client.get_cpu_state()
    except Exception:  # noqa: BLE001 on some servers it raises instead
        return "S7CpuStatusRun"


async def test_the_diagnostic_buffer_has_the_events_and_their_times(bench):
    """Its read_diagnostic_buffer starts at the list's header and looks for the time in the wrong place."""
    async with bench(system_lists=True) as b:
        entries = await b.driver._owned(_diagnostic_buffer)
        noon = datetime(2026, 11, 20, 13, 45)  # noqa: DTZ001
        assert [(entry.event, entry.time) for entry in entries] == [(n, noon) for n in (0x4302, 0x4301, 0x4300)]
        assert str(entries[0]) == "2026-11-20 13:45:00 0x4302 from STARTUP to RUN"


def _diagnostic_buffer(owner: Owner, deadline: float) -> list[system_data.Entry]:
    return system_data.diagnostic_buffer(owner.connected(deadline))


async def test_protection_is_read_from_the_list_that_cpus_have(bench):
    """Its get_protection asks for SZL 0x0232, which many CPUs refuse; 0x0132 index 4 is answered."""
    async with bench(system_lists=True) as b:
        rungs = {rung.name: rung for rung in (await b.driver.diagnose()).rungs}
        assert rungs["protection"].evidence == "level 1: no protection; mode switch RUN"


async def test_a_cpu_without_component_list_still_says_what_it_can(bench):
    """An S7-1200 has no SZL 0x001C: 'Object does not exist' (python-snap7 issue 710)."""
    from factorylm_s7.simulated_cpu import SimulatedCpu as Full

    class Small(Full):
        def _system_list(self, asked) -> bytes | None:
            return None if asked[:2] == b"\0\x1c" else super()._system_list(asked)

    async with bench(Small(blocks={1: bytearray(8)}), system_lists=True) as b:
        identity = await b.driver.identify()
        assert (identity.product, identity.revision) == ("6ES7 315-2EH14-0AB0", "V3.2.11")


async def test_system_lists_are_not_read_unless_the_operator_allows_it(bench):
    """get_cpu_info has stopped failsafe CPUs (python-snap7 issue 467)."""
    async with bench() as b:
        seen, answer = [], b.cpu.answer
        b.cpu.answer = lambda question: seen.append(question) or answer(question)
        assert (await b.driver.identify()).product == ""
        await b.driver.diagnose()
        assert not [question for question in seen if question[1] == 7]


async def test_the_connection_takes_no_longer_than_the_device_allows(device):
    """Its connect waits 5 s, whatever is asked."""
    import socket

    from factorylm_schema import DeviceTimeoutError

    with socket.create_server(("127.0.0.1", 0)) as silent:
        driver = S7Driver(device(silent.getsockname()[1], timeout_s=0.2))
        async with asyncio.timeout(2):
            with pytest.raises(DeviceTimeoutError):
                await driver.browse("", "", 5, "")
        await driver.close()


async def test_one_thread_owns_the_connection(bench, monkeypatch):
    """Its client is not safe between threads."""
    users, receive = set(), Session._receive

    def noted(session: Session) -> bytes:
        users.add(threading.current_thread().name)
        return receive(session)

    monkeypatch.setattr(Session, "_receive", noted)
    async with bench() as b:
        for _ in range(5):
            await b.values("DB1:0:INT")
        await b.driver.browse("DB", "", 5, "")
    assert len(users) == 1
    assert users != {threading.current_thread().name}


def test_a_text_in_round_brackets_is_refused_where_it_is_written():
    """STRING(20) parses there and fails later, without a size."""
    from factorylm_s7.address import parse

    with pytest.raises(ValueError, match=r"write STRING\[20\]"):
        parse("DB1:12:STRING(20)")


async def test_the_largest_pdu_is_asked_for_and_the_cpus_is_used(bench):
    """Its default asks for 480."""
    async with bench() as b:
        await b.values("DB1:0:INT")
        assert b.driver._owner._session.budget.pdu == 960
