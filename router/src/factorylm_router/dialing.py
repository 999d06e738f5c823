"""A new connection to a provider: where its name leads, whether it may, and whether it is who it says."""

import asyncio
import ipaddress
import socket
import ssl

from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from factorylm_router.config import ProviderConfig
from factorylm_router.connection import Connection
from factorylm_router.errors import ConfigError
from factorylm_router.resilience import FailedAttempt, Trouble

NEXT_ADDRESS_S = 0.25  # RFC 8305: try the next address when the first says nothing for so long


async def dialled(name: str, config: ProviderConfig, url: URL, tls: ssl.SSLContext | None) -> Connection:
    """An open connection, or a FailedAttempt that says why nothing was sent."""
    loop = asyncio.get_running_loop()
    host, port = url.raw_host or "", url.port or 0
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            found = await addresses(host, port, on_site=config.where == "plant")
            wire = await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S)
            _, connection = await loop.create_connection(
                lambda: Connection(loop, name, config.stall_timeout_s, config.timeout_s),
                sock=wire,
                ssl=tls,
                server_hostname=host if tls else None,
            )
    except ssl.SSLError as error:
        message = f"{name} could not prove who it is: its certificate fails"
        raise FailedAttempt(trouble=Trouble.CERTIFICATE, message=message) from error
    except (OSError, TimeoutError) as error:
        raise FailedAttempt(trouble=Trouble.CONNECT, message=f"no connection to {name}") from error
    return connection


async def addresses(host: str, port: int, *, on_site: bool) -> list[AddrInfoType]:
    """Where a name leads. On site it must not lead to the internet: a poisoned or mistyped name must not carry plant
    data away, so what is judged here is what is dialled."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if on_site and any(ipaddress.ip_address(str(info[4][0]).split("%")[0]).is_global for info in found):
        raise OSError(f"{host} is configured as on site but resolves to a public address")
    return list(found)


def trust(name: str, config: ProviderConfig) -> ssl.SSLContext | None:
    """Whose certificates this provider may show: the system's authorities, or the one that is named."""
    if not config.url.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"providers.{name}.ca_file: cannot read certificates from {config.ca_file}: {error}",
            hint="name a PEM file with the authority's certificate",
        ) from error
