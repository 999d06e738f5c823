"""What the S7 skill adds to the plant file: every fault with file, line, key and what would be right."""

import subprocess
import sys
from pathlib import Path

import pytest
from factorylm_s7 import DIALECT
from factorylm_s7.endpoint import parse_url
from factorylm_schema import PlantFileError, load_plant


@pytest.fixture
def load(tmp_path: Path):
    def loaded(text, **tables: str):
        for name, table in tables.items():
            (tmp_path / f"{name}.csv").write_text(table, encoding="utf-8")
        file = tmp_path / "plant.toml"
        file.write_text(text, encoding="utf-8")
        return load_plant(file, [DIALECT])

    return loaded


def test_a_whole_plant_file_with_a_tag_table_loads(load):
    plant = load(
        """
        [devices.press]
        url = "s7://10.0.0.5?rack=0&slot=2"
        connection = "op"
        pdu = 480
        max_in_flight = 2
        system_lists = true
        reply_timeout_s = 0.5
        tag_tables = ["press"]
        """.replace('"press"]', '"press.csv"]'),
        press="name,address,type,unit,scale\nforce,DB1.DBD4,REAL,kN,\nrunning,M10.5,,,\ntemp,%DB1.DBW8:INT,,Cel,0.1\n",
    )
    assert [tag.address for tag in plant.tags()] == ["DB1.DBD4", "M10.5", "%DB1.DBW8:INT"]
    assert plant.devices["press"].options["max_in_flight"] == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('url = "s7://10.0.0.5?slot=99"', "slot is a number from 0 to 31"),
        ('url = "s7://10.0.0.5?rack=x"', "rack is a number from 0 to 7"),
        ('url = "s7://10.0.0.5?unit=1"', "'unit' is not known in s7 URLs"),
        ('url = "s7://10.0.0.5?slot=1&slot=2"', "twice"),
        ('url = "s7://10.0.0.5/slot/2"', "is not host and port"),
        ('url = "s7://10.0.0.5:0"', "the port is a number from 1 to 65535"),
        ('url = "s7://10.0.0.5:99999"', "the port is a number from 1 to 65535"),
        ('url = "s7://[::1]"', "IPv4"),
        ('url = "s7://h"\nconnection = "hmi"', "'hmi' is not allowed"),
        ('url = "s7://h"\npdu = 4000', "less than or equal to 960"),
        ('url = "s7://h"\nmax_jobs = 2', "'max_jobs' is not known here"),
        ('url = "s7://h"\nreply_timeout_s = 9', "longer than timeout_s 2"),
    ],
)
def test_a_wrong_device_is_refused_with_what_is_allowed(load, line, says):
    with pytest.raises(PlantFileError) as fault:
        load(f"[devices.press]\n{line}\n")
    assert says in str(fault.value)
    assert "plant.toml:" in str(fault.value)


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ('address = "DB1.DBD4"', "does not say its type: add :REAL"),
        ('address = "DB1.DBD4:REAL", type = "DINT"', "keep one of them"),
        ('address = "IW0:INT", write = { min = 0, max = 1 }', "inputs come from the process"),
        ('address = "T1", write = { min = 0, max = 1 }', "set by the program"),
        ('address = "DB1:0:INT[3]", write = { min = 0, max = 1 }', "one element its own tag"),
        ('address = "DB1.DBD4:REAL", byte_order = "CDAB"', "'byte_order' is not known here"),
    ],
)
def test_a_wrong_tag_is_refused_with_what_would_be_right(load, tag, says):
    with pytest.raises(PlantFileError) as fault:
        load(f'[devices.press]\nurl = "s7://h"\n[devices.press.tags]\nforce = {{ {tag} }}\n')
    assert says in str(fault.value)
    assert "plant.toml:4" in str(fault.value)


def test_rack_and_slot_have_defaults_that_fit_an_s7_1500():
    endpoint = parse_url("s7://plc.local")
    assert (endpoint.host, endpoint.port, endpoint.rack, endpoint.slot) == ("plc.local", 102, 0, 1)


def test_another_scheme_is_refused():
    with pytest.raises(ValueError, match="is not the S7 scheme"):
        parse_url("s8://h")


def test_the_command_names_its_options_and_an_example():
    shown = subprocess.run(
        [sys.executable, "-m", "factorylm_s7", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "example: factorylm-s7 --simulate" in shown.stdout
