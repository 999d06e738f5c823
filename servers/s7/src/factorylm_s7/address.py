"""S7 addresses: what people write, and the one canonical form that is shown back.

Canonical: `%DB1.DBD4:REAL`, `%DB1.DBX0.3:BOOL`, `%DB1.DBB12:STRING[20]`, `%DB1.DBW20:INT[5]`, `%IW64:INT`,
`%M10.5:BOOL`, `%T5:TIMER`. Understood as well: the same without `%`; PLC4X' short form `DB1:4:REAL`; nodeS7's
`DB1,R4`, `DB1,X0.3`, `DB1,S12.20`, `MR38`; STEP 7's German E, A and Z; TIA Portal's `%IW64:P`.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from factorylm_s7.values import TYPES

MAX_BYTE = 65_535
MAX_SIZE = 8_192


class Area(Enum):
    """A memory area: its letter in an address and its number on the wire."""

    BLOCK = "DB", 0x84
    INPUT = "I", 0x81
    OUTPUT = "Q", 0x82
    MARKER = "M", 0x83
    PERIPHERAL_INPUT = "PI", 0x80
    PERIPHERAL_OUTPUT = "PQ", 0x80
    TIMER = "T", 0x1D
    COUNTER = "C", 0x1C

    def __init__(self, letter: str, code: int) -> None:
        self.letter = letter
        self.code = code

    @property
    def is_counted(self) -> bool:
        """Addressed by number (`T5`), not by byte."""
        return self in (Area.TIMER, Area.COUNTER)


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a value lives and how its bytes are read. `start` is a byte, or a timer's or counter's number."""

    area: Area
    block: int = 0
    start: int
    bit: int = 0
    type: str
    length: int = 0  # the n of STRING[n]
    count: int = 0  # the n of an array; 0: not an array

    @property
    def size(self) -> int:
        """Bytes to read."""
        if self.type == "BOOL":
            return (self.bit + max(self.count, 1) + 7) // 8
        if self.type == "STRING":
            return 2 + self.length
        if self.type == "WSTRING":
            return 4 + 2 * self.length
        return TYPES[self.type].size * max(self.count, 1)

    def __str__(self) -> str:
        return f"%{self._place()}:{self._type()}"

    def _place(self) -> str:
        if self.area.is_counted:
            return f"{self.area.letter}{self.start}"
        prefix = f"DB{self.block}.DB" if self.area is Area.BLOCK else self.area.letter
        if self.type == "BOOL":
            return f"{prefix}{'X' if self.area is Area.BLOCK else ''}{self.start}.{self.bit}"
        return f"{prefix}{_LETTER_OF_SIZE.get(_element_size(self.type), 'B')}{self.start}"

    def _type(self) -> str:
        number = self.length or self.count
        return f"{self.type}[{number}]" if number else self.type


@lru_cache(maxsize=20_000)
def parse(text: str, type_name: str = "") -> Address:
    """The address in `text`; ValueError says what is wrong and what would be right.

    `type_name` is the tag's own type, for an address that names none (`DB1.DBD4` with type REAL).
    """
    written = text.strip().upper().removeprefix("%").replace(" ", "")
    place, _, suffix = written.partition(":") if not _SHORT.match(written) else (written, "", "")
    if suffix == "P":  # TIA Portal's mark for the peripheral instead of the process image
        place, suffix = f"P{place}", ""
    own = type_name.strip().upper().replace(" ", "")
    for pattern, build in _FORMS:
        if found := pattern.fullmatch(place):
            address = build(found, _agreed(suffix, own, text))
            return _checked(address, text)
    raise ValueError(
        f"{text[:60]!r} is not an S7 address; examples: %DB1.DBD4:REAL, %DB1.DBX0.3:BOOL, "
        "%DB1.DBB12:STRING[20], %MW20:INT, %I0.1:BOOL, %T5:TIMER"
    )


# -- the forms ----------------------------------------------------------------------------------------------

