"""Requests, and whether an answer really answers them (Modbus Application Protocol V1.1b3). Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from factorylm_schema import BadReplyError, DeviceError, DeviceRefusedError, Quality

from factorylm_modbus.address import Table

READ = {
    Table.COIL: 1,
    Table.DISCRETE_INPUT: 2,
    Table.HOLDING_REGISTER: 3,
    Table.INPUT_REGISTER: 4,
}
WRITE_COIL, WRITE_REGISTER, DIAGNOSTICS, WRITE_COILS, WRITE_REGISTERS, MASK_WRITE = 5, 6, 8, 15, 16, 22
IDENTIFICATION = 43
MOST_REGISTERS_WRITTEN = 123  # 6.12
MOST_COILS_WRITTEN = 1968  # 6.11

_PAIR = struct.Struct(">BHH")
_MANY = struct.Struct(">BHHB")
_MASK = struct.Struct(">BHHH")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What to send, and how its answer must begin and how long it must be (0: it says so itself)."""

    unit: int
    pdu: bytes
    begins: bytes
    length: int

    @property
    def function(self) -> int:
        """The function code."""
        return self.pdu[0]


Answer: TypeAlias = bytes | DeviceError
"""What a request brought: the answer behind its function code, or why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An exception code: its name in the specification (section 7), its quality, and what to try."""

    name: str
    quality: Quality
    hint: str


REFUSALS = {
    1: Refusal(
        name="illegal function",
        quality=Quality.BadServiceUnsupported,
        hint="The device does not have this table or service; check the address's table in its manual",
    ),
    2: Refusal(
        name="illegal data address",
        quality=Quality.BadNodeIdUnknown,
        hint="The device has no such address; check the number and whether its manual counts from 0 or 1",
    ),
    3: Refusal(
        name="illegal data value",
        quality=Quality.BadOutOfRange,
        hint="The device does not take this value or this many at once; check its limits, and max_registers",
    ),
    4: Refusal(
        name="server device failure",
        quality=Quality.BadDeviceFailure,
        hint="Look at the device: it reports a failure of its own",
    ),
    5: Refusal(
        name="acknowledge",
        quality=Quality.BadInvalidState,
        hint="The device has taken the request and still works on it; read again later",
    ),
    6: Refusal(
        name="server device busy",
        quality=Quality.BadResourceUnavailable,
        hint="The device is busy; ask again in a few seconds, and less often",
    ),
    8: Refusal(
        name="memory parity error",
        quality=Quality.BadDeviceFailure,
        hint="Look at the device: its memory reports an error",
    ),
    10: Refusal(
        name="gateway path unavailable",
        quality=Quality.BadNoCommunication,
        hint="The gateway cannot route to this unit; check the unit id and the gateway's settings",
    ),
    11: Refusal(
        name="gateway target device failed to respond",
        quality=Quality.BadNoCommunication,
        hint="The gateway answers, the device behind it does not; check its unit id, power and wiring",
    ),
}
_UNKNOWN_REFUSAL = Refusal(
    name="a code of its own",
    quality=Quality.BadDeviceFailure,
    hint="Look the exception code up in the device's manual",
)


class ModbusRefusedError(DeviceRefusedError):
    """The device answered with exception `exception`."""

    def __init__(self, exception: int, function: int) -> None:
        refusal = REFUSALS.get(exception, _UNKNOWN_REFUSAL)
        message = f"the device refused function {function} with exception {exception} ({refusal.name})"
        super().__init__(message, hint=refusal.hint, quality=refusal.quality)
        self.exception = exception


def read(unit: int, table: Table, start: int, count: int) -> Request:
    """FC1 to FC4."""
    function = READ[table]
    size = (count + 7) // 8 if table.of_bits else count * 2
    return Request(
        unit=unit,
        pdu=_PAIR.pack(function, start, count),
        begins=bytes((function, size)),
        length=2 + size,
    )


def write_coil(unit: int, offset: int, on: bool) -> Request:
    """FC5: one coil, a true bit service."""
    return _echoed(unit, _PAIR.pack(WRITE_COIL, offset, 0xFF00 if on else 0))


def write_register(unit: int, offset: int, data: bytes) -> Request:
    """FC6: one register."""
    return _echoed(unit, _PAIR.pack(WRITE_REGISTER, offset, int.from_bytes(data, "big")))


def write_coils(unit: int, offset: int, states: Sequence[bool]) -> Request:
    """FC15."""
    if not 1 <= len(states) <= MOST_COILS_WRITTEN:
        raise ValueError(f"one request writes 1 to {MOST_COILS_WRITTEN} coils, not {len(states)}")
    packed = sum(state << at for at, state in enumerate(states)).to_bytes((len(states) + 7) // 8, "little")
    return _acknowledged(unit, _MANY.pack(WRITE_COILS, offset, len(states), len(packed)) + packed)


def write_registers(unit: int, offset: int, data: bytes) -> Request:
    """FC16."""
    count = len(data) // 2
    if not 1 <= count <= MOST_REGISTERS_WRITTEN or len(data) % 2:
        raise ValueError(f"one request writes 1 to {MOST_REGISTERS_WRITTEN} whole registers, not {count}")
    return _acknowledged(unit, _MANY.pack(WRITE_REGISTERS, offset, count, len(data)) + data)


def mask_write(unit: int, offset: int, and_mask: int, or_mask: int) -> Request:
    """FC22: some bits of one register, changed inside the device."""
    return _echoed(unit, _MASK.pack(MASK_WRITE, offset, and_mask, or_mask))


def echo(unit: int, nonce: bytes) -> Request:
    """FC8 sub-function 0: the device returns the two bytes of `nonce`."""
    return _echoed(unit, bytes((DIAGNOSTICS, 0, 0)) + nonce)


def identification(unit: int, level: int, first: int = 0) -> Request:
    """FC43/14: level 1 basic, 2 regular, 3 extended; from object `first` on."""
    pdu = bytes((IDENTIFICATION, 14, level, first))
    return Request(unit=unit, pdu=pdu, begins=pdu[:3], length=0)


def answer_of(request: Request, pdu: bytes) -> bytes | ModbusRefusedError:
    """The answer without its function code, or the device's refusal; BadReplyError where it does not fit."""
    if pdu.startswith(request.begins) and (len(pdu) == request.length or not request.length):
        return pdu[1:]
    if len(pdu) == 2 and pdu[0] == request.function | 0x80:
        return ModbusRefusedError(pdu[1], request.function)
    raise BadReplyError(
        f"the answer does not fit the question: {_misfit(request, pdu)}",
        hint="Nothing of it was used. If this repeats, two masters may share the line, or a gateway mixes answers",
    )


def bit(data: bytes, at: int) -> bool:
    """Coil or input number `at` of a read answer's data bytes."""
    return bool(data[at >> 3] >> (at & 7) & 1)


def _echoed(unit: int, pdu: bytes) -> Request:
    return Request(unit=unit, pdu=pdu, begins=pdu, length=len(pdu))


def _acknowledged(unit: int, pdu: bytes) -> Request:
    return Request(unit=unit, pdu=pdu, begins=pdu[:5], length=5)


def _misfit(request: Request, pdu: bytes) -> str:
    if not pdu:
        return "it is empty"
    if pdu[0] & 0x7F != request.function:
        return f"asked function {request.function}, answered function {pdu[0] & 0x7F}"
    if request.function in READ.values() and len(pdu) >= 2:
        return f"{request.length - 2} bytes of data expected, {len(pdu) - 2} came (the answer says {pdu[1]})"
    return f"{pdu[:12].hex(' ')} came, {request.begins[:12].hex(' ')} was expected"
