"""Browsing: names, addresses, units; deep searches that end."""

import pytest
from asyncua import ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_schema import BadRequestError, DeviceRefusedError, UnknownNameError

NS = f"nsu={NAMESPACE}"


async def test_a_page_shows_what_a_plant_file_needs(driver):
    page = await driver.browse("Pump", "", 3, "")
    assert page.columns == ["name", "address", "kind", "type", "unit", "range", "writable"]
    assert page.rows == [
        ["Speed", f"{NS};s=Pump.Speed", "variable", "Double", "/min", "0 to 1800", False],
        ["Setpoint", f"{NS};s=Pump.Setpoint", "variable", "UInt16", "/min", "0 to 1800", True],
        ["Current", f"{NS};s=Pump.Current", "variable", "Float", "A", "0 to 40", False],
    ]
    assert page.cursor


async def test_a_row_s_address_is_the_next_path_and_a_tag_s_address(driver):
    top = await driver.browse("", "", 50, "")
    [pump] = [row for row in top.rows if row[0] == "Pump"]
    below = await driver.browse(str(pump[1]), "", 50, "")
    assert [row[0] for row in below.rows][-1] == "SetBeacon"
    assert below.rows[-1][2] == "method"


async def test_a_search_looks_at_all_levels_and_tells_the_way(driver):
    page = await driver.browse("", "TEMPERATURE", 50, "")
    assert [row[:2] for row in page.rows] == [["Pump/BearingTemperature", f"{NS};s=Pump.BearingTemperature"]]


async def test_a_wrong_path_names_what_there_is(driver):
    with pytest.raises(UnknownNameError, match="Pump"):
        await driver.browse("Pmp", "", 50, "")
    with pytest.raises(BadRequestError, match="no namespace"):
        await driver.browse("nsu=urn:none;s=x", "", 50, "")
    with pytest.raises(DeviceRefusedError, match="no such node"):
        await driver.browse(f"{NS};s=Pump.Gone", "", 50, "")
    with pytest.raises(DeviceRefusedError, match="no such node"):
        await driver.browse(f"{NS};s=Pump.Gone", "x", 50, "")
    with pytest.raises(BadRequestError, match="cursor"):
        await driver.browse("Pump", "", 50, "bm9uc2Vuc2U")


async def test_a_search_is_answered_before_it_looks_at_the_whole_world(driver, server, monkeypatch):
    monkeypatch.setattr("factorylm_opcua.browse._MOST_SEARCHED", 5)
    with pytest.raises(BadRequestError, match="Give a path nearer"):
        await driver.browse("", "zzz", 50, "")
    page = await driver.browse("Pump", "p", 50, "")
    assert [row[0] for row in page.rows][:2] == ["Speed", "Setpoint"]
    assert (page.rows[-1][2], "there may be more" in str(page.rows[-1][0])) == ("note", True)


async def test_a_list_that_the_server_cuts_is_followed_to_its_end(driver, server, monkeypatch):
    """asyncua's server gives everything at once and has no BrowseNext, so both are put in its way here."""
    service = server.server.iserver.view_service
    whole, process = service.browse, UaProcessor._process_message
    left: dict[bytes, list[ua.ReferenceDescription]] = {}

    def cut(references):
        result = ua.BrowseResult(References=references[:4])
        if references[4:]:
            result.ContinuationPoint = str(len(left)).encode()
            left[result.ContinuationPoint] = references[4:]
        return result

    async def processed(self, typeid, header, sequence, body):
        if typeid != ua.NodeId(ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary):
            return await process(self, typeid, header, sequence, body)
        asked = struct_from_binary(ua.BrowseNextParameters, body)
        answer = ua.BrowseNextResponse()
        rest = [left.pop(point) for point in asked.ContinuationPoints]
        answer.Parameters.Results = [] if asked.ReleaseContinuationPoints else [cut(part) for part in rest]
        self.send_response(header.RequestHandle, sequence, answer)
        return True

    monkeypatch.setattr(service, "browse", lambda p: [cut(result.References) for result in whole(p)])
    monkeypatch.setattr(UaProcessor, "_process_message", processed)
    page = await driver.browse("Pump", "", 50, "")
    assert len(page.rows) == 12
    assert page.rows[2][4:6] == ["A", "0 to 40"]
    assert not left
    monkeypatch.setattr("factorylm_opcua.browse._MOST_LISTED", 6)
    page = await driver.browse("Pump", "", 50, "")
    assert [row[2] for row in page.rows] == ["variable"] * 8 + ["note"]
    assert not left, "the rest of the list is still kept at the server"


async def test_pages_of_a_changed_question_do_not_mix(driver):
    first = await driver.browse("Pump", "", 2, "")
    other = await driver.browse("", "", 2, "")
    second = await driver.browse("Pump", "", 2, first.cursor)
    assert [row[0] for row in second.rows] == ["Current", "Flow"]
    assert other.rows != second.rows
