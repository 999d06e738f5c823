"""The plant as the operator wrote it down: devices, their tags, and what may be written."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from factorylm_schema.errors import UnknownNameError
from factorylm_schema.reading import Value
from factorylm_schema.units import check_unit

# A model and a person both type these: letters first, no slash (it separates device and raw address)
DEVICE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
TAG_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\[\]-]{0,126}")

Finite = Annotated[float, Field(allow_inf_nan=False)]


class WriteLimits(BaseModel):
    """The second of the write gate's locks: without it a tag cannot be written."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    min: Finite | None = None
    max: Finite | None = None
    max_step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    per_minute: Annotated[int, Field(ge=1, le=600)] = 6
    allowed: list[Value] | None = None
    tolerance: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.allowed is None and (self.min is None or self.max is None):
            raise ValueError("write limits need both min and max, or a list of allowed values")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Tag(BaseModel):
    """One value of one device, in engineering units: raw * scale + offset."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    device: str
    name: str
    address: Annotated[str, Field(min_length=1, max_length=400)]
    type: str = ""
    unit: str = ""
    scale: Finite = 1.0
    offset: Finite = 0.0
    min: Finite | None = None
    max: Finite | None = None
    enum: dict[int, str] = Field(default_factory=dict)
    deadband: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    description: Annotated[str, Field(max_length=500)] = ""
    write: WriteLimits | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name everybody uses: `pump1.speed`."""
        return f"{self.device}.{self.name}" if self.name else f"{self.device}/{self.address}"

    @field_validator("unit")
    @classmethod
    def _ucum(cls, unit: str) -> str:
        if wrong := check_unit(unit):
            raise ValueError(wrong)
        return unit

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.scale == 0:
            raise ValueError("scale 0 would make every value the offset")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Device(BaseModel):
    """One device: where it is, which skill speaks to it (by the URL's scheme), and its tags."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    url: Annotated[str, Field(max_length=500)]
    description: Annotated[str, Field(max_length=500)] = ""
    path: Annotated[str, Field(max_length=200)] = ""
    timeout_s: Annotated[float, Field(gt=0, le=25)] = 2.0
    tags: dict[str, Tag] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """What picks the skill: `modbus-tcp`, `s7`, `opc.tcp` …"""
        return self.url.split("://", 1)[0].lower()

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        scheme, found, rest = url.partition("://")
        if not found or not scheme or not rest:
            raise ValueError("a device's url looks like scheme://host:port?key=value")
        if urlsplit(url).password is not None:
            raise ValueError("a password does not belong in the plant file; name an environment variable instead")
        return url


class Plant(BaseModel):
    """All devices of one plant file."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Annotated[str, Field(max_length=200)] = ""
    description: Annotated[str, Field(max_length=2000)] = ""
    devices: dict[str, Device] = Field(default_factory=dict)

    def tags(self) -> Iterator[Tag]:
        """Every configured tag, in the order of the file."""
        for device in self.devices.values():
            yield from device.tags.values()

    def device(self, name: str) -> Device:
        """The device called `name`."""
        try:
            return self.devices[name]
        except KeyError:
            raise UnknownNameError("device", name, self.devices) from None

    def tag(self, reference: str) -> Tag:
        """A configured tag (`pump1.speed`), or a raw address of a known device (`pump1/…`)."""
        if tag := self._by_id.get(reference):
            return tag
        device, slash, address = reference.partition("/")
        if slash and device in self.devices and address:
            return Tag(device=device, name="", address=address[:400])
        if slash and address:
            raise UnknownNameError("device", device, self.devices)
        raise UnknownNameError("tag", reference, self._by_id, hint="list_tags shows all of them")

    def only(self, schemes: frozenset[str]) -> "Plant":
        """The part of the plant that one skill speaks to."""
        return self.model_copy(update={"devices": {n: d for n, d in self.devices.items() if d.scheme in schemes}})

    @cached_property
    def _by_id(self) -> dict[str, Tag]:
        return {tag.id: tag for tag in self.tags()}


@dataclass(frozen=True, kw_only=True)
class PlantDialect:
    """What one skill adds to the plant file: its URL schemes, its own keys, and its address syntax.

    `check_device` and `check_tag` raise ValueError with a sentence that names the allowed forms.
    """

    schemes: frozenset[str]
    device_options: type[BaseModel]
    tag_options: type[BaseModel]
    check_device: Callable[[Device], None] = field(default=lambda _device: None)
    check_tag: Callable[[Tag, Device], None] = field(default=lambda _tag, _device: None)
