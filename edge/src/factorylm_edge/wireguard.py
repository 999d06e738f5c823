"""WireGuard configuration for a gateway's way to its site: written and checked, never applied."""

import base64
import configparser
import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from factorylm_schema import BadRequestError, MissingPartError

# what wg-quick(8) would run as root, and what changes more of the box than the one interface
_RUNS = ("preup", "postup", "predown", "postdown")
_NOT_OURS = {"dns": "changes the box's name service", "table": "changes its routes", "saveconfig": "rewrites the file"}
_INTERFACE = {"privatekey", "address", "listenport", "mtu"}
_PEER = {"publickey", "presharedkey", "allowedips", "endpoint", "persistentkeepalive"}
_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):(\d{1,5})")
_SMALLEST = {4: 16, 6: 48}  # a wider network than this is no plant's


def write(to: Path, *, address: str, peer_key: str, endpoint: str, networks: Sequence[str]) -> str:
    """A configuration with a private key of its own, for its owner alone; returns the public key for the other end."""
    secret, public = _key_pair()
    text = (
        f"[Interface]\nPrivateKey = {secret}\nAddress = {address}\n\n"
        f"[Peer]\nPublicKey = {peer_key}\nEndpoint = {endpoint}\nAllowedIPs = {', '.join(networks)}\n"
        "PersistentKeepalive = 25\n"
    )
    if found := faults(text):
        raise BadRequestError(found[0], hint="Nothing was written")
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise BadRequestError(f"{to} is already there", hint="Its key would be lost; name another file") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
    return public


def check(file: Path) -> list[str]:
    """Everything that is wrong with a configuration file; nothing is applied."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequestError(f"{file} cannot be read: {error}", hint="Name a WireGuard configuration") from error
    open_to_all = os.name == "posix" and file.stat().st_mode & 0o077
    return [*([f"others can read {file}: chmod 600 {file}"] if open_to_all else []), *faults(text)]


def faults(text: str) -> list[str]:
    """What is wrong, each as one sentence; empty where it is sound."""
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    numbered = iter(range(1, 1000))
    # a section for each peer has the same name, which configparser takes for a mistake
    text = re.sub(r"(?m)^\[Peer\]\s*$", lambda _: f"[Peer {next(numbered)}]", text)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        return [f"not a configuration: {str(error).splitlines()[0]}"]
    peers = [name for name in parser.sections() if name.startswith("Peer ")]
    found = [f"section [{name}] is not known" for name in parser.sections() if name not in ("Interface", *peers)]
    if "Interface" not in parser or not peers:
        return [*found, "it needs one [Interface] and at least one [Peer]"]
    found += _interface_faults(parser["Interface"])
    for name in peers:
        found += [f"[{name}] {fault}" for fault in _peer_faults(parser[name])]
    return found


def _interface_faults(part: configparser.SectionProxy) -> Iterator[str]:
    for key in part:
        if key in _RUNS:
            yield f"{key} would run a command as root"
        elif key not in _INTERFACE:
            yield f"{key} {_NOT_OURS.get(key, 'is not known')}"
    if not _is_key(part.get("privatekey", "")):
        yield "PrivateKey is not 32 bytes in base64"
    yield from _network_faults("Address", part.get("address", ""), least={4: 8, 6: 16})


def _peer_faults(part: configparser.SectionProxy) -> Iterator[str]:
    yield from (f"{key} is not known" for key in part if key not in _PEER)
    if not _is_key(part.get("publickey", "")):
        yield "PublicKey is not 32 bytes in base64"
    if "presharedkey" in part and not _is_key(part["presharedkey"]):
        yield "PresharedKey is not 32 bytes in base64"
    endpoint = _ENDPOINT.fullmatch(part.get("endpoint", ""))
    if "endpoint" in part and (not endpoint or not 0 < int(endpoint[2]) < 65536):
        yield f"Endpoint {part['endpoint']!r} is not HOST:PORT"
    if not part.get("persistentkeepalive", "25").isdigit():
        yield "PersistentKeepalive is not a number of seconds"
    yield from _network_faults("AllowedIPs", part.get("allowedips", ""), least=_SMALLEST)


def _network_faults(key: str, text: str, *, least: dict[int, int]) -> Iterator[str]:
    if not text.strip():
        yield f"{key} is missing"
        return
    for part in text.split(","):
        try:
            found = ipaddress.ip_interface(part.strip()).network
        except ValueError as error:
            yield f"{key}: {error}"
            continue
        if found.prefixlen < least[found.version]:
            yield f"{key} {part.strip()} would send more than a plant's network through the tunnel"


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except ValueError:
        return False


def _key_pair() -> tuple[str, str]:
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    except ImportError as error:
        raise MissingPartError("cryptography is not installed", hint="pip install 'factorylm-edge[bundle]'") from error
    made = X25519PrivateKey.generate()
    raw = made.private_bytes_raw(), made.public_key().public_bytes_raw()
    return base64.b64encode(raw[0]).decode(), base64.b64encode(raw[1]).decode()
