"""Where a CPU is, out of its URL. Pure."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from factorylm_schema import nearest

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
    query = _query(parts.query)
    return Endpoint(
        host=parts.hostname,
        port=_port(url),
        rack=_number(query.get("rack", "0"), "rack", 7),
        slot=_number(query.get("slot", "1"), "slot", 31),
    )


def _query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        if key not in _KEYS:
            raise ValueError(f"{key!r} is not known in an S7 URL; did you mean {', '.join(nearest(key, _KEYS))}?")
        if key in query:
            raise ValueError(f"{key!r} is in the URL twice")
        query[key] = value
    return query


def _port(url: str) -> int:
    try:
        port = urlsplit(url).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(f"the port is a number from 1 to 65535; write {FORM}")
    return port or _PORT


def _number(text: str, key: str, high: int) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > high:
        raise ValueError(f"{key}={text[:20]} in the URL: {key} is a number from 0 to {high}")
    return int(text)
