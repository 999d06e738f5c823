"""What an engineer writes into the plant file: read, checked, and every fault told with its line."""

import re
from pathlib import Path

import pytest
from factorylm_modbus import DIALECT
from factorylm_modbus.dialect import units_of
from factorylm_modbus.endpoint import parse_url
from factorylm_schema import Plant, PlantFileError, load_plant


def loaded(tmp_path: Path, text: str, **tables: str) -> Plant:
    for name, table in tables.items():
        (tmp_path / f"{name}.csv").write_text(table, encoding="utf-8")
    file = tmp_path / "plant.toml"
    file.write_text(text, encoding="utf-8")
    return load_plant(file, [DIALECT])


def faults(tmp_path: Path, text: str, **tables: str) -> list[str]:
    with pytest.raises(PlantFileError) as wrong:
        loaded(tmp_path, text, **tables)
    return [str(fault) for fault in wrong.value.faults]


def test_a_device_with_every_option_loads(tmp_path: Path):
    plant = loaded(
        tmp_path,
        """
        [devices.meter]
        url = "modbus-tcp://10.0.0.5:502?unit=3"
        byte_order = "CDAB"
        max_registers = 60
        max_gap = 0
        forbidden = ["hr@200..hr@299", "40401..40410"]
        max_in_flight = 4
        connections = 2
        pause_ms = 5
        scan_units = "1-10"
        tag_tables = ["meter.csv"]
        [devices.meter.tags]
        flow = { address = "40108:REAL", unit = "m3/h", byte_order = "ABCD" }
        state = { address = "40001", bits = { 0 = "ready", 3 = "fault" } }
        """,
        meter="name,address,type,unit,byte_order,bits\nspeed,40010,DINT,/min,DCBA,\nstatus,40020,,,,0=on;1=off\n",
    )
    tags = plant.devices["meter"].tags
    assert tags["speed"].options == {"byte_order": "DCBA"}
    assert tags["status"].options == {"bits": {0: "on", 1: "off"}}
    assert tags["state"].options == {"bits": {0: "ready", 3: "fault"}}


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path):
    found = faults(
        tmp_path,
        """[devices.a]
url = "modbus-tcp://10.0.0.5?unit=300"
byte_ordr = "CDAB"
[devices.a.tags]
one = { address = "4108" }
two = { address = "30001", write = { min = 0, max = 1 } }
[devices.b]
url = "modbus-rtu:///dev/ttyUSB0?baud=9600"
max_in_flight = 2
max_registers = 200
forbidden = ["hr@1"]
""",
    )
    assert len(found) == 6
    assert "plant.toml:3: devices.a.byte_ordr: 'byte_ordr' is not known here; did you mean byte_order" in found[0]
    assert "plant.toml:1: devices.a: unit=300 in the URL: unit is a number from 0 to 255" in found[1]
    assert "plant.toml:5: devices.a.tags.one.address: '4108' is not a Modbus address" in found[2]
    assert "plant.toml:6: devices.a.tags.two.address: has write limits, but input-register" in found[3]
    assert any("devices.b.max_registers" in fault and "125" in fault for fault in found)
    assert any("devices.b.forbidden" in fault and "hr@200..hr@299" in fault for fault in found)


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ('url = "modbus-rtu-tcp://10.0.0.5:4001"\nmax_in_flight = 2', "only 1 can be open"),
        ('url = "modbus-rtu:///dev/ttyS0"\nconnections = 2', "a serial line is one"),
        ('url = "modbus-tcp://10.0.0.5"\ntls_name = "pump"', "only with a modbus-tls URL"),
        ('url = "modbus-tls://10.0.0.5"\ntls_cert = "x.pem"', "belong together"),
        ('url = "modbus-tls://10.0.0.5"\ntls_ca = "no-such-file.pem"', "is not a file"),
        ('url = "modbus-tcp://10.0.0.5"\nprofile = "sdm63"', "there are carlo-gavazzi-em24, eastron-sdm630"),
        ('url = "modbus-tcp://10.0.0.5"\nscan_units = "1-247"', "at most 32"),
        ('url = "modbus-tcp://10.0.0.5"\nscan_units = "x"', "names no unit ids"),
        ('url = "modbus-tpc://10.0.0.5"', "modbus-tcp"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, device: str, why: str):
    assert why in faults(tmp_path, f"[devices.a]\n{device}\n")[0]


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ('{ address = "hr@205" }', "forbidden range hr@200..hr@299"),
        ('{ address = "hr@199:REAL" }', "forbidden range hr@200..hr@299"),
        ('{ address = "40001:STRING[60]" }', "takes 30 registers, one request of this device 20"),
        ('{ address = "40001:REAL{byte-order:CDAB}", byte_order = "ABCD" }', "the address says CDAB"),
        ('{ address = "40001:STRING[6]", byte_order = "CDAB" }', "BADC (in the low byte)"),
        ('{ address = "40001:REAL", bits = { 0 = "on" } }', "bits name the single bits"),
        ('{ address = "40001", bits = { 64 = "on" } }', "bit 64 does not exist"),
        ('{ address = "40001", bits = { 0 = "on" }, write = { min = 0, max = 1 } }', "each bit that may be written"),
        ('{ address = "40001:REAL", type = "DINT" }', "the type column says DINT"),
    ],
)
def test_a_tag_that_does_not_fit_its_device_is_refused(tmp_path: Path, tag: str, why: str):
    text = f"""[devices.a]
url = "modbus-tcp://10.0.0.5"
max_registers = 20
forbidden = ["hr@200..hr@299"]
[devices.a.tags]
t = {tag}
"""
    assert why in faults(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("modbus-tcp://10.0.0.5", "10.0.0.5:502"),
        ("modbus-tls://plc.local", "plc.local:802"),
        ("modbus-rtu-tcp://[fe80::1]:4001?unit=7", "[fe80::1]:4001"),
        ("modbus-rtu:///dev/ttyUSB0?baud=9600&parity=N&unit=4", "/dev/ttyUSB0"),
        ("modbus-rtu://COM3?baud=9600", "COM3"),
    ],
)
def test_each_url_names_one_place(url: str, place: str):
    assert str(parse_url(url)) == place


