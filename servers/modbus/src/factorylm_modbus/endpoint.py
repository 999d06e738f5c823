"""Where a device is, out of its URL. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from factorylm_skill.device_url import number_of, query_of


class Link(StrEnum):
    """How a device is reached; the URL's scheme."""

    TCP = "modbus-tcp"
    TLS = "modbus-tls"
    RTU = "modbus-rtu"
    RTU_TCP = "modbus-rtu-tcp"

    @property
    def is_rtu(self) -> bool:
        """Its answers carry no transaction number."""
        return self in (Link.RTU, Link.RTU_TCP)


FORMS = {
    Link.TCP: "modbus-tcp://10.0.0.5:502?unit=1",
    Link.TLS: "modbus-tls://10.0.0.5:802?unit=1",
    Link.RTU: "modbus-rtu:///dev/ttyUSB0?baud=9600&parity=E&unit=1 (Windows: modbus-rtu://COM3?…)",
    Link.RTU_TCP: "modbus-rtu-tcp://10.0.0.5:4001?unit=1",
}
_DEFAULT_PORTS = {Link.TCP: 502, Link.TLS: 802}
_SERIAL_KEYS = ("unit", "baud", "parity", "stopbits", "bytesize")


@dataclass(frozen=True, kw_only=True, slots=True)
class SerialLine:
    """The settings of a serial port; 8E1 is what the serial-line specification asks for (V1.02, 2.5.1)."""

    port: str
    baud: int = 19200
    parity: str = "E"
    stopbits: int = 1
    bytesize: int = 8

    @property
    def silence_s(self) -> float:
        """The pause that parts two frames: 3.5 characters, 1.75 ms above 19,200 baud (2.5.1.1)."""
        return 0.00175 if self.baud > 19200 else 3.5 * 11 / self.baud


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A device's place: host and port, or a serial line, and its unit id."""

    link: Link
    unit: int
    host: str = ""
    port: int = 0
    serial: SerialLine | None = None

    def __str__(self) -> str:
        if self.serial:
            return self.serial.port
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@lru_cache(maxsize=1024)
def parse_url(url: str) -> Endpoint:
    """The endpoint `url` names; ValueError with the right form where it names none."""
    link = _link(url)
    parts = urlsplit(url)
    query = query_of(parts.query, ("unit",) if link is not Link.RTU else _SERIAL_KEYS, link)
    unit = number_of(query.pop("unit", "1"), "unit", 1 if link.is_rtu else 0, 247 if link.is_rtu else 255)
    if link is Link.RTU:
        return Endpoint(link=link, unit=unit, serial=_serial(parts.netloc, parts.path, query))
    if parts.path.strip("/") or not parts.hostname:
        raise ValueError(f"{url!r} is not host and port; write {FORMS[link]}")
    return Endpoint(link=link, unit=unit, host=parts.hostname, port=_port(url, link))


def _link(url: str) -> Link:
    scheme = url.partition("://")[0].lower()
    try:
        return Link(scheme)
    except ValueError:
        raise ValueError(f"{scheme!r} is not a Modbus scheme; use {', '.join(Link)}") from None


def _port(url: str, link: Link) -> int:
    try:
        port = urlsplit(url).port
    except ValueError:
        raise ValueError(f"the port is a number from 1 to 65535; write {FORMS[link]}") from None
    port = port if port is not None else _DEFAULT_PORTS.get(link)
    if not port:
        raise ValueError(f"the URL needs the gateway's port (1 to 65535); write {FORMS[link]}")
    return port


def _serial(netloc: str, path: str, query: dict[str, str]) -> SerialLine:
    port = unquote(netloc + path)
    if not port.strip("/"):
        raise ValueError(f"the URL names no serial port; write {FORMS[Link.RTU]}")
    parity = query.get("parity", "E").upper()
    if parity not in ("N", "E", "O"):
        raise ValueError(f"parity {parity[:20]!r} is not N, E or O")
    # Without parity the specification asks for two stop bits, so that a character keeps its 11 bits (2.5.1)
    stopbits = query.get("stopbits", "2" if parity == "N" else "1")
    return SerialLine(
        port=port,
        baud=number_of(query.get("baud", "19200"), "baud", 300, 4_000_000),
        parity=parity,
        stopbits=number_of(stopbits, "stopbits", 1, 2),
        bytesize=number_of(query.get("bytesize", "8"), "bytesize", 8, 8),
    )
