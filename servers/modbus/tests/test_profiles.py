"""Register maps of real products: each names its source, each tag loads, and browse shows them."""

import json
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from factorylm_modbus import DIALECT, connect
from factorylm_modbus.profile import load_profile, profile_names
from factorylm_schema import BadRequestError, Device, UnknownNameError, load_plant


def test_there_are_at_least_three():
    assert profile_names() == ["carlo-gavazzi-em24", "eastron-sdm630", "xylem-hydrovar-hvl"]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_names_its_source_and_loads_as_a_tag_table(name: str, tmp_path: Path):
    profile = load_profile(name)
    assert profile.source.startswith("https://")
    options = "\n".join(f"{key} = {json.dumps(value)}" for key, value in profile.device.items())
    with as_file(files("factorylm_modbus").joinpath("profiles", f"{name}.csv")) as table:
        lines = ["[devices.x]", 'url = "modbus-tcp://10.0.0.5"', f'profile = "{name}"', options]
        file = tmp_path / "plant.toml"
        file.write_text("\n".join([*lines, f"tag_tables = [{json.dumps(table.as_posix())}]"]), encoding="utf-8")
        plant = load_plant(file, [DIALECT])
    tags = plant.devices["x"].tags
    assert len(tags) == len(profile.rows) >= 12
    assert all(tag.description for tag in tags.values())


async def test_browse_lists_the_profiles_and_then_one_register_map_page_by_page():
    driver = connect(Device(name="d", url="modbus-tcp://10.0.0.5"))
    top = await driver.browse("", "", 50, "")
    assert [row[0] for row in top.rows] == profile_names()
    first = await driver.browse("eastron-sdm630", "", 20, "")
    rest = await driver.browse("eastron-sdm630", "", 50, first.cursor)
    assert first.rows[0] == ["voltage_l1", "input-register:1:REAL", "V", "", "Voltage L1 to neutral"]
    assert len(first.rows) + len(rest.rows) == len(load_profile("eastron-sdm630").rows)
    assert rest.cursor == ""
    found = await driver.browse("eastron-sdm630", "Frequency", 50, "")
    assert [row[0] for row in found.rows] == ["frequency"]


async def test_a_devices_own_profile_is_where_browse_begins():
    driver = connect(Device(name="d", url="modbus-tcp://10.0.0.5", options={"profile": "carlo-gavazzi-em24"}))
    page = await driver.browse("", "serial", 5, "")
    assert page.rows == [["serial_number", "holding-register:20481:STRING[14]", "", "1", "Serial number"]]


async def test_an_unknown_profile_and_a_wrong_cursor_are_refused():
    driver = connect(Device(name="d", url="modbus-tcp://10.0.0.5"))
    with pytest.raises(UnknownNameError, match="eastron-sdm630"):
        await driver.browse("sdm630", "", 5, "")
    with pytest.raises(BadRequestError, match="cursor"):
        await driver.browse("", "", 5, "x")
