"""The plant file: what it gives, and how its faults are told."""

from pathlib import Path
from typing import Literal

import pytest
from factorylm_schema import Device, PlantDialect, PlantFileError, Tag, UnknownNameError, load_plant
from pydantic import BaseModel, ConfigDict


class DeviceOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    byte_order: Literal["ABCD", "CDAB"] = "ABCD"


class TagOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    byte_order: Literal["ABCD", "CDAB"] | None = None


def check_tag(tag: Tag, _: Device) -> None:
    if not tag.address.startswith("r"):
        raise ValueError(f"{tag.address!r} is not an address; it looks like r1")


DIALECT = PlantDialect(
    schemes=frozenset({"field-tcp"}), device_options=DeviceOptions, tag_options=TagOptions, check_tag=check_tag
)


@pytest.fixture
def plant_file(tmp_path: Path):
    def write(text: str, **tables: str) -> Path:
        for name, table in tables.items():
            (tmp_path / f"{name}.csv").write_text(table, encoding="utf-8")
        file = tmp_path / "plant.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def faults(file: Path) -> list[str]:
    with pytest.raises(PlantFileError) as caught:
        load_plant(file, [DIALECT])
    return [str(fault) for fault in caught.value.faults]


GOOD = """
[plant]
name = "Pump station 3"

[devices.pump1]
url = "field-tcp://127.0.0.1:5020?unit=1"
byte_order = "CDAB"
timeout_s = 0.5

[devices.pump1.tags]
speed = { address = "r1", unit = "/min", description = "Motor speed", byte_order = "ABCD" }
setpoint = { address = "r2", unit = "/min", write = { min = 0, max = 1800, max_step = 200, per_minute = 6 } }
mode = { address = "r3", enum = { 0 = "stopped", 1 = "running" } }
"""


def test_devices_tags_limits_and_the_dialects_own_keys_are_read(plant_file) -> None:
    plant = load_plant(plant_file(GOOD), [DIALECT])
    pump = plant.device("pump1")
    assert (plant.name, pump.scheme, pump.timeout_s, pump.options) == (
        "Pump station 3",
        "field-tcp",
        0.5,
        {"byte_order": "CDAB"},
    )
    assert [tag.id for tag in plant.tags()] == ["pump1.speed", "pump1.setpoint", "pump1.mode"]
    assert plant.tag("pump1.speed").options == {"byte_order": "ABCD"}
    assert plant.tag("pump1.mode").enum == {0: "stopped", 1: "running"}
    limits = plant.tag("pump1.setpoint").write
    assert limits
    assert (limits.min, limits.max, limits.max_step, limits.per_minute) == (0, 1800, 200, 6)


def test_a_device_of_a_skill_that_is_not_installed_keeps_its_keys_unread(plant_file) -> None:
    plant = load_plant(plant_file('[devices.x]\nurl = "other://h"\nslot = 3\n'), [DIALECT])
    assert plant.device("x").options == {"slot": 3}


def test_every_fault_is_told_at_once_with_file_line_key_and_what_is_allowed(plant_file) -> None:
    file = plant_file(
        """[plant]
nam = "x"

[devices.pump1]
url = "field-tcp://h"
byte_ordr = "ABCD"

[devices.pump1.tags]
speed = { address = "x1", unit = "rpm" }
level = { address = "x2" }
a = { addres = "r1" }
b = { address = "r1", write = { min = 5, max = 1 } }
c = { address = "r1", scale = "big" }
d = { address = "r1", byte_order = "ABDC" }
"""
    )
    assert faults(file) == [
        "plant.toml:6: devices.pump1.byte_ordr: 'byte_ordr' is not known here; did you mean byte_order?",
        "plant.toml:9: devices.pump1.tags.speed.unit: 'rpm' is not a UCUM unit; write '/min'",
        "plant.toml:9: devices.pump1.tags.speed.address: 'x1' is not an address; it looks like r1",
        "plant.toml:10: devices.pump1.tags.level.address: 'x2' is not an address; it looks like r1",
        "plant.toml:11: devices.pump1.tags.a: address is missing; is 'addres' meant for it?",
        "plant.toml:12: devices.pump1.tags.b.write: min 5 is above max 1",
        (
            "plant.toml:13: devices.pump1.tags.c.scale: input should be a valid number, "
            "unable to parse string as a number, not 'big'"
        ),
        "plant.toml:14: devices.pump1.tags.d.byte_order: 'ABDC' is not allowed; use 'ABCD' or 'CDAB'",
        "plant.toml:2: plant.nam: 'nam' is not known here; did you mean name?",
    ]


