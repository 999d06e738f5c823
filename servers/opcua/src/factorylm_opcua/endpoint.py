"""Where a server is and how to sign in, out of its plant file entry: everything a connection needs to know."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from factorylm_schema import Device, NotConnectedError, Quality

from factorylm_opcua.dialect import DeviceOptions, Mode, Policy


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where the server is, and how to sign in."""

    device: str
    url: str
    timeout_s: float
    policy: Policy
    mode: Mode
    user_env: str | None
    password_env: str | None
    user_certificate: Path | None
    user_private_key: Path | None
    pki_folder: Path | None
    application_uri: str | None
    max_nodes_per_read: int | None
    max_in_flight: int
    source_timestamps: bool

    @property
    def secured(self) -> bool:
        """The channel is signed, or signed and encrypted."""
        return self.policy != "none"

    @property
    def place(self) -> str:
        """Host and port, as said in messages."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or 4840}"

    @property
    def full_url(self) -> str:
        """The URL with its port: OPC UA's is 4840 where none is given."""
        parts = urlsplit(self.url)
        if parts.port:
            return self.url
        return parts._replace(netloc=f"{parts.netloc.rstrip(':')}:4840").geturl()

    @property
    def security_text(self) -> str:
        """`Basic256Sha256, sign-and-encrypt`."""
        return f"{self.policy}, {self.mode}" if self.secured else "no security"

    def user(self) -> tuple[str, str] | None:
        """User and password from the environment, read when they are needed and kept nowhere."""
        if not self.user_env or not self.password_env:
            return None
        return _from_environment(self.user_env), _from_environment(self.password_env)


def endpoint_of(device: Device) -> Endpoint:
    """The access that `device` describes."""
    options = DeviceOptions.model_validate(device.options)
    return Endpoint(
        device=device.name,
        url=device.url,
        timeout_s=device.timeout_s,
        policy=options.security,
        mode=options.mode,
        user_env=options.user_env,
        password_env=options.password_env,
        user_certificate=_path(options.user_certificate),
        user_private_key=_path(options.user_private_key),
        pki_folder=_path(options.pki),
        application_uri=options.application_uri,
        max_nodes_per_read=options.max_nodes_per_read,
        max_in_flight=options.max_in_flight,
        source_timestamps=options.source_timestamps,
    )


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise NotConnectedError(
            f"the environment variable {name} is not set",
            hint="Set it where this program is started; the plant file holds only its name",
            quality=Quality.BadConfigurationError,
        )
    return value
