"""The ladder: what passed, the first thing that did not, and the next step."""

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary
from factorylm_opcua.driver import OpcuaDriver
from factorylm_schema import Diagnosis, Rung
from factorylm_skill.faults import FaultKind


def failed(diagnosis: Diagnosis) -> Rung:
    return next(rung for rung in diagnosis.rungs if rung.outcome == "failed")


async def test_a_healthy_server_passes_every_rung(driver):
    diagnosis = await driver.diagnose()
    assert diagnosis.healthy
    assert [rung.name for rung in diagnosis.rungs] == [
        "name", "network", "OPC UA", "endpoints", "clock", "server certificate", "secure channel", "session",
        "sign-in", "namespaces", "server", "tags",
    ]  # fmt: skip
    assert diagnosis.identity is not None
    assert diagnosis.identity.product == "Pump simulator"
    assert diagnosis.rungs[-1].evidence == "10 of 10 tags have a value"


def changed(driver: OpcuaDriver, **keys: object) -> OpcuaDriver:
    return OpcuaDriver(driver.device.model_copy(update=keys))


async def test_a_name_nobody_knows_fails_on_the_first_rung(driver):
    diagnosis = await changed(driver, url="opc.tcp://no-such-host.invalid:4840").diagnose()
    assert [rung.name for rung in diagnosis.rungs] == ["name"]
    assert "IP address" in failed(diagnosis).next_step


async def test_a_dead_port_fails_on_the_network_rung(driver, line):
    await line.down()
    rung = failed(await driver.diagnose())
    assert (rung.name, rung.evidence.split(" at ")[0]) == ("network", "nothing listens")


async def test_security_that_is_not_offered_fails_with_what_is(driver):
    rung = failed(await changed(driver, options={"security": "Aes256Sha256RsaPss"}).diagnose())
    assert (rung.name, "it offers: none" in rung.evidence) == ("endpoints", True)


async def test_a_clock_that_is_wrong_is_told_and_the_climb_goes_on(driver, line):
    def late(name, message):
        if name != "GetEndpointsResponse":
            return message.whole
        answer = struct_from_binary(ua.GetEndpointsResponse, ua.utils.Buffer(message.body))
        answer.ResponseHeader.Timestamp = answer.ResponseHeader.Timestamp.replace(year=2020)
        return message.with_body(struct_to_binary(answer))

    line.alter = late
    diagnosis = await driver.diagnose()
    rung = failed(diagnosis)
    assert (rung.name, "behind" in rung.evidence) == ("clock", True)
    assert diagnosis.rungs[-1].name == "tags"


async def test_a_sign_in_that_is_refused_is_told(driver, line, server, monkeypatch):
    monkeypatch.setattr(server.server.iserver.user_manager, "get_user", lambda *_, **__: None)
    rung = failed(await driver.diagnose())
    assert (rung.name, "BadUserAccessDenied" in rung.evidence) == ("sign-in", True)


async def test_a_namespace_the_server_does_not_have_is_named(driver, planted, line):
    text = f"""
[devices.pump1]
url = "opc.tcp://127.0.0.1:{line.port}"
[devices.pump1.tags]
speed = {{ address = "nsu=urn:old:plant;s=Speed" }}
flow = {{ address = "ns=2;s=Pump.Flow" }}
"""
    diagnosis = await OpcuaDriver(planted(text).device("pump1")).diagnose()
    rung = failed(diagnosis)
    assert (rung.name, "missing: urn:old:plant" in rung.evidence) == ("namespaces", True)
    assert diagnosis.rungs[-1].evidence.startswith("1 of 2 tags have a value; pump1.speed: ")


async def test_a_server_that_does_not_run_is_told(driver, server):
    state = server.server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_State))
    await state.write_value(ua.Variant(3, ua.VariantType.Int32))
    try:
        rung = failed(await driver.diagnose())
        assert (rung.name, "is suspended" in rung.evidence) == ("server", True)
    finally:
        await state.write_value(ua.Variant(0, ua.VariantType.Int32))


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.DISCONNECT, FaultKind.GARBAGE, FaultKind.REFUSE])
async def test_a_server_that_fails_on_the_way_is_told_where(driver, line, kind):
    line.faults.set(kind, times=None)
    rung = failed(await driver.diagnose())
    assert rung.name == "namespaces"
    assert rung.next_step


async def test_a_certificate_nobody_trusts_fails_with_its_fingerprint_and_the_operators_step(
    secured, tmp_path, secured_device
):
    driver = OpcuaDriver(secured_device(secured, tmp_path / "pki"))
    rung = failed(await driver.diagnose())
    assert rung.name == "server certificate"
    assert "CN=server, valid until" in rung.evidence
    assert "SHA-256" in rung.evidence
    assert "factorylm-opcua trust opc.tcp://" in rung.next_step


async def test_a_secured_server_passes_every_rung(secured, trusting, secured_device):
    diagnosis = await OpcuaDriver(secured_device(secured, trusting)).diagnose()
    assert [rung.outcome for rung in diagnosis.rungs] == [*["passed"] * 12, "skipped"]  # no tags in the plant file
    told = {rung.name: rung.evidence for rung in diagnosis.rungs}
    assert told["server certificate"].endswith(": trusted")
    assert told["own certificate"].startswith("urn:")
    assert told["secure channel"] == "Basic256Sha256, sign-and-encrypt"
    assert told["sign-in"] == "accepted the user of PLANT_USER"


async def test_our_own_certificate_that_cannot_be_used_fails_its_rung(secured, trusting, secured_device):
    own = trusting / "own"
    own.mkdir()
    (own / "certificate.der").write_bytes(b"not a certificate")
    (own / "private-key.pem").write_bytes(b"not a key")
    rung = failed(await OpcuaDriver(secured_device(secured, trusting)).diagnose())
    assert rung.name == "own certificate"
    assert str(own) in rung.next_step
