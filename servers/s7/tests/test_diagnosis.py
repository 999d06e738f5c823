"""The ladder: what was seen on each rung, and what to try where one fails."""

import socket

import pytest
from factorylm_s7.driver import S7Driver
from factorylm_s7.simulated_cpu import STOPPED, SimulatedCpu
from factorylm_schema import BadRequestError, Device, Tag
from factorylm_skill import FaultKind


def with_tags(device: Device, *addresses: str) -> Device:
    tags = {f"t{n}": Tag(device="plc", name=f"t{n}", address=a) for n, a in enumerate(addresses)}
    return device.model_copy(update={"tags": tags})


async def climbed(device: Device):
    driver = S7Driver(device)
    try:
        return await driver.diagnose()
    finally:
        await driver.close()


def outcomes(diagnosis):
    return {rung.name: rung.outcome for rung in diagnosis.rungs}


async def test_a_healthy_cpu_passes_every_rung_with_its_identity(bench, device):
    async with bench(SimulatedCpu(blocks={1: bytearray(16)})) as b:
        plc = with_tags(device(b.port, system_lists=True), "DB1:0:INT", "MW20:INT")
        diagnosis = await climbed(plc)
    steps = "network, rack and slot, session, access, identity, state, protection, diagnostic buffer, clock, tags"
    assert outcomes(diagnosis) == dict.fromkeys(steps.split(", "), "passed")
    assert diagnosis.healthy
    evidence = {rung.name: rung.evidence for rung in diagnosis.rungs}
    assert evidence["rack and slot"] == "a CPU answers at rack 0, slot 1"
    assert evidence["session"] == "PDU of 960 bytes, 1 job(s) at once"
    assert evidence["access"] == "DB1, M can be read"
    assert evidence["identity"] == "CPU 315-2 PN/DP (simulated), 6ES7 315-2EH14-0AB0, V3.2.11"
    assert evidence["clock"] == "2026-11-20 13:45:00"
    assert diagnosis.identity
    assert (diagnosis.identity.vendor, diagnosis.identity.serial) == ("Siemens", "S C-SIMULATED")


async def test_without_leave_the_cpu_is_not_asked_about_itself(bench, device):
    async with bench(SimulatedCpu(blocks={1: bytearray(16)})) as b:
        diagnosis = await climbed(with_tags(device(b.port), "DB1:0:INT"))
    cpu = next(rung for rung in diagnosis.rungs if rung.name == "cpu")
    assert cpu.outcome == "skipped"
    assert "system_lists = true" in cpu.next_step
    assert diagnosis.healthy


async def test_nobody_there_fails_the_network(device):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    diagnosis = await climbed(device(port))
    assert outcomes(diagnosis) == {"network": "failed"}
    assert "TCP port 102" in diagnosis.rungs[0].next_step


async def test_a_wrong_slot_fails_rack_and_slot(bench, device):
    async with bench() as b:
        diagnosis = await climbed(device(b.port, slot=2))
    assert outcomes(diagnosis) == {"network": "passed", "rack and slot": "failed"}
    assert "rack 0, slot 2" in diagnosis.rungs[1].evidence
    assert "S7-1200/1500: slot 1" in diagnosis.rungs[1].next_step


async def test_a_host_that_is_no_cpu_fails_rack_and_slot(device):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        diagnosis = await climbed(device(silent.getsockname()[1], timeout_s=0.2))
    assert outcomes(diagnosis) == {"network": "passed", "rack and slot": "failed"}


async def test_put_get_switched_off_fails_access_and_says_where_to_permit_it(bench, device):
    async with bench(SimulatedCpu(blocks={1: bytearray(16)}, put_get=False)) as b:
        diagnosis = await climbed(with_tags(device(b.port), "DB1:0:INT"))
    access = next(rung for rung in diagnosis.rungs if rung.name == "access")
    assert access.outcome == "failed"
    assert "PUT/GET" in access.next_step


