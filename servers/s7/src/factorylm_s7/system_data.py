"""What a CPU tells of itself: system status lists (SZL), block lists, clock. Asking is `session`'s part.

python-snap7 has no usable decoder for the two that matter most: its get_cpu_state says RUN also of a stopped
CPU, and its read_diagnostic_buffer misreads every entry. Layouts: Siemens, "System Software for S7-300/400,
System and Standard Functions", chapters "System status lists" and "Diagnostic buffer".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from factorylm_schema import BadReplyError, DeviceRefusedError, Identity
from snap7.s7protocol import S7UserDataGroup, S7UserDataSubfunction

from factorylm_s7.events import told_event
from factorylm_s7.session import Session
from factorylm_s7.values import from_bcd

MODULE, COMPONENTS, PROTECTION, STATE, DIAGNOSTIC_BUFFER = 0x0011, 0x001C, 0x0132, 0x0424, 0x00A0
KINDS = {"OB": 0x38, "DB": 0x41, "SDB": 0x42, "FC": 0x43, "SFC": 0x44, "FB": 0x45, "SFB": 0x46}

_STATES = {
    0x00: "unknown", 0x01: "STOP (update)", 0x02: "STOP (memory reset)", 0x03: "STOP (self-initialisation)",
    0x04: "STOP", 0x05: "STARTUP (cold restart)", 0x06: "STARTUP (warm restart)", 0x07: "STARTUP (hot restart)",
    0x08: "RUN", 0x09: "RUN (redundant)", 0x0A: "HOLD", 0x0B: "LINK-UP", 0x0C: "UPDATE", 0x0D: "DEFECTIVE",
    0x0F: "no supply voltage",
}  # fmt: skip
_KEY_POSITIONS = {1: "RUN", 2: "RUN-P", 3: "STOP", 4: "MRES"}
_COMPONENT_NAMES = {1: "station", 2: "module", 3: "plant", 5: "serial", 7: "type"}


@dataclass(frozen=True)
class Entry:
    """One event of the diagnostic buffer, newest first in its list; the CPU's clock has no zone."""

    event: int
    time: datetime | None

    def __str__(self) -> str:
        when = self.time.isoformat(sep=" ", timespec="seconds") if self.time else "no valid time"
        return f"{when} 0x{self.event:04X} {told_event(self.event)}"


# -- asking -------------------------------------------------------------------------------------------------


def identity(session: Session) -> Identity:
    """Order number, firmware, names and serial number, as far as the CPU tells."""
    order, firmware = module_of(_list_if_any(session, MODULE))
    parts = components_of(_list_if_any(session, COMPONENTS))
    details = {"order_number": order, "station": parts.get("station", ""), "module": parts.get("module", "")}
    return Identity(
        vendor="Siemens" if order.startswith("6ES7") else "",
        product=parts.get("type", "") or order,
        revision=firmware,
        serial=parts.get("serial", ""),
        details={name: value for name, value in details.items() if value},
    )


def state(session: Session) -> str:
    """RUN, STOP or one of their kin, as SZL 0x0424 has it."""
    return state_of(_list(session, STATE))


def protection(session: Session) -> str:
    """Protection level and key position, in words."""
    return protection_of(_list(session, PROTECTION, 4))


def diagnostic_buffer(session: Session) -> list[Entry]:
    """The CPU's own record of events, newest first."""
    return list(entries_of(_list(session, DIAGNOSTIC_BUFFER)))


def clock(session: Session) -> datetime:
    """The CPU's clock as it shows it."""
    request = session.protocol.build_get_clock_request()
    data = session.ask_service(request, S7UserDataGroup.TIME, S7UserDataSubfunction.GET_CLOCK)
    return session.protocol.parse_get_clock_response({"data": {"data": data}})


def block_counts(session: Session) -> dict[str, int]:
    """How many blocks of each kind there are: {"DB": 12, …}."""
    request = session.protocol.build_list_blocks_request()
    data = session.ask_service(request, S7UserDataGroup.BLOCK_INFO, S7UserDataSubfunction.LIST_ALL)
    counts = session.protocol.parse_list_blocks_response({"data": {"data": data}})
    return {name.removesuffix("Count"): count for name, count in counts.items()}


