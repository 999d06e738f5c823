"""What the Modbus skill adds to the plant file: keys of a device, keys of a tag, and their checks."""

import re
from pathlib import Path
from typing import Annotated, Literal

from factorylm_schema import Device, PlantDialect, Tag
from pydantic import BaseModel, ConfigDict, Field, field_validator

from factorylm_modbus.address import Address, ByteOrder, DataType, parse, parse_range
from factorylm_modbus.endpoint import Link, parse_url
from factorylm_modbus.plan import Limits, Span
from factorylm_modbus.profile import profile_names

_SCAN = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")
_MOST_SCANNED = 32


class DeviceOptions(BaseModel):
    """Keys of `[devices.…]`; the defaults are what the most cautious device needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Annotated[str, Field(description="register map that `browse` shows: a product's profile")] = ""
    byte_order: Annotated[
        ByteOrder | None, Field(description="of values longer than one register; ABCD where nothing says")
    ] = None
    max_registers: Annotated[int, Field(ge=1, le=125, description="most registers in one request")] = 125
    max_bits: Annotated[int, Field(ge=1, le=2000, description="most coils or inputs in one request")] = 2000
    max_gap: Annotated[int, Field(ge=0, le=2000, description="unwanted addresses read along to save a request")] = 16
    forbidden: Annotated[list[str], Field(description="ranges never to be read: hr@200..hr@299 or 40201..40300")] = (
        Field(default_factory=list)
    )
    one_request_per_tag: Annotated[bool, Field(description="never read two tags in one request")] = False
    write_function: Annotated[
        Literal["single", "multiple"],
        Field(description="single: FC5 and FC6 where they fit; multiple: always FC15 and FC16"),
    ] = "single"
    max_in_flight: Annotated[int, Field(ge=1, le=16, description="unanswered requests on one TCP connection")] = 1
    connections: Annotated[int, Field(ge=1, le=8, description="TCP connections side by side")] = 1
    pause_ms: Annotated[float, Field(ge=0, le=5000, description="silence between two requests")] = 0.0
    reply_timeout_s: Annotated[
        float | None, Field(gt=0, le=25, description="patience for one answer; half of timeout_s, at most 1")
    ] = None
    late_reply_s: Annotated[
        float | None,
        Field(ge=0, le=25, description="RTU: how much later an answer can still come; as reply_timeout_s"),
    ] = None
    scan_units: Annotated[str, Field(description="diagnose also asks these unit ids, at most 32: 1-10 or 1,2,17")] = ""
    probe_rare_functions: Annotated[
        bool, Field(description="diagnose also tries FC8, FC11 and FC17, which upset some devices")
    ] = False
    tls_ca: Annotated[str, Field(description="file of the certificates to trust; the system's by default")] = ""
    tls_cert: Annotated[str, Field(description="file of this side's certificate")] = ""
    tls_key: Annotated[str, Field(description="file of this side's private key")] = ""
    tls_name: Annotated[str, Field(description="name in the device's certificate; the URL's host")] = ""

    @field_validator("forbidden")
    @classmethod
    def _ranges(cls, ranges: list[str]) -> list[str]:
        for text in ranges:
            parse_range(text)
        return ranges

    @field_validator("scan_units")
    @classmethod
    def _scannable(cls, text: str) -> str:
        if len(units_of(text)) > _MOST_SCANNED:
            raise ValueError(f"a scan asks at most {_MOST_SCANNED} unit ids; every silent one costs its patience")
        return text

    @property
    def limits(self) -> Limits:
        """For the planner."""
        return Limits(
            max_registers=self.max_registers,
            max_bits=self.max_bits,
            max_gap=self.max_gap,
            one_request_per_tag=self.one_request_per_tag,
        )

    def forbids(self, span: Span) -> str:
        """The forbidden range that `span` would touch, or nothing."""
        for text in self.forbidden:
            table, first, last = parse_range(text)
            if table is span.table and span.start <= last and first < span.end:
                return text
        return ""


class TagOptions(BaseModel):
    """Keys of a tag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    byte_order: Annotated[ByteOrder | None, Field(description="this tag's own; also of one register")] = None
    bits: Annotated[dict[int, str], Field(description="names of single bits; the value is the list of those set")] = (
        Field(default_factory=dict)
    )

    @field_validator("bits", mode="before")
    @classmethod
    def _from_a_cell(cls, given: object) -> object:
        """A tag table writes them as `0=ready;3=fault`."""
        if not isinstance(given, str):
            return given
        pairs = [part.partition("=") for part in given.split(";") if part.strip()]
        if not all(mark and number.strip().isdecimal() and name.strip() for number, mark, name in pairs):
            raise ValueError("bits in a tag table look like 0=ready;3=fault")
        return {int(number): name.strip() for number, _, name in pairs}

    @field_validator("bits")
    @classmethod
    def _in_range(cls, bits: dict[int, str]) -> dict[int, str]:
        if wrong := [number for number in bits if not 0 <= number <= 63]:
            raise ValueError(f"bit {wrong[0]} does not exist; the lowest is 0")
        return bits


