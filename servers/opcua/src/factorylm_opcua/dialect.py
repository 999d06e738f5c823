"""What OPC UA adds to the plant file: security, user, limits, and the method that writes a tag."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from factorylm_schema import Device, PlantDialect, Tag
from pydantic import BaseModel, ConfigDict, Field

from factorylm_opcua.address import parse
from factorylm_opcua.values import TYPE_IDS

Policy = Literal["none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
Mode = Literal["sign", "sign-and-encrypt"]

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class WriteMethod(BaseModel):
    """How a tag is written where the server wants a method called: with the value, or without any input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    object: str
    method: str
    sends_value: bool = True


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


class TagOptions(BaseModel):
    """Keys of a tag: how it is written, where that is not simply its variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write_method: WriteMethod | None = None


def check_device(device: Device) -> None:
    """Refuse what could not work or would send a secret in the clear."""
    _check_url(device.url)
    options = DeviceOptions.model_validate(device.options)
    for name in ("pki", "user_certificate", "user_private_key"):
        path = getattr(options, name)
        if path and not (path.startswith("~") or Path(path).is_absolute()):
            raise ValueError(f"{name} is an absolute path (or begins with ~)")
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


def check_tag(tag: Tag, _device: Device) -> None:
    """Refuse an address or a type that OPC UA does not have."""
    parse(tag.address)
    _check_type(tag.type)
    if tag.write and parse(tag.address).element:
        # IndexRange writes are optional for servers, and some ignore the range and write the whole array
        raise ValueError("an element of an array cannot be written safely; remove write")
    _check_method(tag)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.username:
        raise ValueError("a user does not belong in the url; name environment variables: user_env, password_env")
    if parts.scheme != "opc.tcp" or not parts.hostname or parts.query:
        raise ValueError("an OPC UA url looks like opc.tcp://host:4840 or opc.tcp://host:4840/path")
    try:
        _port = parts.port
    except ValueError:
        raise ValueError("the port in the url is a number from 1 to 65535") from None


def _check_type(name: str) -> None:
    if name and name not in TYPE_IDS:
        raise ValueError(f"type {name!r} is not one of {', '.join(TYPE_IDS)} (or leave it out)")


def _check_method(tag: Tag) -> None:
    method = TagOptions.model_validate(tag.options).write_method
    if method is None:
        return
    if tag.write is None:
        raise ValueError("write_method needs write limits: write = { min = …, max = … } or { allowed = […] }")
    for role, address in (("object", method.object), ("method", method.method)):
        try:
            parse(address)
        except ValueError as error:
            raise ValueError(f"write_method.{role}: {error}") from None


DIALECT = PlantDialect(
    schemes=frozenset({"opc.tcp"}),
    device_options=DeviceOptions,
    tag_options=TagOptions,
    check_device=check_device,
    check_tag=check_tag,
)
