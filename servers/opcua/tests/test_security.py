"""Policies, sign-in and trust: nothing weaker than asked for, nobody trusted unasked, no secret in the clear."""

import stat
import struct
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import ua
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from factorylm_opcua.certificates import (
    Pki,
    default_folder,
    fingerprint,
    judge_application,
    judge_trust,
    judge_validity,
    self_signed,
)
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.faulty_line import FaultyLine, Message
from factorylm_opcua.pump_station import NAMESPACE
from factorylm_opcua.security import user_token_fault
from factorylm_opcua.server import SKILL, TRUST
from factorylm_schema import Device, DeviceError, DeviceRefusedError, NotConnectedError, Quality, Tag
from factorylm_skill import run_skill
from factorylm_skill.faults import FaultSwitches

SETPOINT = Tag(device="d", name="", address=f"nsu={NAMESPACE};s=Pump.Setpoint")
URI = "urn:factorylm:simulator"
PASSWORD = "pump-house-7"


async def value(given: Device) -> object:
    driver = OpcuaDriver(given)
    try:
        [reading] = await driver.read([SETPOINT])
        return reading.value
    finally:
        await driver.close()


@pytest.mark.parametrize("mode", ["sign", "sign-and-encrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"])
async def test_each_policy_and_mode_reads_with_user_and_password(secured, trusting, policy, mode, secured_device):
    assert await value(secured_device(secured, trusting, security=policy, mode=mode)) == 1200


async def test_a_user_s_certificate_signs_in(secured, trusting, tmp_path, secured_device, key_pair):
    certificate, key = key_pair("urn:somebody", tmp_path, "somebody")
    options = {"user_certificate": str(certificate), "user_private_key": str(key)}
    nobody = {"user_env": None, "password_env": None}
    assert await value(secured_device(secured, trusting, **options, **nobody)) == 1200


async def test_a_user_s_certificate_that_cannot_be_read_is_told(secured, trusting, tmp_path, secured_device):
    options = {"user_certificate": str(tmp_path / "gone.der"), "user_private_key": str(tmp_path / "gone.pem")}
    with pytest.raises(NotConnectedError, match="cannot be read"):
        await value(secured_device(secured, trusting, **options, user_env=None, password_env=None))


async def test_a_server_nobody_trusted_is_not_spoken_to_and_not_remembered(
    secured, tmp_path, server_files, secured_device
):
    with pytest.raises(DeviceRefusedError, match="nobody here has trusted it yet") as raised:
        await value(secured_device(secured, tmp_path / "pki"))
    assert fingerprint(server_files[0].read_bytes()) in raised.value.message
    assert "factorylm-opcua trust opc.tcp://" in raised.value.hint
    assert not list((tmp_path / "pki").rglob("*"))


async def test_a_spoilt_trust_folder_trusts_nobody(secured, trusting, secured_device):
    (trusting / "trusted" / "notes.der").write_text("call Anna first")
    with pytest.raises(DeviceRefusedError, match=r"notes\.der is not a certificate"):
        await value(secured_device(secured, trusting))


async def test_another_server_at_the_same_address_is_not_trusted(secured, tmp_path, secured_device, key_pair):
    other, _ = key_pair(URI, tmp_path, "other")
    Pki(tmp_path / "pki").trust(other.read_bytes())
    with pytest.raises(DeviceRefusedError, match="nobody here has trusted"):
        await value(secured_device(secured, tmp_path / "pki"))


async def test_a_wrong_password_is_told_without_being_shown(secured, trusting, monkeypatch, secured_device):
    monkeypatch.setenv("PLANT_PASSWORD", "wrong-secret")
    with pytest.raises(DeviceError, match="sign-in") as raised:
        await value(secured_device(secured, trusting))
    assert raised.value.quality is Quality.BadUserAccessDenied
    assert "wrong-secret" not in str(raised.value)


async def test_a_missing_variable_is_told_by_its_name(secured, trusting, monkeypatch, secured_device):
    monkeypatch.delenv("PLANT_PASSWORD")
    with pytest.raises(NotConnectedError, match="PLANT_PASSWORD is not set"):
        await value(secured_device(secured, trusting))


async def test_a_policy_the_server_does_not_offer_is_told_with_those_it_does(server, tmp_path, secured_device):
    with pytest.raises(DeviceRefusedError, match="does not offer Basic256Sha256") as raised:
        await value(secured_device(server, tmp_path))
    assert "none" in raised.value.hint


async def test_the_driver_keeps_no_secret(secured, trusting, secured_device):
    driver = OpcuaDriver(secured_device(secured, trusting))
    try:
        await driver.read([SETPOINT])
        assert PASSWORD not in repr(driver)
        assert PASSWORD not in str(vars(driver._session.client))
    finally:
        await driver.close()


