"""Where a CPU is, out of its URL. Pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from factorylm_skill.device_url import number_of, query_of

SCHEME = "s7"
FORM = "s7://10.0.0.5?rack=0&slot=1"
_KEYS = ("rack", "slot")
_PORT = 102


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Host and port, and the CPU's place in its rack."""

    host: str
    port: int = _PORT
    rack: int = 0
    slot: int = 1

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_url(url: str) -> Endpoint:
    """The endpoint `url` names; ValueError with the right form where it names none."""
    parts = urlsplit(url)
    if parts.scheme.lower() != SCHEME:
        raise ValueError(f"{parts.scheme!r} is not the S7 scheme; write {FORM}")
    if parts.path.strip("/") or not parts.hostname:
        raise ValueError(f"{url!r} is not host and port; write {FORM}")
    if ":" in parts.hostname:
        raise ValueError("S7 connections are made over IPv4 only; write a name or an IPv4 address")
    query = query_of(parts.query, _KEYS, SCHEME)
    return Endpoint(
        host=parts.hostname,
        port=_port(url),
        rack=number_of(query.get("rack", "0"), "rack", 0, 7),
        slot=number_of(query.get("slot", "1"), "slot", 0, 31),
    )


def _port(url: str) -> int:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"the port is a number from 1 to 65535; write {FORM}")
    return port or _PORT