def block_numbers(session: Session, kind: str) -> list[int]:
    """The numbers of all blocks of one kind."""
    request = session.protocol.build_list_blocks_of_type_request(KINDS[kind])
    function = S7UserDataSubfunction.LIST_BLOCKS_OF_TYPE
    data = session.ask_service(request, S7UserDataGroup.BLOCK_INFO, function)
    return sorted(session.protocol.parse_list_blocks_of_type_response({"data": {"data": data}}))


def block_size(session: Session, kind: str, number: int) -> int:
    """Bytes of a block's data, for a block that is in the list (asking for others confuses some servers)."""
    request = session.protocol.build_get_block_info_request(KINDS[kind], number)
    data = session.ask_service(request, S7UserDataGroup.BLOCK_INFO, S7UserDataSubfunction.BLOCK_INFO)
    info = session.protocol.parse_get_block_info_response({"data": {"data": data}})
    if info["block_number"] != number:
        raise BadReplyError(f"block {number} was asked for, {info['block_number']} came")
    return int(info["mc7_size"])


def _list_if_any(session: Session, number: int) -> bytes:
    """Empty where the CPU has no such list: an S7-1200 has no list of components."""
    try:
        return _list(session, number)
    except DeviceRefusedError:
        return b""


def _list(session: Session, number: int, index: int = 0) -> bytes:
    request = session.protocol.build_read_szl_request(number, index)
    data = session.ask_service(request, S7UserDataGroup.SZL, S7UserDataSubfunction.READ_SZL)
    if data[:2] != number.to_bytes(2):
        raise BadReplyError(f"system list 0x{number:04x} was asked for, another came")
    return data[4:]


# -- decoding -----------------------------------------------------------------------------------------------


def records_of(data: bytes) -> Iterator[bytes]:
    """The records of a system list: a header with their length and number stands before them."""
    length, count = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
    for at in range(4, 4 + length * count, length or 1):
        if len(record := data[at : at + length]) == length:
            yield record


def module_of(data: bytes) -> tuple[str, str]:
    """Order number and firmware (SZL 0x0011)."""
    order, firmware = "", ""
    for record in records_of(data):
        index = int.from_bytes(record[:2])
        if index == 1:
            order = _text(record[2:22])
        if index == 7 and len(record) >= 28:  # the boot loader's version stands under 0x81
            firmware = f"V{record[-3]}.{record[-2]}.{record[-1]}"
    return order, firmware


def components_of(data: bytes) -> dict[str, str]:
    """Names of station and module, serial number, type (SZL 0x001C)."""
    texts = {int.from_bytes(record[:2]): _text(record[2:]) for record in records_of(data)}
    return {name: texts[index] for index, name in _COMPONENT_NAMES.items() if texts.get(index)}


def state_of(data: bytes) -> str:
    """The operating state (SZL 0x0424): the fourth byte of the record, its low half."""
    record = next(records_of(data), b"")
    if len(record) < 4:
        raise BadReplyError("the list of the CPU's state is empty")
    return _STATES.get(record[3] & 15, f"unknown (0x{record[3]:02x})")


def protection_of(data: bytes) -> str:
    """Protection level and key position (SZL 0x0132, index 4)."""
    record = next(records_of(data), b"")
    if len(record) < 10:
        raise BadReplyError("the list of the CPU's protection is empty")
    level, key = int.from_bytes(record[6:8]), int.from_bytes(record[8:10])
    words = {1: "no protection", 2: "write protection", 3: "read and write protection"}
    return f"level {level}: {words.get(level, 'unknown')}; mode switch {_KEY_POSITIONS.get(key, 'none')}"


def entries_of(data: bytes) -> Iterator[Entry]:
    """The diagnostic buffer (SZL 0x00A0): the event's number first, its time last in each record."""
    for record in records_of(data):
        yield Entry(int.from_bytes(record[:2]), _moment(record[12:20]))


def _moment(data: bytes) -> datetime | None:
    try:
        year, month, day, hour, minute, second, high = (from_bcd(byte) for byte in data[:7])
        ms = high * 10 + (data[7] >> 4)
        # the CPU's clock has no zone; nobody may invent one
        return datetime(year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, ms * 1000)  # noqa: DTZ001
    except (ValueError, IndexError):
        return None


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("latin-1").strip()
