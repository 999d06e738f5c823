"""What the S7 skill adds to the plant file: keys of a device and their checks, and the address syntax."""

from typing import Annotated, Literal

from factorylm_schema import Device, PlantDialect, Tag
from pydantic import BaseModel, ConfigDict, Field

from factorylm_s7.address import Address, Area, parse
from factorylm_s7.endpoint import SCHEME, parse_url


class DeviceOptions(BaseModel):
    """Keys of `[devices.…]`; the defaults suit every CPU, since the CPU lowers what it cannot do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connection: Annotated[
        Literal["pg", "op", "basic"],
        Field(description="which of the CPU's connections to use: programming device, operator panel, other"),
    ] = "pg"
    pdu: Annotated[int, Field(ge=112, le=960, description="longest request or reply in bytes to ask for")] = 960
    max_in_flight: Annotated[int, Field(ge=1, le=8, description="unanswered requests to ask the CPU for")] = 1
    reply_timeout_s: Annotated[
        float | None, Field(gt=0, le=25, description="patience for one answer; half of timeout_s")
    ] = None
    system_lists: Annotated[
        bool,
        Field(description="diagnose also reads CPU identity, state and diagnostic buffer (not for old F-CPUs)"),
    ] = False

    @property
    def role(self) -> int:
        """The connection type's number in the transport selector."""
        return {"pg": 1, "op": 2, "basic": 3}[self.connection]


class TagOptions(BaseModel):
    """Keys of a tag: none, address and type say everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def options_of(device: Device) -> DeviceOptions:
    """A device's own keys."""
    return DeviceOptions.model_validate(device.options)


def check_device(device: Device) -> None:
    """URL and options."""
    parse_url(device.url)
    patience_s = options_of(device).reply_timeout_s
    if patience_s and patience_s > device.timeout_s:
        raise ValueError(f"reply_timeout_s {patience_s:g} is longer than timeout_s {device.timeout_s:g}")


def check_tag(tag: Tag, _: Device) -> None:
    """Address and type, and whether what has write limits can be written at all."""
    address = parse(tag.address, tag.type)
    if tag.write and (why := unwritable(address)):
        raise ValueError(f"has write limits, but {why}")


def unwritable(address: Address) -> str:
    """Why nothing can be written there; empty when something can."""
    if address.area in (Area.INPUT, Area.PERIPHERAL_INPUT):
        return "inputs come from the process and cannot be written"
    if address.area.is_counted:
        return f"a {address.type} is set by the program, not from outside"
    if address.count:
        return f"an array is not written at once; give one element its own tag, such as {_element(address)}"
    return ""


def _element(array: Address) -> str:
    return str(Address(area=array.area, block=array.block, start=array.start, bit=array.bit, type=array.type))


DIALECT = PlantDialect(
    schemes=frozenset({SCHEME}),
    device_options=DeviceOptions,
    tag_options=TagOptions,
    check_device=check_device,
    check_tag=check_tag,
)