def test_a_serial_line_has_the_specifications_settings_unless_told():
    serial = parse_url("modbus-rtu://COM3").serial
    assert serial is not None
    assert (serial.baud, serial.parity, serial.stopbits, serial.bytesize) == (19200, "E", 1, 8)
    without_parity = parse_url("modbus-rtu:///dev/ttyS0?parity=n").serial
    assert without_parity is not None
    assert (without_parity.parity, without_parity.stopbits) == ("N", 2)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("modbus-udp://10.0.0.5", "modbus-tcp, modbus-tls, modbus-rtu, modbus-rtu-tcp"),
        ("modbus-tcp://10.0.0.5/path", "not host and port"),
        ("modbus-tcp://10.0.0.5:99999", "1 to 65535"),
        ("modbus-tcp://10.0.0.5?units=1", "did you mean unit"),
        ("modbus-tcp://10.0.0.5?unit=1&unit=2", "twice"),
        ("modbus-rtu-tcp://10.0.0.5", "needs the gateway's port"),
        ("modbus-rtu-tcp://10.0.0.5:4001?unit=0", "from 1 to 247"),
        ("modbus-rtu:///?baud=9600", "names no serial port"),
        ("modbus-rtu://COM3?parity=X", "N, E or O"),
        ("modbus-rtu://COM3?bytesize=7", "bytesize is 8"),
    ],
)
def test_a_wrong_url_is_refused_with_the_right_form(url: str, why: str):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_url(url)


def test_unit_ids_are_listed_and_ranged():
    assert units_of("1-3, 17,2") == [1, 2, 3, 17]
    assert units_of("") == []


def test_a_tag_cannot_name_the_broadcast_unit_of_a_serial_line(tmp_path: Path):
    text = '[devices.a]\nurl = "modbus-rtu-tcp://10.0.0.5:4001"\n[devices.a.tags]\nt = { address = "0!40001" }\n'
    assert "units are 1 to 247" in faults(tmp_path, text)[0]