@pytest.mark.parametrize(
    ("token", "mode", "endpoint", "told"),
    [
        ("None", ua.MessageSecurityMode.Sign, "Basic256Sha256", "unencrypted"),
        ("None", ua.MessageSecurityMode.None_, "None", "not secured"),
        ("Basic256Sha256", ua.MessageSecurityMode.None_, "None", "not secured"),
        ("", ua.MessageSecurityMode.None_, "None", "not secured"),
        ("Basic128Rsa15", ua.MessageSecurityMode.Sign, "Basic256Sha256", "withdrawn Basic128Rsa15"),
        ("Basic256", ua.MessageSecurityMode.Sign, "Basic256Sha256", "withdrawn Basic256"),
        ("Basic256Sha256", ua.MessageSecurityMode.Sign, "Basic256Sha256", ""),
        ("", ua.MessageSecurityMode.Sign, "Basic256Sha256", ""),
        ("None", ua.MessageSecurityMode.SignAndEncrypt, "Basic256Sha256", ""),
    ],
)
def test_a_password_goes_out_only_where_nobody_can_read_it(token, mode, endpoint, told):
    uri = "http://opcfoundation.org/UA/SecurityPolicy#"
    policy = ua.UserTokenPolicy(SecurityPolicyUri=token and uri + token)
    fault = user_token_fault(policy, mode, uri + endpoint)
    assert (told in fault) if told else fault == ""


async def test_a_password_is_not_sent_to_a_server_that_wants_it_in_the_clear(secured, trusting, secured_device):
    for endpoint in secured.server.iserver.endpoints:
        for token in endpoint.UserIdentityTokens:
            token.SecurityPolicyUri = "http://opcfoundation.org/UA/SecurityPolicy#None"
    with pytest.raises(DeviceRefusedError, match="so it was not sent"):
        await value(secured_device(secured, trusting, mode="sign"))


# -- certificates ---------------------------------------------------------------------------------


def test_our_own_certificate_is_made_once_and_its_key_is_ours_alone(tmp_path):
    pki = Pki(tmp_path)
    first, second = pki.own("urn:us"), pki.own("urn:us")
    assert first.certificate == second.certificate
    assert (first.application_uri, judge_validity(first.certificate, datetime.now(UTC))) == ("urn:us", "")
    assert stat.S_IMODE(pki.key_file.stat().st_mode) == 0o600


def test_a_new_certificate_is_made_for_the_key_there_is(tmp_path):
    pki = Pki(tmp_path)
    first = pki.own("urn:us")
    pki.certificate_file.unlink()
    second = pki.own("urn:us")
    assert first.certificate != second.certificate
    assert first.key.public_key() == second.key.public_key() == second.certificate.public_key()


def test_certificates_live_in_factorylms_own_folder(own_certificate_folder):
    assert default_folder() == own_certificate_folder / "opcua"


async def test_an_expired_certificate_of_ours_is_told(secured, trusting, monkeypatch, secured_device):
    monkeypatch.setattr("factorylm_opcua.certificates._LIFETIME", timedelta(seconds=-1))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = self_signed(key, "urn:us", "us", datetime.now(UTC) - timedelta(days=9), timedelta(days=1))
    Pki(trusting).own("urn:us")
    Pki(trusting).certificate_file.write_bytes(old.public_bytes(Encoding.DER))
    with pytest.raises(DeviceRefusedError, match="our own certificate cannot be used: it expired"):
        await value(secured_device(secured, trusting))


def test_what_is_wrong_with_a_certificate_is_said_in_plain_words():
    now = datetime(2026, 11, 20, tzinfo=UTC)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = self_signed(key, "urn:pump", "Pump", now, timedelta(days=30))
    assert judge_validity(certificate, now) == ""
    assert "expired on 2026-12-20" in judge_validity(certificate, now + timedelta(days=31))
    early = judge_validity(certificate, now - timedelta(days=1))
    assert "valid from 2026-11-19" in early
    assert "the clock here says 2026-11-19 00:00 UTC" in early
    assert judge_application(certificate, "urn:pump") == ""
    assert "made for urn:pump" in judge_application(certificate, "urn:valve")


def test_a_trusted_ca_vouches_for_its_servers_and_a_plain_certificate_for_none(tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    now = datetime.now(UTC)
    ca_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))

    def signed(*, ca: bool) -> tuple[x509.Certificate, x509.Certificate]:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Works CA")])
        basics = (
            x509.CertificateBuilder()
            .issuer_name(name)
            .serial_number(5)
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=9))
        )
        issuer = basics.subject_name(name).public_key(ca_key.public_key())
        issuer = issuer.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        issued = basics.subject_name(x509.Name([])).public_key(key.public_key())
        return issuer.sign(ca_key, hashes.SHA256()), issued.sign(ca_key, hashes.SHA256())

    for ca in (True, False):
        issuer, issued = signed(ca=ca)
        assert judge_trust(issued, [issuer]) is ca
        assert not judge_trust(issued, [])


