"""Modbus addresses as people write them, and the one canonical form.

Counted from 1, as on paper:   holding-register:108:REAL · 40108 · 400108 · 4x108 · HR108
Counted from 0, as on the wire: hr@107 · hr@0x6B (also ir@, co@, di@)
Which base is meant stands in the form itself and is never guessed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

FORMS = (
    "write holding-register:108:REAL, 40108 or 400108, 4x108 or HR108 (counted from 1), "
    "or hr@107 (counted from 0); also coil, discrete-input, input-register"
)


class Table(StrEnum):
    """The four tables of a Modbus device."""

    COIL = "coil"
    DISCRETE_INPUT = "discrete-input"
    INPUT_REGISTER = "input-register"
    HOLDING_REGISTER = "holding-register"

    @property
    def of_bits(self) -> bool:
        """One bit an address; otherwise one 16-bit register."""
        return self is Table.COIL or self is Table.DISCRETE_INPUT

    @property
    def writable(self) -> bool:
        """The protocol has a service that writes it."""
        return self in (Table.COIL, Table.HOLDING_REGISTER)


class DataType(StrEnum):
    """What the bits of a value mean (IEC 61131-3 names; BCD and LBCD are 4 and 8 decimal digits)."""

    BOOL = "BOOL"
    INT = "INT"
    UINT = "UINT"
    DINT = "DINT"
    UDINT = "UDINT"
    LINT = "LINT"
    ULINT = "ULINT"
    REAL = "REAL"
    LREAL = "LREAL"
    BCD = "BCD"
    LBCD = "LBCD"
    STRING = "STRING"


class ByteOrder(StrEnum):
    """Where the bytes A (highest) to D (lowest) of a value stand on the wire; 64-bit values likewise."""

    ABCD = "ABCD"
    BADC = "BADC"
    CDAB = "CDAB"
    DCBA = "DCBA"


REGISTERS = {
    DataType.BOOL: 1,
    DataType.INT: 1,
    DataType.UINT: 1,
    DataType.BCD: 1,
    DataType.DINT: 2,
    DataType.UDINT: 2,
    DataType.REAL: 2,
    DataType.LBCD: 2,
    DataType.LINT: 4,
    DataType.ULINT: 4,
    DataType.LREAL: 4,
}

_ALSO_CALLED = {
    "BIT": "BOOL", "WORD": "UINT", "DWORD": "UDINT", "LWORD": "ULINT",
    "INT16": "INT", "UINT16": "UINT", "INT32": "DINT", "UINT32": "UDINT", "INT64": "LINT", "UINT64": "ULINT",
    "FLOAT": "REAL", "FLOAT32": "REAL", "DOUBLE": "LREAL", "FLOAT64": "LREAL",
}  # fmt: skip
_BY_DIGIT = {
    "0": Table.COIL,
    "1": Table.DISCRETE_INPUT,
    "3": Table.INPUT_REGISTER,
    "4": Table.HOLDING_REGISTER,
}
_BY_LETTERS = {
    "co": Table.COIL,
    "di": Table.DISCRETE_INPUT,
    "ir": Table.INPUT_REGISTER,
    "hr": Table.HOLDING_REGISTER,
}
_LAST = 0xFFFF
_MAX_TEXT = 250  # bytes in the 125 registers of one read (Modbus Application Protocol V1.1b3, 6.3)

_PLACE = r"""
    (?P<name>coil|discrete-input|input-register|holding-register):(?P<named>\d{1,5})
  | (?P<digit>[0134])(?:x(?P<crossed>\d{1,5})|(?P<digits>\d{4,5}))
  | (?P<letters>co|di|ir|hr)(?:@(?P<offset>0x[0-9a-f]{1,4}|\d{1,5})|(?P<lettered>\d{1,5}))
