"""Where a controller is: `enip://host:port/slot`, or `enip://host/bp/1/enet/10.0.0.3/bp/0` through other racks."""

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

DEFAULT_PORT = 44818
FORMS = "enip://host, enip://host/slot, enip://host:port/slot or enip://host/bp/1/enet/10.0.0.3/bp/0"
_PORTS = ("bp", "backplane", "enet", "cnet", "dnet", "dhrio-a", "dhrio-b", "dh485-a", "dh485-b")
_MOST_HOPS = 8


@dataclass(frozen=True)
class Endpoint:
    """Host and port, and the pairs of port and link from there to the controller."""

    host: str
    port: int
    hops: tuple[tuple[str, str], ...]

    @property
    def pycomm3_path(self) -> str:
        """The same in the library's syntax."""
        return "/".join([f"{self.host}:{self.port}", *(part for hop in self.hops for part in hop)])

    @property
    def told(self) -> str:
        """In words, for a hint."""
        return ", ".join(f"slot {link}" if port == "bp" else f"{port} {link}" for port, link in self.hops)


def parse_url(url: str) -> Endpoint:
    """The route in a device's url; raises ValueError with the allowed forms."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or ":" in host or parts.username or parts.query or parts.fragment:
        raise ValueError(f"an EtherNet/IP url looks like {FORMS}")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise ValueError("the port in the url is a number from 1 to 65535") from None
    words = [word for word in parts.path.split("/") if word]
    # a CompactLogix, and most ControlLogix, sit in slot 0
    pairs = [("bp", words[0] if words else "0")] if len(words) < 2 else _pairs(words)
    return Endpoint(host, port, tuple(_hop(port_name, link) for port_name, link in pairs))


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    if len(words) % 2 or len(words) > 2 * _MOST_HOPS:
        raise ValueError(f"a route is pairs of port and link, at most {_MOST_HOPS}: {FORMS}")
    return list(zip(words[::2], words[1::2], strict=True))


def _hop(port: str, link: str) -> tuple[str, str]:
    name = "bp" if port.lower() == "backplane" else port.lower()
    if name not in _PORTS:
        raise ValueError(f"{port!r} is no port of a route; use {', '.join(_PORTS)}")
    if link.isdecimal() and len(link) <= 3 and int(link) <= 255:
        return name, str(int(link))
    try:
        IPv4Address(link)
    except AddressValueError:
        what = "a slot is a number from 0 to 255" if name == "bp" else "a link is an IPv4 address or 0 to 255"
        raise ValueError(f"{what}, not {link!r}; {FORMS}") from None
    return name, link