async def test_a_missing_and_a_closed_block_are_named(bench, device):
    async with bench(SimulatedCpu(blocks={1: bytearray(16), 2: bytearray(16)}, closed_blocks={2})) as b:
        diagnosis = await climbed(with_tags(device(b.port), "DB1:0:INT", "DB2:0:INT", "DB3:0:INT", "DB1:14:REAL"))
    rungs = {rung.name: rung for rung in diagnosis.rungs}
    assert "DB2: access to the object is not allowed" in rungs["access"].evidence
    assert "DB3: address not readable" in rungs["access"].evidence
    assert "DB1" not in rungs["access"].evidence
    assert rungs["tags"].evidence.startswith("3 of 4 are not good: plc.t1: access")


async def test_a_stopped_cpu_fails_its_state_and_shows_what_happened(bench, device):
    cpu = SimulatedCpu(blocks={1: bytearray(16)}, state=STOPPED, events=[0x4562, 0x253A, 0x1234, 0xF000])
    async with bench(cpu) as b:
        diagnosis = await climbed(with_tags(device(b.port, system_lists=True), "DB1:0:INT"))
    rungs = {rung.name: rung for rung in diagnosis.rungs}
    assert rungs["state"].outcome == "failed"
    assert "values stand still" in rungs["state"].next_step
    assert rungs["diagnostic buffer"].evidence == (
        "2026-11-20 13:45:00 0x4562 STOP because of a programming error (no OB for it); "
        "2026-11-20 13:45:00 0x253A data block not loaded; "
        "2026-11-20 13:45:00 0x1234 organisation block event; "
        "2026-11-20 13:45:00 0xF000 event"
    )


async def test_a_cpu_that_refuses_system_lists_is_no_failure(bench, device):
    class Modern(SimulatedCpu):
        def _system_list(self, asked):
            return None

    async with bench(Modern(blocks={1: bytearray(16)})) as b:
        diagnosis = await climbed(with_tags(device(b.port, system_lists=True), "DB1:0:INT"))
    told = outcomes(diagnosis)
    assert (told["state"], told["protection"], told["tags"]) == ("skipped", "skipped", "passed")
    assert diagnosis.healthy


async def test_a_cpu_that_falls_silent_in_the_middle_fails_where_it_did(bench, device):
    async with bench(SimulatedCpu(blocks={1: bytearray(16)})) as b:
        b.faults.set(FaultKind.DROP, times=None)
        diagnosis = await climbed(with_tags(device(b.port, timeout_s=0.3), "DB1:0:INT"))
    assert outcomes(diagnosis) == {
        "network": "passed", "rack and slot": "passed", "session": "passed", "access": "failed",
    }  # fmt: skip


async def test_no_tags_are_no_failure(bench, device):
    async with bench() as b:
        diagnosis = await climbed(device(b.port))
    assert outcomes(diagnosis)["tags"] == "skipped"
    assert diagnosis.healthy


# -- the block list -----------------------------------------------------------------------------------------


async def test_browse_shows_kinds_then_blocks_page_by_page(bench):
    async with bench(SimulatedCpu(blocks={n: bytearray(n) for n in (3, 5, 30)})) as b:
        kinds = await b.driver.browse("", "", 50, "")
        assert kinds.rows[1] == ["DB", "DB", None, "3 data blocks: readable by address"]
        assert {row[0] for row in kinds.rows} == {"OB", "DB", "SDB", "FC", "SFC", "FB", "SFB"}
        first = await b.driver.browse("DB", "", 2, "")
        assert [row[:3] for row in first.rows] == [["DB3", "", 3], ["DB5", "", 5]]
        rest = await b.driver.browse("DB", "", 2, first.cursor)
        assert ([row[:3] for row in rest.rows], rest.cursor) == ([["DB30", "", 30]], "")
        assert [row[0] for row in (await b.driver.browse("db", "b3", 50, "")).rows] == ["DB3", "DB30"]
        assert (await b.driver.browse("FC", "", 50, "")).rows == []


async def test_an_unknown_kind_of_block_names_the_kinds(bench):
    async with bench() as b:
        with pytest.raises(BadRequestError, match="OB, DB, SDB"):
            await b.driver.browse("XY", "", 50, "")


async def test_a_cpu_that_tells_no_sizes_still_lists_its_blocks(bench):
    class Modern(SimulatedCpu):
        def _block_info(self, asked):
            return None

    async with bench(Modern(blocks={1: bytearray(16)})) as b:
        assert (await b.driver.browse("DB", "", 50, "")).rows == [["DB1", "", None, ""]]
