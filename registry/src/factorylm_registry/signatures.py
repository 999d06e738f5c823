"""Ed25519 keys, signed notes (C2SP signed-note) and DSSE envelopes: the only places where something is signed."""

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from factorylm_registry.refusals import BadQuestionError, UntrustedError

STATEMENT_TYPE = "application/vnd.in-toto+json"
_ED25519 = b"\x01"
_DASH = "\u2014 "


def b64(raw: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(raw).decode()


def unb64(text: str) -> bytes:
    """Strict base64; raises UntrustedError, since it only ever reads what is signed."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UntrustedError(f"not base64: {text[:40]!r}") from error


@dataclass(frozen=True)
class Verifier:
    """A public key with a name; written as `NAME+HASH+KEY`, as signed notes do."""

    name: str
    key: bytes

    @property
    def key_hash(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_hash.hex()}+{b64(_ED25519 + self.key)}"

    def holds(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def verifier_from(text: str) -> Verifier:
    """Read `NAME+HASH+KEY`; raises BadQuestionError where the hash does not fit."""
    name, _, rest = text.strip().partition("+")
    hashed, _, key = rest.partition("+")
    hint = "A key is one line NAME+HASH+KEY; `factorylm-registry serve` prints its own"
    try:
        raw = base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise BadQuestionError(f"{text[:60]!r} is not a key", hint=hint) from error
    verifier = Verifier(name, raw[1:])
    if raw[:1] != _ED25519 or len(raw) != 33 or not is_note_name(name) or verifier.key_hash.hex() != hashed:
        raise BadQuestionError(f"{text[:60]!r} is not an Ed25519 key with its own hash", hint=hint)
    return verifier


def is_note_name(name: str) -> bool:
    """The names that signed notes allow."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


@dataclass(frozen=True)
class Signer:
    """A private key with a name."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same for the same message."""
        return self.key.sign(message)


def signer_in(path: Path, name: str) -> Signer:
    """The key in `path`, made there on first use; only its owner may read it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex() + "\n")
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise BadQuestionError(f"others can read the key {path}", hint=f"Run: chmod 600 {path}")
    try:
        return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip())))
    except ValueError as error:
        raise BadQuestionError(f"{path} is not an Ed25519 key: 64 hexadecimal digits", hint="Restore it") from error


def signed_note(text: str, signer: Signer) -> str:
    """`text`, which ends in a newline, and one signature line."""
    signature = signer.verifier.key_hash + signer.sign(text.encode())
    return f"{text}\n{_DASH}{signer.name} {b64(signature)}\n"


def open_note(note: str, verifier: Verifier) -> str:
    """The text of a note that `verifier` signed; signatures by others are left aside.

    Raises UntrustedError for a note without a good signature by this key, or with a bad one.
    """
    text, gap, lines = note.rpartition("\n\n")
    wrong_form = not gap or not lines.endswith("\n") or any(ord(c) < 32 and c != "\n" for c in note)
    if wrong_form:
        raise UntrustedError("this is not a signed note")
    body = text + "\n"
    good = False
    for line in lines.splitlines():
        name, raw = _signature_line(line)
        if name == verifier.name and raw[:4] == verifier.key_hash:
            if not verifier.holds(raw[4:], body.encode()):
                raise UntrustedError(f"the signature by {verifier.name} does not hold")
            good = True
    if not good:
        raise UntrustedError(f"the note is not signed by {verifier.name}")
    return body


def _signature_line(line: str) -> tuple[str, bytes]:
    name, blank, signature = line.removeprefix(_DASH).partition(" ")
    raw = unb64(signature) if signature else b""
    if not line.startswith(_DASH) or not blank or not is_note_name(name) or len(raw) < 5:
        raise UntrustedError(f"not a signature line: {line[:60]!r}")
    return name, raw


def sealed(statement: dict[str, Any], signer: Signer) -> dict[str, Any]:
    """A DSSE envelope around an in-toto statement."""
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    signature = {"keyid": str(signer.verifier), "sig": b64(signer.sign(_pre_authentication(payload)))}
    return {"payloadType": STATEMENT_TYPE, "payload": b64(payload), "signatures": [signature]}


def unsealed(envelope: Any, verifier: Verifier) -> dict[str, Any]:
    """The statement in an envelope that `verifier` signed; raises UntrustedError."""
    try:
        kind, payload, signatures = envelope["payloadType"], unb64(envelope["payload"]), envelope["signatures"]
        raw = [unb64(signature["sig"]) for signature in signatures]
    except (KeyError, TypeError) as error:
        raise UntrustedError("this is not a DSSE envelope") from error
    if kind != STATEMENT_TYPE:
        raise UntrustedError(f"the envelope holds {str(kind)[:60]!r}, not an in-toto statement")
    if not any(verifier.holds(signature, _pre_authentication(payload)) for signature in raw):
        raise UntrustedError(f"the envelope is not signed by {verifier.name}")
    statement: dict[str, Any] = json.loads(payload)
    return statement


def statement_about(filename: str, sha256: str, predicate_type: str, predicate: dict[str, Any]) -> dict[str, Any]:
    """An in-toto statement v1 about one file."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def _pre_authentication(payload: bytes) -> bytes:
    """DSSE's PAE: what is signed cannot be read as anything else."""
    kind = STATEMENT_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
