"""What the plant file may say about an EtherNet/IP device, and what it is told when it is wrong."""

import pytest
from factorylm_enip import DIALECT
from factorylm_enip.endpoint import parse_url
from factorylm_schema import PlantFileError, load_plant


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("enip://10.0.0.5", "10.0.0.5:44818/bp/0"),
        ("enip://10.0.0.5/2", "10.0.0.5:44818/bp/2"),
        ("enip://plc.local:2222/2", "plc.local:2222/bp/2"),
        ("enip://10.0.0.5/bp/1/enet/10.0.1.9/backplane/0", "10.0.0.5:44818/bp/1/enet/10.0.1.9/bp/0"),
    ],
)
def test_a_url_is_a_route(url, path):
    assert parse_url(url).pycomm3_path == path


@pytest.mark.parametrize(
    "url",
    [
        "enip:///0",
        "enip://10.0.0.5/x",
        "enip://10.0.0.5/300",
        "enip://10.0.0.5/bp/1/enet",
        "enip://10.0.0.5/usb/1",
        "enip://10.0.0.5:70000/0",
        "enip://10.0.0.5/0?slot=1",
        "enip://me@10.0.0.5/0",
        "enip://[fe80::1]/0",
    ],
)
def test_a_url_that_is_no_route_is_refused_with_the_forms_that_are(url):
    with pytest.raises(ValueError, match=r"enip://host|use bp|port in the url"):
        parse_url(url)


def test_every_fault_of_a_plant_file_is_named_with_its_line(tmp_path):
    file = tmp_path / "plant.toml"
    file.write_text(
        """
[devices.a]
url = "enip://10.0.0.5/slot"
[devices.b]
url = "enip://10.0.0.5/0"
connection_sise = 500
discover = "all"
[devices.c]
url = "enip://10.0.0.5/0"
[devices.c.tags]
x = { address = "3x" }
y = { address = "Speed", type = "FLOAT" }
z = { address = "Arr{10}" }
""",
        encoding="utf-8",
    )
    with pytest.raises(PlantFileError) as refused:
        load_plant(file, [DIALECT])
    text = str(refused.value)
    for line, words in [
        (2, "a slot is a number"),
        (6, "connection_size"),
        (7, "192.0.2.255"),
        (11, "no name"),
        (12, "BOOL, SINT"),
        (13, r"Arr[0]"),
    ]:
        assert any(f"plant.toml:{line}:" in fault and words in fault for fault in text.split("\n")), (line, text)
