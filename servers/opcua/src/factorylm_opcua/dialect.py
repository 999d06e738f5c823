"""What OPC UA adds to the plant file: security, user, limits and the methods that may be called."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from factorylm_schema import Device, PlantDialect, Tag
from pydantic import BaseModel, ConfigDict, Field

from factorylm_opcua.address import parse
from factorylm_opcua.values import TYPE_NAMES

Policy = Literal["none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
Mode = Literal["sign", "sign-and-encrypt"]

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class MethodArgument(BaseModel):
    """One input of a method: its type, and between which values it may lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=60)]
    type: str
    min: float | None = None
    max: float | None = None
    allowed: list[bool | int | float | str] | None = None


class Method(BaseModel):
    """A method the operator allows: on which object, and with what inputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: str
    method: str
    description: Annotated[str, Field(max_length=500)] = ""
    arguments: list[MethodArgument] = Field(default_factory=list)


class DeviceOptions(BaseModel):
    """Keys of a device with `url = "opc.tcp://…"`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    security: Policy = "none"
    mode: Mode = "sign-and-encrypt"
    user_env: EnvironmentName | None = None
    password_env: EnvironmentName | None = None
    user_certificate: str | None = None
    user_private_key: str | None = None
    pki: str | None = None
    application_uri: str | None = None
    max_nodes_per_read: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=16)] = 1
    source_timestamps: bool = False
    methods: dict[str, Method] = Field(default_factory=dict)


class TagOptions(BaseModel):
    """A tag has no keys of its own: the address says all."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def check_device(device: Device) -> None:
    """Refuse what could not work or would send a secret in the clear."""
    _check_url(device.url)
    options = DeviceOptions.model_validate(device.options)
    if (options.user_env is None) != (options.password_env is None):
        raise ValueError("user_env and password_env belong together: each names an environment variable")
    if (options.user_certificate is None) != (options.user_private_key is None):
        raise ValueError("user_certificate and user_private_key belong together: each names a file")
    if options.user_env and options.user_certificate:
        raise ValueError("give either user_env and password_env, or user_certificate and user_private_key")
    if options.security == "none" and (options.user_env or options.user_certificate):
        raise ValueError(
            'a user is never sent over an unsecured channel; set security = "Basic256Sha256" '
            '(or "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")'
        )
    for name, method in options.methods.items():
        _check_method(name, method)


def check_tag(tag: Tag, _device: Device) -> None:
    """Refuse an address or a type that OPC UA does not have."""
    parse(tag.address)
    _check_type(tag.type)
    if tag.write and parse(tag.address).element:
        # IndexRange writes are optional for servers, and some ignore the range and write the whole array
        raise ValueError("an element of an array cannot be written safely; remove write")


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username:
        raise ValueError("a user does not belong in the url; name environment variables: user_env, password_env")
    if not parts.hostname or parts.query:
        raise ValueError("an OPC UA url looks like opc.tcp://host:4840 or opc.tcp://host:4840/path")
    try:
        _port = parts.port
    except ValueError:
        raise ValueError("the port in the url is a number from 1 to 65535") from None


def _check_type(name: str) -> None:
    if name and name not in TYPE_NAMES:
        raise ValueError(f"type {name!r} is not one of {', '.join(TYPE_NAMES)} (or leave it out)")


def _check_method(name: str, method: Method) -> None:
    for role, address in (("object", method.object), ("method", method.method)):
        try:
            parse(address)
        except ValueError as error:
            raise ValueError(f"methods.{name}.{role}: {error}") from None
    for argument in method.arguments:
        _check_type(argument.type)
        free = argument.type in ("Boolean", "String") or argument.allowed is not None
        if not free and (argument.min is None or argument.max is None):
            raise ValueError(f"methods.{name}: {argument.name} needs min and max, or allowed values")


DIALECT = PlantDialect(
    schemes=frozenset({"opc.tcp"}),
    device_options=DeviceOptions,
    tag_options=TagOptions,
    check_device=check_device,
    check_tag=check_tag,
)
