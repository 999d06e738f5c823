"""A device's memory and its answers to PDUs; what is not defined in it is refused with exception 2."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from factorylm_schema import Value
from factorylm_skill.faults import FaultSwitches

from factorylm_modbus.address import Address, Table
from factorylm_modbus.pdu import MOST_COILS_WRITTEN, MOST_REGISTERS_WRITTEN, READ
from factorylm_modbus.values import encode

_TABLES = {function: table for table, function in READ.items()}
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE = 1, 2, 3
_MOST_READ = {True: 2000, False: 125}


class _RefusedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _nothing(_: object) -> None:
    return None


def _identity() -> dict[int, str]:
    return {0: "FactoryLM", 1: "SIM-PUMP", 2: "0.1", 4: "Simulated pump station", 5: "FLM-PUMP-01"}


@dataclass
class SimulatedDevice:
    """Memory, limits and manners of one device; `refresh` runs before each answer, `written` after each write."""

    refresh: Callable[["SimulatedDevice"], None] = _nothing
    written: Callable[[tuple[Table, int]], None] = _nothing
    units: frozenset[int] = frozenset({1})
    identity: dict[int, str] = field(default_factory=_identity)
    max_registers: int = 125
    unsupported: frozenset[int] = frozenset()  # function codes refused with exception 1
    scripted: dict[int, bytes] = field(default_factory=dict)  # function codes with a fixed answer
    refusal: int = 4  # exception code of the fault `refuse`
    silent_functions: frozenset[int] = frozenset()
    silent_at: int | None = None  # reads from this address are not answered
    faults: FaultSwitches = field(default_factory=FaultSwitches)
    requests: int = 0
    connections: int = 0
    _memory: dict[Table, dict[int, int]] = field(default_factory=lambda: {table: {} for table in Table})

    def define(self, table: Table, start: int, count: int) -> None:
        """Addresses that exist, holding 0."""
        self._memory[table].update(dict.fromkeys(range(start, start + count), 0))

    def get(self, table: Table, at: int) -> int:
        """One register or bit."""
        return self._memory[table][at]

    def put(self, table: Table, at: int, value: int) -> None:
        """Set one register or bit, as the device's own program does."""
        self._memory[table][at] = value

    def put_bytes(self, table: Table, at: int, data: bytes) -> None:
        """Set registers from their bytes."""
        for offset, word in enumerate(struct.unpack(f">{len(data) // 2}H", data)):
            self._memory[table][at + offset] = word

    def place(self, address: Address, value: Value) -> None:
        """Set the bit or the registers at `address` to what they hold when they mean `value`."""
        if address.table.of_bits:
            self.put(address.table, address.offset, int(bool(value)))
        else:
            self.put_bytes(address.table, address.offset, encode(value, address))

    def hears(self, unit: int, pdu: bytes) -> bool:
        """There will be an answer at all."""
        at = int.from_bytes(pdu[1:3], "big")
        return unit in self.units and pdu[0] not in self.silent_functions and at != self.silent_at

    def answer(self, pdu: bytes) -> bytes:
        """The answer PDU, or the exception."""
        self.refresh(self)
        try:
            return self._dispatched(pdu)
        except _RefusedError as refused:
            return bytes((pdu[0] | 0x80, refused.code))
        except (struct.error, IndexError):
            return bytes((pdu[0] | 0x80, _ILLEGAL_VALUE))

    def _dispatched(self, pdu: bytes) -> bytes:
        function = pdu[0]
        if function in self.unsupported:
            raise _RefusedError(_ILLEGAL_FUNCTION)
        if function in self.scripted:
            return self.scripted[function]
        if table := _TABLES.get(function):
            return self._read(table, *struct.unpack(">BHH", pdu))
        if function in (5, 6):
            return self._write_one(pdu)
        if function in (15, 16):
            return self._write_many(pdu)
        if function == 22:
            return self._mask(pdu)
        if function == 43 and pdu[1] == 14:
            return self._identified(pdu)
        if function == 8 and pdu[1:3] == b"\0\0":
            return pdu
        raise _RefusedError(_ILLEGAL_FUNCTION)

    def _read(self, table: Table, function: int, start: int, count: int) -> bytes:
        if not 1 <= count <= (_MOST_READ[True] if table.of_bits else self.max_registers):
            raise _RefusedError(_ILLEGAL_VALUE)
        memory = self._memory[table]
        try:
            words = [memory[at] for at in range(start, start + count)]
        except KeyError:
            raise _RefusedError(_ILLEGAL_ADDRESS) from None
        data = _packed(words) if table.of_bits else struct.pack(f">{count}H", *words)
        return bytes((function, len(data))) + data

    def _write_one(self, pdu: bytes) -> bytes:
        function, at, value = struct.unpack(">BHH", pdu)
        if function == 5 and value not in (0, 0xFF00):
            raise _RefusedError(_ILLEGAL_VALUE)
        self._store(
            Table.COIL if function == 5 else Table.HOLDING_REGISTER, at, [value and 1 if function == 5 else value]
        )
        return pdu

    def _write_many(self, pdu: bytes) -> bytes:
        function, start, count, size = struct.unpack_from(">BHHB", pdu)
        data = pdu[6:]
        bits = function == 15
        most = MOST_COILS_WRITTEN if bits else MOST_REGISTERS_WRITTEN
        if not 1 <= count <= most or size != len(data) or size != ((count + 7) // 8 if bits else count * 2):
            raise _RefusedError(_ILLEGAL_VALUE)
        if bits:
            self._store(Table.COIL, start, [data[at >> 3] >> (at & 7) & 1 for at in range(count)])
        else:
            self._store(Table.HOLDING_REGISTER, start, list(struct.unpack(f">{count}H", data)))
        return pdu[:5]

    def _mask(self, pdu: bytes) -> bytes:
        _, at, and_mask, or_mask = struct.unpack(">BHHH", pdu)
        old = self._memory[Table.HOLDING_REGISTER].get(at, 0)
        self._store(Table.HOLDING_REGISTER, at, [old & and_mask | or_mask & ~and_mask & 0xFFFF])
        return pdu

    def _store(self, table: Table, start: int, words: list[int]) -> None:
        if not self._memory[table].keys() >= set(range(start, start + len(words))):
            raise _RefusedError(_ILLEGAL_ADDRESS)
        for at, word in enumerate(words, start):
            self._memory[table][at] = word
            self.written((table, at))

    def _identified(self, pdu: bytes) -> bytes:
        """Basic and regular levels, one or two objects a page so that clients must follow."""
        _, _, level, first = struct.unpack(">BBBB", pdu)
        last = {1: 2, 2: 6}.get(level)
        if last is None:
            raise _RefusedError(_ILLEGAL_VALUE)
        objects = [(number, text.encode()) for number, text in sorted(self.identity.items()) if first <= number <= last]
        page, rest = objects[:3], objects[3:]
        head = bytes((43, 14, level, 0x82, 0xFF if rest else 0, rest[0][0] if rest else 0, len(page)))
        return head + b"".join(bytes((number, len(text))) + text for number, text in page)


def _packed(bits: list[int]) -> bytes:
    number = sum(bit << at for at, bit in enumerate(bits))
    return number.to_bytes((len(bits) + 7) // 8, "little")
