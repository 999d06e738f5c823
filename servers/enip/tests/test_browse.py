"""What a controller shows of itself, page by page."""

import contextlib

import pytest
from factorylm_enip.catalog import UploadUnfinishedError
from factorylm_enip.discovery import discover, parse_list_identity
from factorylm_enip.simulated_controller import Nameplate
from factorylm_schema import BadRequestError, UnknownNameError
from factorylm_skill.faults import FaultKind
from hypothesis import given
from hypothesis import strategies as st


async def _all(driver, path="", search="", limit=7):
    rows, cursor = [], ""
    while True:
        page = await driver.browse(path, search, limit, cursor)
        assert len(page.rows) <= limit
        rows += page.rows
        cursor = page.cursor
        if not cursor:
            return rows


async def test_the_controllers_tags_and_programs_are_listed_with_type_and_access(wire, drive):
    rows = await _all(drive(wire))
    assert rows[0] == ["Speed", "REAL", "read/write", ""]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["Flags"] == ["BOOL[96]", "read/write", ""]
    assert by_name["Grid"] == ["INT[3,4]", "read/write", ""]
    assert by_name["Label"] == ["STRING", "read/write", ""]
    assert by_name["Names"] == ["STRING[20][10]", "read/write", ""]
    assert by_name["M1"] == ["Motor", "read/write", "members"]
    assert by_name["Motors"] == ["Motor[40]", "read/write", "members"]
    assert by_name["Serial"] == ["DINT", "read only", ""]
    assert by_name["Program:Main"] == ["program", "", "tags"]
    assert not {"__hidden", "System"} & set(by_name)


async def test_a_program_and_a_structure_open_by_path(wire, drive):
    driver = drive(wire)
    assert await _all(driver, "program:main") == [["Program:Main.Cycle", "DINT", "read/write", ""]]
    assert await _all(driver, "Motors[3]") == [
        ["Motors[3].Run", "BOOL", "", ""],
        ["Motors[3].Fault", "BOOL", "", ""],
        ["Motors[3].Speed", "REAL", "", ""],
        ["Motors[3].Name", "STRING[20]", "", ""],
        ["Motors[3].Log", "INT[5]", "", ""],
    ]
    assert await _all(driver, "Mode") == [["Mode", "DINT", "read/write", ""]]


async def test_a_search_looks_through_all_programs(wire, drive):
    rows = await _all(drive(wire), search="cYc")
    assert rows == [["Program:Main.Cycle", "DINT", "read/write", ""]]


@pytest.mark.parametrize("path", ["Nope", "Program:Nope", "M1.Nope", "not a path!"])
async def test_a_path_that_leads_nowhere_is_refused_with_choices(wire, drive, path):
    with pytest.raises(UnknownNameError):
        await drive(wire).browse(path, "", 10, "")


async def test_an_old_controller_without_external_access_is_listed_too(serving, drive):
    async with serving(nameplate=Nameplate(major=17)) as wire:
        rows = await _all(drive(wire))
    assert rows[0] == ["Speed", "REAL", "", ""]


async def test_a_long_list_goes_on_where_the_time_ran_out(serving, drive):
    async with serving() as wire:
        for number in range(1500):
            wire.controller.tags.add(f"Machine_{number:05}_temperature_of_the_gear", "REAL")
        wire.faults.delay_s = 0.1
        wire.faults.set(FaultKind.DELAY, times=None)
        driver = drive(wire, timeout_s=1.6)
        rows, calls = None, 0
        while rows is None and calls < 20:
            calls += 1
            with contextlib.suppress(UploadUnfinishedError):
                rows = (await driver.browse("", "gear", 500, "")).rows
        assert rows is not None
        assert len(rows) == 500
        assert calls > 1
        assert wire.received[0x65] == 1, "the connection was thrown away"


# -- the network ----------------------------------------------------------------------------------


async def test_the_network_is_asked_only_where_the_plant_file_allows_it(wire, drive):
    with pytest.raises(BadRequestError, match="not allowed"):
        await drive(wire).browse("network:", "", 10, "")
    driver = drive(wire, discover=f"127.0.0.1:{wire.port}")
    page = await driver.browse("network:", "", 10, "")
    row = ["127.0.0.1", "1756-L83E/B simulated", "Rockwell Automation/Allen-Bradley", "33.011", "00c0ffee"]
    assert page.rows == [row]
    with pytest.raises(BadRequestError, match="path is network: alone"):
        await driver.browse("network:10.0.0.255", "", 10, "")


async def test_a_device_that_answers_twice_is_one_device(wire):
    """pycomm3 lists it once per local address."""
    wire.udp_answers = 3
    found = await discover("127.0.0.1", wire.port, patience_s=0.2)
    assert list(found) == ["127.0.0.1"]


@given(st.binary(max_size=120))
def test_any_datagram_is_an_identity_or_nothing(data):
    parse_list_identity(data)
    parse_list_identity(b"\x63\x00" + data)