def test_a_misspelt_key_names_the_nearest_key(plant_file) -> None:
    [told] = faults(plant_file('[devices.p]\nurl = "field-tcp://h"\nbyte_ordr = "ABCD"\n'))
    assert told.startswith("plant.toml:3: devices.p.byte_ordr: 'byte_ordr' is not known here; did you mean byte_order")


def test_text_that_is_not_toml_names_its_line(plant_file) -> None:
    [told] = faults(plant_file("[plant]\nname = \n"))
    assert told.startswith("plant.toml:2: not TOML")


def test_a_tag_table_is_read_with_semicolons_bom_and_write_columns(plant_file) -> None:
    file = plant_file(
        '[devices.p]\nurl = "field-tcp://h"\ntag_tables = ["t.csv"]\n',
        t="\ufeffname;address;unit;scale;write_min;write_max;byte_order\n"
        "flow;r1;m3/h;0.1;;;CDAB\n;;;;;;\nsetpoint;r2;bar;;0;6;\n",
    )
    plant = load_plant(file, [DIALECT])
    flow, setpoint = plant.tags()
    assert (flow.unit, flow.scale, flow.options, flow.write) == ("m3/h", 0.1, {"byte_order": "CDAB"}, None)
    assert setpoint.write
    assert (setpoint.write.min, setpoint.write.max) == (0, 6)


def test_faults_of_a_tag_table_name_its_row_and_column(plant_file) -> None:
    file = plant_file(
        '[devices.p]\nurl = "field-tcp://h"\ntag_tables = ["t.csv", "none.csv"]\n\n'
        '[devices.p.tags]\nflow = { address = "r9" }\n',
        t='name,address,scale,colour\nflow,r1,,\nlevel,r2,"0,5",\nbad name,r3,,\nshort,r4\npressure,x,,\n',
    )
    told = faults(file)
    assert told[0].startswith("t.csv:1: colour: 'colour' is not known here")
    assert told[1:] == [
        "t.csv:2: flow: tag 'flow' is there twice",
        "t.csv:3: scale: '0,5' is not a number (write 0.5 with a point)",
        "t.csv:4: name: 'bad name': a tag name has only letters, digits and _ . - [ ]",
        "t.csv:5: the row has more or fewer cells than the header",
        "t.csv:6: pressure.address: 'x' is not an address; it looks like r1",
        "plant.toml:3: devices.p.tag_tables: 'none.csv' does not exist beside plant.toml",
    ]


def test_a_table_without_its_columns_or_in_another_encoding_is_told(plant_file, tmp_path: Path) -> None:
    file = plant_file('[devices.p]\nurl = "field-tcp://h"\ntag_tables = ["t.csv"]\n', t="tag,register\n")
    assert "t.csv:1: the header has no column address and no column name" in faults(file)
    (tmp_path / "t.csv").write_bytes("name,address\nDruck_ü,r1\n".encode("cp1252"))
    assert faults(file) == ["t.csv:2: not UTF-8; save it as UTF-8 (Excel: 'CSV UTF-8')"]


