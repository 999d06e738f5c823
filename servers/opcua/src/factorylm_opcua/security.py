"""Which of the offered securities is taken, whom we trust, and what never goes out unprotected."""

from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from factorylm_schema import DeviceRefusedError, NotConnectedError, Quality

from factorylm_opcua.certificates import (
    Identification,
    Pki,
    default_folder,
    fingerprint,
    judge_application,
    judge_trust,
    judge_validity,
)
from factorylm_opcua.endpoint import Endpoint
from factorylm_opcua.library import EndpointDescription, TokenPolicy, security_policies, ua

POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
MODES = {"sign": ua.MessageSecurityMode.Sign, "sign-and-encrypt": ua.MessageSecurityMode.SignAndEncrypt}
NO_SECURITY = security_policies.SecurityPolicyNone.URI

# Withdrawn by the OPC Foundation (OPC 10000-7): not even a password is encrypted with these
_WITHDRAWN = ("#Basic128Rsa15", "#Basic256")


def choose_endpoint(offered: list[EndpointDescription], endpoint: Endpoint) -> EndpointDescription:
    """The offered endpoint with exactly the security the plant file asks for: never a weaker one."""
    uri = POLICIES[endpoint.policy].URI if endpoint.secured else NO_SECURITY
    mode = MODES[endpoint.mode] if endpoint.secured else ua.MessageSecurityMode.None_
    fitting = [
        description
        for description in offered
        if description.SecurityPolicyUri == uri
        and description.SecurityMode == mode
        and (description.EndpointUrl or "").startswith("opc.tcp://")
    ]
    if not fitting:
        raise DeviceRefusedError(
            f"{endpoint.place} does not offer {endpoint.security_text}",
            hint="Set security and mode to what it offers: " + ("; ".join(security_texts(offered)) or "nothing"),
            quality=Quality.BadConfigurationError,
        )
    return max(fitting, key=lambda description: description.SecurityLevel)


def security_texts(offered: list[EndpointDescription]) -> list[str]:
    """Each offered security once, as the plant file writes it."""
    texts = []
    for description in offered:
        policy = (description.SecurityPolicyUri or "").rpartition("#")[2]
        mode = {mode: name for name, mode in MODES.items()}.get(description.SecurityMode)
        texts.append(f"{policy}, {mode}" if mode else "none")
    return list(dict.fromkeys(texts))


def server_certificate(description: EndpointDescription) -> bytes:
    """The first certificate of the endpoint's chain; empty where it has none."""
    chain = description.ServerCertificate or b""
    # servers may send the whole chain; a DER SEQUENCE of this size says its length in bytes 2 and 3
    return chain[: int.from_bytes(chain[2:4], "big") + 4]


def pki_of(endpoint: Endpoint) -> Pki:
    """The certificate folder of this device."""
    return Pki(endpoint.pki_folder or default_folder())


def judge_server(description: EndpointDescription, endpoint: Endpoint, now: datetime) -> str:
    """Why this server may not be spoken to; empty when the operator trusts it."""
    der = server_certificate(description)
    if not der:
        return "it has none"
    try:
        certificate = x509.load_der_x509_certificate(der)
        trusted = pki_of(endpoint).trusted()
    except ValueError as error:
        return f"it cannot be judged: {error}"
    if not judge_trust(certificate, trusted):
        return f"nobody here has trusted it yet (SHA-256 {fingerprint(der)})"
    return judge_validity(certificate, now) or judge_application(certificate, description.Server.ApplicationUri or "")


def user_token_fault(policy: TokenPolicy, mode: Any, endpoint_uri: str) -> str:
    """Why a password may not go out under this policy; empty when it is unreadable on the way."""
    if mode == ua.MessageSecurityMode.None_:
        # even an encrypted password: the certificate it is encrypted for may be anybody's
        return "the channel is not secured, so nobody knows who would read the password"
    if mode == ua.MessageSecurityMode.SignAndEncrypt:
        return ""
    uri = policy.SecurityPolicyUri or endpoint_uri
    if uri == NO_SECURITY:
        return "the server wants the password unencrypted on a channel that is only signed"
    if uri.endswith(_WITHDRAWN):
        return f"the server wants the password encrypted with the withdrawn {uri.rpartition('#')[2]}"
    return ""


def trusted_certificate(description: EndpointDescription, endpoint: Endpoint, now: datetime) -> x509.Certificate:
    """The server's certificate, when the operator trusts it; raises DeviceRefusedError otherwise."""
    wrong = judge_server(description, endpoint, now)
    if wrong:
        raise DeviceRefusedError(
            f"the certificate of {endpoint.place} is not accepted: {wrong}",
            hint=f"The operator compares it with the server's and runs: factorylm-opcua trust {endpoint.url}",
            quality=Quality.BadConfigurationError,
        )
    return x509.load_der_x509_certificate(server_certificate(description))


def own_identification(endpoint: Endpoint, now: datetime) -> Identification:
    """Our certificate, made when there is none; raises DeviceRefusedError when it cannot be used."""
    pki = pki_of(endpoint)
    try:
        own = pki.own(endpoint.application_uri)
        fault = judge_validity(own.certificate, now)
    except (OSError, ValueError) as error:
        raise _own_unusable(pki, str(error)) from error
    if fault:
        raise _own_unusable(pki, fault)
    return own


def _own_unusable(pki: Pki, fault: str) -> DeviceRefusedError:
    return DeviceRefusedError(
        f"our own certificate cannot be used: {fault}",
        hint=f"Remove {pki.folder / 'own'} to have a new one made, then trust that one on the server",
        quality=Quality.BadConfigurationError,
    )


def user_pair(endpoint: Endpoint) -> tuple[x509.Certificate, Any]:
    assert endpoint.user_certificate is not None
    assert endpoint.user_private_key is not None
    try:
        data = endpoint.user_certificate.read_bytes()
        load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
        return load(data), load_pem_private_key(endpoint.user_private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise NotConnectedError(
            f"the user's certificate or key cannot be read: {error}",
            hint="user_certificate is DER or PEM, user_private_key is PEM without a password",
            quality=Quality.BadConfigurationError,
        ) from error