def units_of(text: str) -> list[int]:
    """`1-3,17` as numbers."""
    units: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _SCAN.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not 0 <= first <= last <= 255:
            raise ValueError(f"{part[:20]!r} names no unit ids; write 1-10 or 1,2,17 (0 to 255)")
        units += range(first, last + 1)
    return sorted(set(units))


def options_of(device: Device) -> DeviceOptions:
    """A device's own keys."""
    return DeviceOptions.model_validate(device.options)


def check_device(device: Device) -> None:
    """URL, and options that only make sense together."""
    endpoint = parse_url(device.url)
    options = options_of(device)
    if options.max_in_flight > 1 and endpoint.link.is_rtu:
        raise ValueError(f"max_in_flight: {endpoint.link} answers carry no number, so only 1 can be open")
    if options.connections > 1 and endpoint.link.is_rtu:
        raise ValueError(f"connections: a serial line is one; {endpoint.link} allows only 1")
    tls = [key for key in ("tls_ca", "tls_cert", "tls_key", "tls_name") if getattr(options, key)]
    if tls and endpoint.link is not Link.TLS:
        raise ValueError(f"{tls[0]} stands only with a {Link.TLS} URL")
    if bool(options.tls_cert) != bool(options.tls_key):
        raise ValueError("tls_cert and tls_key belong together")
    for file in (options.tls_ca, options.tls_cert, options.tls_key):
        if file and not Path(file).is_file():
            raise ValueError(f"{file!r} is not a file")
    _check_profile(options)


def check_tag(tag: Tag, device: Device) -> None:
    """Address, type, and the device's limits."""
    address = parse(tag.address, tag.type)
    check_fit(tag, address, TagOptions.model_validate(tag.options), options_of(device), Link(device.scheme))


def check_fit(tag: Tag, address: Address, own: TagOptions, options: DeviceOptions, link: Link) -> None:
    """The tag's keys fit its address, and its address the device."""
    _check_device_fits(address, options, link)
    _check_order(address, own)
    if own.bits and (address.bits is not None or address.type not in (DataType.UINT, DataType.UDINT)):
        raise ValueError(f"bits name the single bits of a UINT or UDINT, not of {address.canonical}")
    _check_writable(tag, address, own)


def _check_device_fits(address: Address, options: DeviceOptions, link: Link) -> None:
    if link.is_rtu and address.unit is not None and not 1 <= address.unit <= 247:
        raise ValueError(f"unit {address.unit} is no single device on a serial line; units are 1 to 247")
    span = Span(0, address.table, address.offset, address.offset + address.count)
    if range_ := options.forbids(span):
        raise ValueError(f"{address.canonical} lies in the forbidden range {range_}")
    if span.size > options.limits.most(address.table):
        raise ValueError(
            f"{address.canonical} takes {span.size} registers, one request of this device {options.max_registers}"
        )


def _check_order(address: Address, own: TagOptions) -> None:
    if own.byte_order and address.order and own.byte_order != address.order:
        raise ValueError(f"the address says {address.order}, byte_order says {own.byte_order}")
    order = own.byte_order or address.order
    if address.type is DataType.STRING and order not in (None, ByteOrder.ABCD, ByteOrder.BADC):
        raise ValueError("a STRING is ABCD (first character in the high byte) or BADC (in the low byte)")


def _check_writable(tag: Tag, address: Address, own: TagOptions) -> None:
    if tag.write and not address.table.writable:
        raise ValueError(f"has write limits, but {address.table} is read-only in Modbus")
    if tag.write and own.bits:
        raise ValueError("has write limits and named bits; give each bit that may be written its own tag")


def _check_profile(options: DeviceOptions) -> None:
    if options.profile and options.profile not in profile_names():
        raise ValueError(f"there is no profile {options.profile!r}; there are {', '.join(profile_names())}")


DIALECT = PlantDialect(
    schemes=frozenset(Link),
    device_options=DeviceOptions,
    tag_options=TagOptions,
    check_device=check_device,
    check_tag=check_tag,
)