# -- the operator's command -----------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        code = run_skill(SKILL, ["trust", *argv], commands=[TRUST])
    except SystemExit as ended:  # argparse's way
        code = int(str(ended.code))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def outside(secured, monkeypatch: pytest.MonkeyPatch) -> str:
    """The command runs in a loop of its own, so the server's certificate is handed to it as it would fetch it."""
    from factorylm_opcua import trusting

    endpoints = secured.server.iserver.endpoints
    der = next(endpoint.ServerCertificate for endpoint in endpoints if endpoint.ServerCertificate)

    async def fetched(_: object) -> tuple[bytes, str]:
        return der, URI

    monkeypatch.setattr(trusting, "_certificate", fetched)
    return f"opc.tcp://127.0.0.1:{secured.port}"


def test_trust_shows_and_with_the_right_fingerprint_trusts(capsys, outside, tmp_path, server_files):
    right = fingerprint(server_files[0].read_bytes())
    code, out, _ = run(capsys, outside, "--pki", str(tmp_path), "--fingerprint", right.lower().replace(":", " "))
    assert code == 0
    assert right in out
    assert "The server must trust us too" in out
    assert len(Pki(tmp_path).trusted()) == 1


def test_trust_refuses_another_fingerprint(capsys, outside, tmp_path):
    code, _, err = run(capsys, outside, "--pki", str(tmp_path), "--fingerprint", "00" * 32)
    assert (code, Pki(tmp_path).trusted()) == (1, [])
    assert "nothing was trusted" in err


def test_trust_asks_nobody_where_nobody_can_answer(capsys, outside, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    code, _, err = run(capsys, outside, "--pki", str(tmp_path))
    assert (code, Pki(tmp_path).trusted()) == (2, [])
    assert "--fingerprint" in err


@pytest.mark.parametrize(("digits", "code"), [(8, 0), (7, 1), (0, 1)])
def test_trust_at_the_terminal_wants_the_first_digits(
    capsys, outside, tmp_path, monkeypatch, server_files, digits, code
):
    typed = fingerprint(server_files[0].read_bytes()).replace(":", "")[:digits]
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert run(capsys, outside, "--pki", str(tmp_path))[0] == code
    assert len(Pki(tmp_path).trusted()) == (code == 0)


def test_trust_only_shows_when_told_to(capsys, outside, tmp_path):
    code, out, _ = run(capsys, outside, "--pki", str(tmp_path), "--show", "--json")
    assert (code, Pki(tmp_path).trusted()) == (0, [])
    assert '"problem": "none"' in out


@pytest.mark.parametrize("url", ["10.0.0.5", "opc.tcp://u@10.0.0.5", "http://10.0.0.5"])
def test_trust_refuses_what_is_no_opc_ua_url(capsys, url):
    code, _, err = run(capsys, url, "--show")
    assert code == 2
    assert err.startswith("error:")


async def test_trust_fetches_the_certificate_from_the_server(secured, server, tmp_path, server_files, secured_device):
    from factorylm_opcua.endpoint import endpoint_of
    from factorylm_opcua.trusting import _certificate
    from factorylm_schema import BadRequestError

    assert await _certificate(endpoint_of(secured_device(secured, tmp_path))) == (server_files[0].read_bytes(), URI)
    with pytest.raises(BadRequestError, match="offers no security"):
        await _certificate(endpoint_of(secured_device(server, tmp_path)))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ua.StatusCodes.BadSecurityChecksFailed, "most often it does not trust it yet"),
        (ua.StatusCodes.BadCertificateUntrusted, "does not trust our certificate"),
        (ua.StatusCodes.BadCertificateTimeInvalid, "expired or not yet valid"),
        (ua.StatusCodes.BadCertificateUriInvalid, "for another application"),
    ],
)
async def test_a_server_that_does_not_trust_us_is_told_in_plain_words(secured, trusting, secured_device, code, told):
    """The server answers the opening of the channel with an error message and hangs up."""
    line = FaultyLine(secured.port, FaultSwitches())
    await line.up()

    def refused(name: str, message: Message) -> bytes:
        opens_secured = name == "OPN" and b"#None" not in message.whole
        return b"ERRF" + struct.pack("<IIi", 16, code, -1) if opens_secured else message.whole

    line.alter = refused
    given = secured_device(secured, trusting).model_copy(update={"url": f"opc.tcp://127.0.0.1:{line.port}"})
    try:
        with pytest.raises(DeviceRefusedError, match="secure channel refused") as raised:
            await value(given)
        assert told in raised.value.message
        assert raised.value.hint
        rungs = (await OpcuaDriver(given).diagnose()).rungs
        assert [(rung.name, rung.outcome) for rung in rungs][-1] == ("secure channel", "failed")
    finally:
        await line.down()
