"""Who else speaks EtherNet/IP: one ListIdentity broadcast, only on request and only where the plant file allows it."""

import asyncio
import struct
from dataclasses import dataclass, field

from factorylm_schema import BadRequestError, Identity
from factorylm_skill.driver import BrowsePage
from factorylm_skill.paging import page

from factorylm_enip.cip import HEADER, Command
from factorylm_enip.endpoint import DEFAULT_PORT

NETWORK = "network:"
COLUMNS = ["address", "product", "vendor", "revision", "serial"]
# CIP Vol 2, 2-4.2.3: devices spread their answers over at most 500 ms unless asked otherwise
_PATIENCE_S = 0.7
_MOST_ANSWERS = 1000


async def browse_network(allowed: str, path: str, search: str, limit: int, cursor: str) -> BrowsePage:
    """The devices that answer the broadcast; the address stands in the plant file, never in the question."""
    if not allowed:
        raise BadRequestError(
            "asking the network is not allowed for this device",
            hint='The operator may set discover = "192.0.2.255" (the broadcast address) in the plant file',
        )
    if path.strip().lower() != NETWORK:
        raise BadRequestError(f"the path is {NETWORK} alone", hint="The address to ask stands in the plant file")
    host, _, port = allowed.partition(":")
    found = await discover(host, int(port or DEFAULT_PORT))
    rows = [
        [address, who.product, who.vendor, who.revision, who.serial]
        for address, who in sorted(found.items())
        if search.lower() in f"{address} {who.product} {who.vendor}".lower()
    ]
    shown, next_cursor = page(rows, limit, cursor, f"{NETWORK}\n{search}")
    return BrowsePage(columns=COLUMNS, rows=[list(row) for row in shown], cursor=next_cursor)


async def discover(host: str, port: int = DEFAULT_PORT, patience_s: float = _PATIENCE_S) -> dict[str, Identity]:
    """Every device that answers, by address; each once, however often it answers."""
    loop = asyncio.get_running_loop()
    listener = _Listener()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: listener,
        local_addr=("0.0.0.0", 0),  # noqa: S104  # answers to a broadcast come to any address
        allow_broadcast=True,
    )
    try:
        transport.sendto(HEADER.pack(Command.LIST_IDENTITY, 0, 0, 0, bytes(8), 0), (host, port))
        await asyncio.sleep(patience_s)
    finally:
        transport.close()
    return listener.found


@dataclass
class _Listener(asyncio.DatagramProtocol):
    found: dict[str, Identity] = field(default_factory=dict)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self.found) < _MOST_ANSWERS and (identity := parse_list_identity(data)):
            self.found[addr[0]] = identity

    def error_received(self, exc: Exception) -> None:
        """A host that refuses is a host that is none of ours."""


def parse_list_identity(frame: bytes) -> Identity | None:
    """The identity in an answer to ListIdentity; None where it is none."""
    if len(frame) < HEADER.size + 6 or HEADER.unpack_from(frame)[0] != Command.LIST_IDENTITY:
        return None
    # count, item type 0x0C, item length, version, socket address (16), then the identity attributes
    body = frame[HEADER.size :]
    try:
        count, kind = struct.unpack_from("<HH", body)
        vendor, _, _, major, minor, _, serial, length = struct.unpack_from("<HHHBBHIB", body, 24)
    except struct.error:
        return None
    if not count or kind != 0x0C:
        return None
    from pycomm3.cip import VENDORS

    return Identity(
        vendor=str(VENDORS.get(vendor, f"vendor {vendor}")),
        product=body[39 : 39 + length].decode("latin-1"),
        revision=f"{major}.{minor:03d}",
        serial=f"{serial:08x}",
    )