def test_a_missing_plant_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlantFileError, match="cannot be read: No such file"):
        load_plant(tmp_path / "plant.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plant = 3\n", "plant.toml:1: plant: is a table: [plant]"),
        ("devices = 3\n", "plant.toml:1: devices: is a table of devices: [devices.pump1]"),
        ("[devices]\np = 3\n", "plant.toml:2: devices.p: is a table: [devices.p]"),
        ('[devices."1p"]\nurl = "a://b"\n', "plant.toml:1: devices.1p: a device name starts with a letter"),
        ("[devices.p]\n", "plant.toml:1: devices.p: url is missing"),
        ('[devices.p]\nurl = "nonsense"\n', "plant.toml:2: devices.p.url: a device's url looks like"),
        ('[devices.p]\nurl = "a://u:secret@h"\n', "plant.toml:2: devices.p.url: a password does not belong"),
        ('[devices.p]\nurl = "field-tpc://h"\n', "plant.toml:2: devices.p.url: 'field-tpc' is not known here"),
        ('[devices.p]\nurl = "a://h"\ntags = 3\n', "plant.toml:3: devices.p.tags: is a table of tags"),
        ('[devices.p]\nurl = "a://h"\ntag_tables = "t.csv"\n', "plant.toml:3: devices.p.tag_tables: is a list"),
        ('[devices.p]\nurl = "a://h"\ntags.x = 3\n', "plant.toml:3: devices.p.tags.x: is a table"),
        ('[devices.p]\nurl = "a://h"\ntags."a b" = {}\n', "plant.toml:3: devices.p.tags.a b: a tag name has only"),
        (
            '[devices.p]\nurl = "field-tcp://h"\ntags.x = {address="r1", enum={a="b"}}\n',
            "plant.toml:3: devices.p.tags.x.enum",
        ),
        ('[devices.p]\nurl = "field-tcp://h"\ntags.x = {address="r1", write={min=1}}\n', "both min and max"),
        ('[devices.p]\nurl = "field-tcp://h"\ntags.x = {address="r1", scale=0}\n', "scale 0"),
        ('[devices.p]\nurl = "field-tcp://h"\ntags.x = {address="r1", min=2, max=1}\n', "min 2 is above max 1"),
        ("colour = 1\n", "plant.toml:1: colour: 'colour' is not known here; did you mean devices, plant?"),
    ],
)
def test_what_the_file_may_not_hold_is_told_in_words(plant_file, text: str, told: str) -> None:
    assert any(told in fault for fault in faults(plant_file(text))), faults(plant_file(text))


def test_a_reference_is_a_tag_a_raw_address_or_an_error_that_names_the_nearest(plant_file) -> None:
    plant = load_plant(plant_file(GOOD), [DIALECT])
    raw = plant.tag("pump1/r77:REAL")
    assert (raw.id, raw.name, raw.address) == ("pump1/r77:REAL", "", "r77:REAL")
    with pytest.raises(UnknownNameError, match=r"no tag 'pump1\.sped'; the nearest: pump1\.speed"):
        plant.tag("pump1.sped")
    with pytest.raises(UnknownNameError, match="no device 'pump9'; the nearest: pump1"):
        plant.tag("pump9/r1")
    with pytest.raises(UnknownNameError, match="no device 'nothing'"):
        plant.device("nothing")


def test_a_skill_sees_only_the_devices_of_its_schemes(plant_file) -> None:
    plant = load_plant(plant_file(GOOD + '\n[devices.x]\nurl = "other://h"\n'), [DIALECT])
    assert list(plant.only(frozenset({"other"})).devices) == ["x"]


def test_a_mistyped_key_that_is_needed_is_named_where_it_is_missing(plant_file):
    told = faults(
        plant_file(
            """
[devices.pump1]
ulr = "field-tcp://127.0.0.1:5020"

[devices.pump1.tags]
speed = { adress = "r1" }
flow = { address = "r2", unit = "furlong" }

[devices.pump2]
url = "field-tcp://127.0.0.1:5021"
[devices.pump2.tags]
speed = { adress = "r1" }
"""
        )
    )
    assert told == [
        "plant.toml:2: devices.pump1: url is missing; is 'ulr' meant for it?",
        "plant.toml:6: devices.pump1.tags.speed: address is missing; is 'adress' meant for it?",
        (
            "plant.toml:7: devices.pump1.tags.flow.unit: 'furlong' is not a UCUM unit"
            " (examples: Cel, bar, m3/h, /min, mm/s, kW.h, %)"
        ),
        "plant.toml:12: devices.pump2.tags.speed: address is missing; is 'adress' meant for it?",
    ]


def test_one_tags_faults_are_told_together(plant_file):
    told = faults(
        plant_file(
            """
[devices.pump1]
url = "field-tcp://127.0.0.1:5020"
[devices.pump1.tags]
speed = { address = "x1", unit = "furlong", write = { min = 0, max = 1, max_stp = 1 } }
"""
        )
    )
    assert told == [
        (
            "plant.toml:5: devices.pump1.tags.speed.unit: 'furlong' is not a UCUM unit"
            " (examples: Cel, bar, m3/h, /min, mm/s, kW.h, %)"
        ),
        (
            "plant.toml:5: devices.pump1.tags.speed.write.max_stp: 'max_stp' is not known here;"
            " did you mean max_step, max?"
        ),
        "plant.toml:5: devices.pump1.tags.speed.address: 'x1' is not an address; it looks like r1",
    ]


def test_a_file_that_cannot_be_read_has_no_line(tmp_path):
    with pytest.raises(PlantFileError, match=r"nowhere.toml: cannot be read: "):
        load_plant(tmp_path / "nowhere.toml")
