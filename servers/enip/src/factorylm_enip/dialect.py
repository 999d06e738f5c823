"""What the EtherNet/IP skill adds to the plant file: keys of a device, and its address syntax."""

from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

from factorylm_schema import Device, PlantDialect, Tag
from pydantic import BaseModel, ConfigDict, Field, field_validator

from factorylm_enip.endpoint import parse_url
from factorylm_enip.wanted import wanted_of


class DeviceOptions(BaseModel):
    """Keys of `[devices.…]` with `url = "enip://…"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection_size: Annotated[
        int,
        Field(ge=100, le=4000, description="bytes in one packet; above 500 a large connection is tried first"),
    ] = 4000
    discover: Annotated[
        str,
        Field(description="broadcast address that browse may ask with path network: (empty: none)", max_length=60),
    ] = ""

    @field_validator("discover")
    @classmethod
    def _address(cls, text: str) -> str:
        host, _, port = text.partition(":")
        if not text:
            return text
        try:
            IPv4Address(host)
            valid = not port or 0 < int(port) < 65536
        except (AddressValueError, ValueError):
            valid = False
        if not valid:
            raise ValueError(f"{text!r} is no broadcast address; write the plant network's, like 192.0.2.255")
        return text


class TagOptions(BaseModel):
    """A tag has no keys of its own: the controller tells the type."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def options_of(device: Device) -> DeviceOptions:
    """A device's own keys."""
    return DeviceOptions.model_validate(device.options)


def check_device(device: Device) -> None:
    """The url names host and slot."""
    parse_url(device.url)
    options_of(device)


def check_tag(tag: Tag, device: Device) -> None:
    """Address and type are ones that a Logix controller has."""
    del device
    wanted_of(tag)


DIALECT = PlantDialect(
    schemes=frozenset({"enip"}),
    device_options=DeviceOptions,
    tag_options=TagOptions,
    check_device=check_device,
    check_tag=check_tag,
)
