"""Our own certificate, the servers the operator trusts, and what is wrong with a certificate, in plain words.

The folder is laid out as OPC UA products do it (OPC 10000-12, Annex F):

    own/certificate.der    what servers must trust
    own/private-key.pem    readable by its owner only
    trusted/*.der          server certificates (or the CAs that issue them) the operator trusts

Nothing here puts a certificate into `trusted` but `trust`, which only the operator's command calls.
"""

import hashlib
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from factorylm_skill.places import home

_LIFETIME = timedelta(days=5 * 365)
_CLOCK_TOLERANCE = timedelta(minutes=5)
_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=True,
    data_encipherment=True,
    key_agreement=False,
    key_cert_sign=True,  # it signs itself
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Identification:
    """Who we are to a server."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    application_uri: str


def default_folder() -> Path:
    """Where certificates live unless the plant file says otherwise."""
    return home() / "opcua"


def default_application_uri() -> str:
    """Unique for this machine, as OPC 10000-4, 7.2 asks."""
    return f"urn:{socket.gethostname().lower()}:factorylm:opcua"


def fingerprint(der: bytes) -> str:
    """SHA-256 in pairs: what two people compare over the telephone."""
    return hashlib.sha256(der).digest().hex(":").upper()


def thumbprint(der: bytes) -> str:
    """SHA-1, by which OPC UA products list certificates; never used for trust."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


@dataclass(frozen=True)
class Pki:
    """One certificate folder."""

    folder: Path

    @property
    def certificate_file(self) -> Path:
        return self.folder / "own" / "certificate.der"

    @property
    def key_file(self) -> Path:
        return self.folder / "own" / "private-key.pem"

    def own(self, application_uri: str | None = None) -> Identification:
        """Our certificate and key, made on first use."""
        if not self.certificate_file.exists():
            self._make(application_uri or default_application_uri())
        certificate = _read(self.certificate_file)
        return Identification(certificate, self._key(), uri_of(certificate) or application_uri or "")

    def trusted(self) -> list[x509.Certificate]:
        """Every certificate the operator trusts."""
        return [_read(file) for file in sorted((self.folder / "trusted").glob("*.der"))]

    def trust(self, der: bytes) -> Path:
        """The operator's decision, written down."""
        folder = self.folder / "trusted"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{hashlib.sha256(der).hexdigest()[:40]}.der"
        file.write_bytes(der)
        return file

    def _make(self, application_uri: str) -> None:
        self.certificate_file.parent.mkdir(parents=True, exist_ok=True)
        certificate = self_signed(self._key(), application_uri, "FactoryLM", datetime.now(UTC))
        fresh = self.certificate_file.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(certificate.public_bytes(Encoding.DER))
        fresh.replace(self.certificate_file)

    def _key(self) -> rsa.RSAPrivateKey:
        """Our key: the one there is, since another process may just have made it."""
        if not self.key_file.exists():
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            with suppress(FileExistsError):
                descriptor = os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(pem)
        found = load_pem_private_key(self.key_file.read_bytes(), password=None)
        if not isinstance(found, rsa.RSAPrivateKey):
            raise ValueError(f"{self.key_file} is not an RSA key")  # noqa: TRY004 (the file is wrong)
        return found


def self_signed(
    key: rsa.RSAPrivateKey, application_uri: str, name: str, now: datetime, lifetime: timedelta = _LIFETIME
) -> x509.Certificate:
    """An application instance certificate as OPC 10000-6, 6.2.2 wants it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives = [x509.UniformResourceIdentifier(application_uri), x509.DNSName(socket.gethostname())]
    both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a server's clock may be behind
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(both, critical=False)
        .sign(key, hashes.SHA256())
    )


def uri_of(certificate: x509.Certificate) -> str:
    """The application the certificate was made for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def subject_of(certificate: x509.Certificate) -> str:
    """Whom the certificate names; text from the server."""
    return certificate.subject.rfc4514_string()


def judge_trust(certificate: x509.Certificate, trusted: Iterable[x509.Certificate]) -> bool:
    """The operator trusts this certificate, or the CA that issued it."""
    der = certificate.public_bytes(Encoding.DER)
    return any(der == known.public_bytes(Encoding.DER) or _issued(certificate, known) for known in trusted)


def judge_validity(certificate: x509.Certificate, now: datetime) -> str:
    """Why the certificate cannot be used at this time; empty when it can."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins - _CLOCK_TOLERANCE:
        return f"it is valid from {begins:%Y-%m-%d %H:%M} UTC, and the clock here says {now:%Y-%m-%d %H:%M} UTC"
    if now > ends:
        return f"it expired on {ends:%Y-%m-%d %H:%M} UTC"
    return ""


def judge_application(certificate: x509.Certificate, application_uri: str) -> str:
    """Why the certificate is not this application's; empty when it is."""
    found = uri_of(certificate)
    if not application_uri or found == application_uri:
        return ""
    return f"it was made for {found or 'no application'}, and the server calls itself {application_uri}"


def _read(file: Path) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is not a certificate") from error


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return True