_SHORT = re.compile(r"DB\d+:\d")
_SIZE_OF_LETTER = {"B": 1, "W": 2, "D": 4}
_LETTER_OF_SIZE = {1: "B", 2: "W", 4: "D"}
_TYPES_OF_LETTER = {"B": "BYTE, USINT, SINT or CHAR", "W": "INT, UINT or WORD", "D": "REAL, DINT or DWORD"}
_OTHER_NAMES = {
    "TIME_OF_DAY": "TOD", "DATE_AND_TIME": "DT", "DATE_AND_LTIME": "LDT", "LTIME_OF_DAY": "LTOD",
    "BIT": "BOOL", "FLOAT": "REAL",
}  # fmt: skip
# nodeS7's and node-red-contrib-s7's letters
_NODES7_TYPES = {
    "X": "BOOL", "B": "BYTE", "BYTE": "BYTE", "C": "CHAR", "CHAR": "CHAR", "I": "INT", "INT": "INT",
    "W": "WORD", "WORD": "WORD", "DI": "DINT", "DINT": "DINT", "D": "DWORD", "DW": "DWORD", "DWORD": "DWORD",
    "R": "REAL", "REAL": "REAL", "LR": "LREAL", "LREAL": "LREAL", "DT": "DT", "DTL": "DTL", "S": "STRING",
    "STRING": "STRING",
}  # fmt: skip
_AREAS = {
    "I": Area.INPUT, "E": Area.INPUT, "Q": Area.OUTPUT, "A": Area.OUTPUT, "M": Area.MARKER,
    "PI": Area.PERIPHERAL_INPUT, "PE": Area.PERIPHERAL_INPUT, "PQ": Area.PERIPHERAL_OUTPUT,
    "PA": Area.PERIPHERAL_OUTPUT, "T": Area.TIMER, "C": Area.COUNTER, "Z": Area.COUNTER,
}  # fmt: skip
_TYPE = re.compile(r"([A-Z][A-Z0-9_]*)(?:\[(\d{1,5})\])?")


@dataclass(frozen=True)
class _Typed:
    name: str
    number: int


def _agreed(written: str, own: str, text: str) -> _Typed | None:
    """The type in the address, or the tag's own; both must mean the same."""
    types = [_typed(each) for each in (written, own) if each]
    if len(types) == 2 and types[0] != types[1]:
        raise ValueError(f"{text!r} says {written}, and the tag's type says {own}; keep one of them")
    return types[0] if types else None


def _typed(text: str) -> _Typed:
    found = _TYPE.fullmatch(text)
    name = _OTHER_NAMES.get(found[1], found[1]) if found else ""
    if found is None or name not in {*TYPES, "STRING", "WSTRING"}:
        if "(" in text and ")" in text:
            raise ValueError(f"write {text.replace('(', '[').replace(')', ']')}: the number goes into []")
        known = ", ".join([*TYPES, "STRING[n]", "WSTRING[n]"])
        raise ValueError(f"{text[:40]!r} is not an S7 type; use one of {known}; an array is INT[5]")
    if found[2] is not None and int(found[2]) == 0:
        raise ValueError(f"{text}: the number in [] is at least 1")
    return _Typed(name, int(found[2] or 0))


def _block(found: re.Match[str], typed: _Typed | None) -> Address:
    """DB1.DBD4 and its kin: the letter says a size, the type must have it."""
    return _lettered(found, typed, Area.BLOCK, int(found["block"]))


def _memory(found: re.Match[str], typed: _Typed | None) -> Address:
    return _lettered(found, typed, _AREAS[found["area"]], 0)


def _lettered(found: re.Match[str], typed: _Typed | None, area: Area, block: int) -> Address:
    letter, bit = found["letter"] or "", found["bit"]
    if typed is None and letter in _TYPES_OF_LETTER:
        # A REAL read as a DWORD is a number that looks right and is wrong: never guess
        raise ValueError(f"{found[0]} does not say its type: add :{_TYPES_OF_LETTER[letter]}")
    typed = typed or _Typed("BOOL", 0)
    size = _element_size(typed.name)
    wanted = _SIZE_OF_LETTER.get(letter)
    # B and X may stand for "from this byte on", as TIA Portal's pointers do: P#DB1.DBX12.0
    if wanted and wanted > 1 and wanted != size:
        raise ValueError(
            f"{letter} is {wanted} bytes, but a {typed.name} has {size}: write {_LETTER_OF_SIZE.get(size, 'B')}"
        )
    if typed.name != "BOOL" and bit not in (None, "0"):
        raise ValueError(f"a {typed.name} starts at a whole byte; only a BOOL has a bit")
    return _address(area, block, int(found["start"]), bit if typed.name == "BOOL" else None, typed)


