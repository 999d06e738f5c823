"""A controller's bytes and the values they mean, by the type code that comes with every answer.

Logix is little-endian throughout. Type codes: 1756-PM020, "CIP data types"; structures answer A0 02 and a
16-bit handle. A value of another type than expected is never reinterpreted.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_schema import Value
from factorylm_skill.engineering import shortest


@dataclass(frozen=True)
class Atomic:
    """An elementary type."""

    name: str
    code: int
    format: str
    size: int

    @property
    def is_integer(self) -> bool:
        return self.format in "bBhHiIqQ" and self.code != BOOL


BOOL, REAL, DWORD, STRUCTURE = 0xC1, 0xCA, 0xD3, 0x02A0
_LARGEST_REAL = 3.4028234e38
STRING_HANDLE = 0x0FCE
STRING_CAPACITY = 82

_ATOMICS = (
    Atomic("BOOL", BOOL, "B", 1),
    Atomic("SINT", 0xC2, "b", 1),
    Atomic("INT", 0xC3, "h", 2),
    Atomic("DINT", 0xC4, "i", 4),
    Atomic("LINT", 0xC5, "q", 8),
    Atomic("USINT", 0xC6, "B", 1),
    Atomic("UINT", 0xC7, "H", 2),
    Atomic("UDINT", 0xC8, "I", 4),
    Atomic("ULINT", 0xC9, "Q", 8),
    Atomic("REAL", REAL, "f", 4),
    Atomic("LREAL", 0xCB, "d", 8),
    # only as BOOL arrays: 32 elements in each
    Atomic("DWORD", DWORD, "I", 4),
)
ATOMIC_BY_CODE = {atomic.code: atomic for atomic in _ATOMICS}
_STRUCTS = {atomic.code: struct.Struct("<" + atomic.format) for atomic in _ATOMICS}
ATOMIC_BY_NAME = {atomic.name: atomic for atomic in _ATOMICS}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What one element of a tag is on the wire.

    `capacity` is the number of characters of a string type (STRING: 82), None for everything else;
    a structure that is no string has a `handle` and a `structure` name.
    """

    code: int
    size: int
    handle: int = 0
    capacity: int | None = None
    structure: str = ""

    @property
    def name(self) -> str:
        """The type as a plant file says it."""
        if self.code == DWORD:
            return "BOOL"
        if atomic := ATOMIC_BY_CODE.get(self.code):
            return atomic.name
        if self.capacity is not None:
            return "STRING" if self.capacity == STRING_CAPACITY else f"STRING[{self.capacity}]"
        return self.structure or f"structure 0x{self.handle:04X}"

    @property
    def prefix(self) -> bytes:
        """The type as a write request names it."""
        return struct.pack("<HH", STRUCTURE, self.handle) if self.code == STRUCTURE else struct.pack("<H", self.code)


ATOMIC_KINDS = tuple(Kind(code=atomic.code, size=atomic.size) for atomic in _ATOMICS)
STRING = Kind(code=STRUCTURE, size=88, handle=STRING_HANDLE, capacity=STRING_CAPACITY)


class UnfitValueError(ValueError):
    """Bytes that are no value, or a value that does not fit; the sentence says why."""


def decode(kind: Kind, data: bytes) -> Value:
    """The value of one element, as the controller means it (a REAL may be NaN); raises UnfitValueError."""
    if len(data) != kind.size:
        raise UnfitValueError(f"{len(data)} bytes came for a {kind.name} of {kind.size}")
    if kind.code == STRUCTURE:
        return _decode_string(kind, data)
    value: int | float = _STRUCTS[kind.code].unpack(data)[0]
    if kind.code == BOOL:
        return bool(value)
    return shortest(value) if kind.code == REAL else value


class Elements:
    """The elements of one answer, taken apart all at once.

    `numbers` are the values where the type is a number, so that most readings need no decoding of their own.
    """

    def __init__(self, kind: Kind, data: bytes) -> None:
        self.kind = kind
        size = kind.size
        self._data = data
        text = data.hex()
        self.raw = [text[at : at + 2 * size] for at in range(0, len(text), 2 * size)]
        self.numbers = _numbers(kind, data)

    def value(self, place: int) -> Value:
        """One element's value; raises UnfitValueError."""
        return decode(self.kind, self.data(place)) if self.numbers is None else self.numbers[place]

    def data(self, place: int) -> bytes:
        """One element's bytes."""
        return self._data[place * self.kind.size : (place + 1) * self.kind.size]


