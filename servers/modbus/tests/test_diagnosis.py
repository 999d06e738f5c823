"""The ladder: evidence on each rung, the first failure named, and nothing that upsets a device unless asked for."""

import pytest
from factorylm_modbus import connect
from factorylm_modbus.address import Table
from factorylm_modbus.endpoint import Link
from factorylm_modbus.simulator import serving
from factorylm_schema import Device, Diagnosis, Tag
from factorylm_skill.faults import FaultKind

TAGS = {
    "speed": {"address": "hr@1"},
    "flow": {"address": "hr@20:REAL", "min": 0, "max": 500},
}


async def diagnosed(port: int, link: Link = Link.TCP, tags: dict = TAGS, **options: object) -> Diagnosis:
    made = {name: Tag.model_validate({"device": "d", "name": name, **keys}) for name, keys in tags.items()}
    device = Device(name="d", url=f"{link}://127.0.0.1:{port}?unit=1", timeout_s=0.6, tags=made, options=dict(options))
    driver = connect(device)
    try:
        return await driver.diagnose()
    finally:
        await driver.close()


def outcomes(diagnosis: Diagnosis) -> dict[str, str]:
    return {rung.name: rung.outcome for rung in diagnosis.rungs}


def rung(diagnosis: Diagnosis, name: str):
    return next(rung for rung in diagnosis.rungs if rung.name == name)


@pytest.mark.parametrize("link", [Link.TCP, Link.RTU_TCP])
async def test_a_healthy_device_passes_every_rung(link, simulated_device):
    async with serving(simulated_device, link=link) as port:
        diagnosis = await diagnosed(port, link, byte_order="ABCD")
    assert set(outcomes(diagnosis).values()) == {"passed"}
    assert list(outcomes(diagnosis)) == ["name", "connection", "unit", "tables", "identity", "tags", "byte order"]
    assert diagnosis.identity is not None
    assert diagnosis.identity.vendor == "FactoryLM"


async def test_a_name_that_does_not_exist_is_the_first_rung():
    driver = connect(Device(name="d", url="modbus-tcp://no-such-host.invalid"))
    diagnosis = await driver.diagnose()
    assert outcomes(diagnosis) == {"name": "failed"}
    assert diagnosis.rungs[0].next_step


async def test_a_closed_port_is_told_apart_from_a_silent_device(simulated_device):
    async with serving(simulated_device) as port:
        simulated_device.faults.set(FaultKind.DROP, times=None)
        silent = await diagnosed(port)
    closed = await diagnosed(port)
    assert outcomes(silent) == {"name": "passed", "connection": "passed", "unit": "failed"}
    assert "scan_units" in rung(silent, "unit").next_step
    assert outcomes(closed) == {"name": "passed", "connection": "failed"}
    assert "nothing listens" in rung(closed, "connection").evidence


async def test_a_gateway_without_the_unit_is_told(simulated_device):
    simulated_device.units = frozenset({5})
    async with serving(simulated_device) as port:
        diagnosis = await diagnosed(port)
    assert "gateway" in rung(diagnosis, "unit").evidence
    assert rung(diagnosis, "unit").outcome == "failed"


async def test_a_refusal_is_presence_and_missing_tables_are_named(simulated_device):
    simulated_device._memory[Table.COIL].clear()
    async with serving(simulated_device) as port:
        diagnosis = await diagnosed(port, tags={"gone": {"address": "hr@9000"}})
    assert rung(diagnosis, "unit").outcome == "passed"
    assert "FC1 coil exception 2" in rung(diagnosis, "tables").evidence
    assert rung(diagnosis, "tags").outcome == "failed"
    assert "1 of 1 are not good: d.gone" in rung(diagnosis, "tags").evidence


async def test_where_the_byte_order_is_in_doubt_all_four_decodings_are_shown_and_none_is_chosen(simulated_device):
    simulated_device.put_bytes(Table.HOLDING_REGISTER, 20, bytes.fromhex("200047f1"))
    tags = {"flow": {"address": "hr@20:REAL"}}
    async with serving(simulated_device) as port:
        doubtful = await diagnosed(port, tags=tags)
        told = await diagnosed(port, tags=tags, byte_order="CDAB")
        implausible = await diagnosed(
            port, tags={"flow": {"address": "hr@20:REAL", "min": 1, "max": 200000}}, byte_order="ABCD"
        )
    shown = rung(doubtful, "byte order")
    assert shown.outcome == "skipped"
    for part in ("d.flow 200047F1", "ABCD 1.08658e-19 (used)", "CDAB 123456", "BADC", "DCBA"):
        assert part in shown.evidence
    assert "byte_order" in shown.next_step
    assert rung(told, "byte order").outcome == "passed"
    assert "CDAB 123456" in rung(implausible, "byte order").evidence


async def test_units_are_scanned_only_where_the_plant_file_asks(simulated_device):
    simulated_device.units = frozenset({1, 3})
    async with serving(simulated_device) as port:
        plain = await diagnosed(port)
        simulated_device.requests = 0
        scanned = await diagnosed(port, scan_units="1-4")
    assert "unit scan" not in outcomes(plain)
    assert rung(scanned, "unit scan").evidence == "of units 1-4, these answer: 1, 3"


async def test_a_scan_finds_the_right_unit_behind_a_silent_one(simulated_device):
    simulated_device.units = frozenset({3})
    async with serving(simulated_device, link=Link.RTU_TCP) as port:
        diagnosis = await diagnosed(port, Link.RTU_TCP, scan_units="1-3")
    assert rung(diagnosis, "unit").outcome == "failed"
    assert "these answer: 3" in rung(diagnosis, "unit scan").evidence


async def test_rare_functions_are_tried_last_on_connections_of_their_own_and_only_when_asked(simulated_device):
    simulated_device.silent_functions = frozenset({17})
    async with serving(simulated_device) as port:
        diagnosis = await diagnosed(port, probe_rare_functions=True)
    assert diagnosis.rungs[-1].name == "rare functions"
    assert diagnosis.rungs[-1].evidence == (
        "FC8 diagnostics answers; FC11 event counter exception 1; FC17 server id no answer"
    )


async def test_a_device_without_identity_is_no_failure(simulated_device):
    simulated_device.identity = {}
    async with serving(simulated_device) as port:
        simulated_device.silent_functions = frozenset({43})
        silent = await diagnosed(port)
    assert rung(silent, "identity").outcome == "skipped"
    assert rung(silent, "tags").outcome == "passed"


async def test_a_forbidden_address_is_not_asked_for_to_find_something_out(simulated_device):
    asked = []
    simulated_device.refresh = lambda device: asked.append(device.requests)
    forbidden = ["hr@0..hr@9", "ir@0..ir@9", "co@0..co@9", "di@0..di@9"]
    async with serving(simulated_device) as port:
        diagnosis = await diagnosed(port, tags={}, forbidden=forbidden, scan_units="1-3")
    assert outcomes(diagnosis) == {
        "name": "passed",
        "connection": "passed",
        "unit": "skipped",
        "tables": "passed",
        "identity": "passed",
        "tags": "skipped",
        "unit scan": "skipped",
    }
    assert "FC3 holding-register not asked (forbidden)" in rung(diagnosis, "tables").evidence
    # only the two pages of the identity
    assert len(asked) == 2