def _short(found: re.Match[str], typed: _Typed | None) -> Address:
    """PLC4X' DB1:4:REAL."""
    inner = _typed(found["type"])
    if typed and typed != inner:
        raise ValueError(f"the address says {found['type']}, the tag's type says {typed.name}; keep one")
    return _address(Area.BLOCK, int(found["block"]), int(found["start"]), found["bit"], inner)


def _comma(found: re.Match[str], typed: _Typed | None) -> Address:
    """nodeS7's DB1,R4 and MR38: after the point stands a bit, a text's length or an array's count."""
    name = _NODES7_TYPES[found["letters"]]
    number, bit = (0, found["bit"]) if name == "BOOL" else (int(found["bit"] or 0), None)
    if typed and typed != _Typed(name, number):
        raise ValueError(f"the address says {name}, the tag's type says {typed.name}; keep one of them")
    groups = found.groupdict()
    area = _AREAS[groups["area"]] if groups.get("area") else Area.BLOCK
    return _address(area, int(groups.get("block") or 0), int(found["start"]), bit, _Typed(name, number))


def _numbered(found: re.Match[str], typed: _Typed | None) -> Address:
    area = _AREAS[found["area"]]
    name = "TIMER" if area is Area.TIMER else "COUNTER"
    if typed and typed != _Typed(name, 0):
        raise ValueError(f"{found[0]} is a {name}; it has no other type")
    return Address(area=area, start=int(found["start"]), type=name)


def _address(area: Area, block: int, start: int, bit: str | None, typed: _Typed) -> Address:
    if typed.name == "BOOL" and bit is None:
        raise ValueError("a BOOL needs its bit: DB1.DBX0.3, M10.5")
    if bit is not None and int(bit) > 7:
        raise ValueError(f"a byte has bits 0 to 7, not {bit}")
    text = typed.name in ("STRING", "WSTRING")
    return Address(
        area=area,
        block=block,
        start=start,
        bit=int(bit or 0),
        type=typed.name,
        length=typed.number if text else 0,
        count=0 if text else typed.number,
    )


def _element_size(name: str) -> int:
    return TYPES[name].size if name in TYPES else 0


def _checked(address: Address, text: str) -> Address:
    if address.area is Area.BLOCK and not 1 <= address.block <= 65_535:
        raise ValueError(f"{text}: data blocks have numbers from 1 to 65535")
    if address.type in ("STRING", "WSTRING") and not address.length:
        raise ValueError(f"{address.type} needs its length: {address.type}[20] (TIA's plain String is STRING[254])")
    if address.type == "STRING" and address.length > 254:
        raise ValueError("a STRING has at most 254 characters")
    if address.type in ("TIMER", "COUNTER") and not address.area.is_counted:
        raise ValueError(f"a {address.type} is written T5 or C3; an S5TIME in memory is written MW10:S5TIME")
    if address.start + address.size > MAX_BYTE + 1:
        raise ValueError(f"{text} ends beyond byte {MAX_BYTE}, where every S7 area ends")
    if address.size > MAX_SIZE:
        raise ValueError(f"{text} is {address.size} bytes; read at most {MAX_SIZE} at once")
    return address


_BYTE_AND_BIT = r"(?P<start>\d{1,5})(?:\.(?P<bit>\d))?"
_BYTE_AND_NUMBER = r"(?P<start>\d{1,5})(?:\.(?P<bit>\d{1,4}))?"
_IN_BLOCK = rf"DB(?P<block>\d{{1,5}}),(?P<letters>{'|'.join(_NODES7_TYPES)}){_BYTE_AND_NUMBER}"
_IN_MEMORY = rf"(?P<area>P[IEQA]|[IEQAM])(?P<letters>C|CHAR|I|INT|DI|DINT|R|REAL|LR|LREAL){_BYTE_AND_NUMBER}"

_FORMS = [
    (re.compile(rf"DB(?P<block>\d{{1,5}})\.DB(?P<letter>[XBWD]){_BYTE_AND_BIT}"), _block),
    (re.compile(rf"DB(?P<block>\d{{1,5}}):{_BYTE_AND_BIT}:(?P<type>.+)"), _short),
    (re.compile(_IN_BLOCK), _comma),
    (re.compile(rf"(?P<area>P[IEQA]|[IEQAM])(?P<letter>[XBWD])?{_BYTE_AND_BIT}"), _memory),
    (re.compile(_IN_MEMORY), _comma),
    (re.compile(r"(?P<area>[TCZ])(?P<start>\d{1,5})"), _numbered),
]