def _numbers(kind: Kind, data: bytes) -> Sequence[int | float] | None:
    if kind.code in (STRUCTURE, BOOL, DWORD):
        return None
    numbers = struct.unpack(f"<{len(data) // kind.size}{ATOMIC_BY_CODE[kind.code].format}", data)
    return [shortest(number) for number in numbers] if kind.code == REAL else numbers


def bit_of(kind: Kind, data: bytes, bit: int) -> bool:
    """One bit of an integer; raises UnfitValueError where there is no such bit."""
    check_bit(kind, bit)
    if len(data) != kind.size:
        raise UnfitValueError(f"{len(data)} bytes came for a {kind.name} of {kind.size}")
    return bool(data[bit // 8] >> bit % 8 & 1)


def check_bit(kind: Kind, bit: int) -> None:
    """Raises UnfitValueError where a type has no such bit."""
    atomic = ATOMIC_BY_CODE.get(kind.code)
    if atomic is None or not atomic.is_integer:
        raise UnfitValueError(f"a {kind.name} has no bits to pick")
    if bit >= 8 * kind.size:
        raise UnfitValueError(f"a {kind.name} has bits 0 to {8 * kind.size - 1}, not {bit}")


def encode(kind: Kind, value: Value) -> bytes:
    """The bytes of one element; raises UnfitValueError before anything is sent."""
    if kind.code == STRUCTURE:
        return _encode_string(kind, value)
    if kind.code == BOOL:
        return b"\x01" if as_bool(value) else b"\x00"
    atomic = ATOMIC_BY_CODE[kind.code]
    if isinstance(value, bool | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise UnfitValueError(f"a {kind.name} takes a number, not {value!r}")
    number = value if atomic.format in "fd" else _whole(kind, value)
    try:
        return _STRUCTS[kind.code].pack(number)
    except (struct.error, OverflowError):
        raise UnfitValueError(f"{value} does not fit into a {kind.name} ({_range(atomic)})") from None


def bit_masks(kind: Kind, bit: int, *, on: bool) -> bytes:
    """The OR and the AND mask of a read-modify-write, each as wide as the element."""
    every = (1 << 8 * kind.size) - 1
    or_mask = (1 << bit) if on else 0
    and_mask = every if on else every ^ (1 << bit)
    return or_mask.to_bytes(kind.size, "little") + and_mask.to_bytes(kind.size, "little")


def as_bool(value: Value) -> bool:
    """True, False, 1 or 0; raises UnfitValueError for anything else."""
    if value in (0, 1):
        return bool(value)
    raise UnfitValueError(f"a BOOL takes true or false, not {value!r}")


def _whole(kind: Kind, value: int | float) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise UnfitValueError(f"a {kind.name} takes a whole number, not {value}")
    return int(value)


def _range(atomic: Atomic) -> str:
    bits = 8 * atomic.size
    if atomic.format in "fd":
        return "±3.4e38" if atomic.code == REAL else "±1.8e308"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if atomic.format.islower() else (0, (1 << bits) - 1)
    return f"{low} to {high}"


def _decode_string(kind: Kind, data: bytes) -> str:
    if kind.capacity is None:
        raise UnfitValueError(f"{kind.name} is a structure, not one value")
    length = int.from_bytes(data[:4], "little", signed=True)
    if not 0 <= length <= kind.capacity:
        raise UnfitValueError(f"the text claims {length} characters, and the type has {kind.capacity}")
    # Logix strings are single bytes; Latin-1 gives every byte one character and loses none
    return data[4 : 4 + length].decode("latin-1")


def _encode_string(kind: Kind, value: Value) -> bytes:
    if kind.capacity is None:
        raise UnfitValueError(f"{kind.name} is a structure; write its members one by one")
    if not isinstance(value, str):
        raise UnfitValueError(f"a {kind.name} takes a text, not {value!r}")
    try:
        text = value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UnfitValueError(f"the controller has no character {value[error.start]!r} (only Latin-1)") from None
    if len(text) > kind.capacity:
        raise UnfitValueError(f"the text has {len(text)} characters, and a {kind.name} holds {kind.capacity}")
    return (len(text).to_bytes(4, "little") + text).ljust(kind.size, b"\x00")