"""
_PLACE_ONLY = re.compile(_PLACE, re.VERBOSE | re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(
    rf"""
    (?:(?P<unit>\d{{1,3}})!)?
    (?:{_PLACE})
    (?:\.(?P<low>\d{{1,2}})(?:\.\.(?P<high>\d{{1,2}}))?)?
    (?::(?P<type>[a-z]+\d*)(?:\[(?P<length>\d{{1,4}})\])?)?
    (?:\{{(?P<settings>[^{{}}]*)\}})?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SETTING = re.compile(r"\s*(?P<key>unit-id|byte-order)\s*:\s*(?P<value>\w+)\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One value's place: table, PDU address, type; `bits` for a part of one register."""

    table: Table
    offset: int  # from 0, as in the PDU
    type: DataType
    length: int = 0  # characters of a STRING
    bits: tuple[int, int] | None = None
    unit: int | None = None
    order: ByteOrder | None = None

    @property
    def count(self) -> int:
        """How many registers (or coils) the value takes."""
        return (self.length + 1) // 2 if self.type is DataType.STRING else REGISTERS[self.type]

    @property
    def canonical(self) -> str:
        """The form every answer uses; parses back to the same address."""
        return f"{self.table}:{self.offset + 1}{self._bits}{self._type}{self._settings}"

    @property
    def told(self) -> str:
        """The canonical form with both bases, so that nobody has to wonder which one is meant."""
        digit = next(digit for digit, table in _BY_DIGIT.items() if table is self.table)
        number = self.offset + 1
        on_paper = f"{digit}{number:04d}" if number <= 9999 else f"{digit}{number:05d}"
        return f"{self.canonical} ({on_paper}, PDU {self.offset} = 0x{self.offset:X})"

    @property
    def _bits(self) -> str:
        if self.bits is None:
            return ""
        low, high = self.bits
        return f".{low}" if low == high else f".{low}..{high}"

    @property
    def _type(self) -> str:
        if self.table.of_bits:
            return ""
        return f":{self.type}[{self.length}]" if self.type is DataType.STRING else f":{self.type}"

    @property
    def _settings(self) -> str:
        settings = [] if self.unit is None else [f"unit-id:{self.unit}"]
        settings += [] if self.order is None else [f"byte-order:{self.order}"]
        return "{" + ",".join(settings) + "}" if settings else ""


@lru_cache(maxsize=8192)
def parse(text: str, type_name: str = "") -> Address:
    """The address `text` names; `type_name` fills in a type that the text leaves out.

    Raises ValueError with a sentence that says what is wrong and what is allowed.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text[:80]!r} is not a Modbus address; {FORMS}")
    table, offset = _place(found)
    bits = _bits(found, table)
    kind, length = _type(found, table, bits, type_name)
    unit, order = _settings(found)
    address = Address(table=table, offset=offset, type=kind, length=length, bits=bits, unit=unit, order=order)
    if offset + address.count > _LAST + 1:
        raise ValueError(f"{text[:80]!r} ends after the last address, 65536")
    if order and (table.of_bits or bits):
        raise ValueError("single bits have no byte order")
    return address


def parse_range(text: str) -> tuple[Table, int, int]:
    """`hr@200..hr@299` or `holding-register:201..300` as table, first and last PDU address."""
    first, dots, last = text.strip().partition("..")
    low = _PLACE_ONLY.fullmatch(first)
    if not dots or not low:
        raise ValueError(f"{text[:80]!r} is not a range; write hr@200..hr@299 or 40201..40300")
    table, start = _place(low)
    high = _PLACE_ONLY.fullmatch(last) or _PLACE_ONLY.fullmatch(f"{table}:{last}")
    if not high:
        raise ValueError(f"{last[:40]!r} does not end a range; write hr@200..hr@299 or 40201..40300")
    other, end = _place(high)
    if other is not table or end < start:
        raise ValueError(f"{text[:80]!r}: a range goes upwards and stays in one table")
    return table, start, end


def type_of(name: str) -> DataType:
    """The type called `name`, also by its usual other names (FLOAT32, WORD …)."""
    upper = name.upper()
    try:
        return DataType(_ALSO_CALLED.get(upper, upper))
    except ValueError:
        raise ValueError(f"{name[:40]!r} is not a type; use {', '.join(DataType)} (STRING[20])") from None


def _place(found: re.Match[str]) -> tuple[Table, int]:
    if found["offset"]:
        return _BY_LETTERS[found["letters"].lower()], _within(int(found["offset"], 0), base=0)
    if found["name"]:
        table, number = Table(found["name"].lower()), found["named"]
    elif found["digit"]:
        table, number = _BY_DIGIT[found["digit"]], found["crossed"] or found["digits"]
    else:
        table, number = _BY_LETTERS[found["letters"].lower()], found["lettered"]
    return table, _within(int(number), base=1) - 1


def _within(number: int, *, base: int) -> int:
    if not base <= number <= _LAST + base:
        what = "counted from 1: 1 to 65536" if base else "counted from 0: 0 to 65535"
        raise ValueError(f"address {number} does not exist ({what})")
    return number


def _bits(found: re.Match[str], table: Table) -> tuple[int, int] | None:
    if found["low"] is None:
        return None
    low = int(found["low"])
    high = int(found["high"] or low)
    if table.of_bits:
        raise ValueError(f"a {table} is a single bit: leave .{low} out")
    if not 0 <= low <= high <= 15:
        raise ValueError("the bits of a register are 0 (lowest) to 15: .3 is one bit, .4..7 are four")
    return low, high


def _type(found: re.Match[str], table: Table, bits: tuple[int, int] | None, type_name: str) -> tuple[DataType, int]:
    """The type stated in the address or beside it; both may state it if they agree."""
    written = _named_type(found["type"] or "", found["length"])
    beside = _type_beside(type_name)
    if written and beside and written != beside:
        raise ValueError(f"the address says {found['type']}, the type column says {type_name}")
    kind, length = written or beside or (_natural_type(table, bits), 0)
    _check_fits(kind, length, table, bits)
    return kind, length


def _named_type(name: str, length: str | None) -> tuple[DataType, int] | None:
    if not name:
        return None
    kind = type_of(name)
    if length is not None and kind is not DataType.STRING:
        raise ValueError(f"one tag is one value: write {name} without [{length}], one tag for each")
    return kind, int(length or 0)


def _type_beside(type_name: str) -> tuple[DataType, int] | None:
    name, bracket, length = type_name.strip().partition("[")
    return _named_type(name, length.rstrip("]") if bracket else None)


def _natural_type(table: Table, bits: tuple[int, int] | None) -> DataType:
    one_bit = table.of_bits or (bits is not None and bits[0] == bits[1])
    return DataType.BOOL if one_bit else DataType.UINT


def _check_fits(kind: DataType, length: int, table: Table, bits: tuple[int, int] | None) -> None:
    if table.of_bits and kind is not DataType.BOOL:
        raise ValueError(f"a {table} is a single bit, BOOL, not {kind}")
    if kind is DataType.BOOL and not table.of_bits and (bits is None or bits[0] != bits[1]):
        raise ValueError("a BOOL in a register needs its bit: holding-register:5.3 (0 is the lowest)")
    if bits and bits[0] != bits[1] and kind is not DataType.UINT:
        raise ValueError(f"several bits of a register are a UINT, not {kind}")
    if bits and bits[0] == bits[1] and kind not in (DataType.BOOL, DataType.UINT):
        raise ValueError(f"one bit of a register is a BOOL, not {kind}")
    if kind is DataType.STRING and not 1 <= length <= _MAX_TEXT:
        raise ValueError(f"a text needs its length, 1 to {_MAX_TEXT}: STRING[20]")


def _settings(found: re.Match[str]) -> tuple[int | None, ByteOrder | None]:
    unit = int(found["unit"]) if found["unit"] else None
    order = None
    for text in (found["settings"] or "").split(",") if found["settings"] else ():
        setting = _SETTING.fullmatch(text)
        if not setting:
            raise ValueError(f"{text[:40]!r} is not a setting; write {{unit-id:2,byte-order:CDAB}}")
        if setting["key"].lower() == "unit-id":
            unit = _unit(setting["value"])
        else:
            order = _order(setting["value"])
    if unit is not None and not 0 <= unit <= 255:
        raise ValueError(f"unit {unit} does not exist; units are 0 to 255")
    return unit, order


def _unit(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"unit {text[:20]!r} is not a number, 0 to 255")
    return int(text)


def _order(text: str) -> ByteOrder:
    try:
        return ByteOrder(text.upper())
    except ValueError:
        raise ValueError(f"byte order {text[:20]!r} is not one of {', '.join(ByteOrder)}") from None
