"""S7 data types: bytes as the controller keeps them <-> values a person reads. Everything is big-endian.

Sizes and layouts: Siemens, "STEP 7 Basic/Professional" system manual, chapter "Data types".
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from factorylm_schema import Value
from factorylm_skill.engineering import shortest

_T = TypeVar("_T")

_DAY_MS = 86_400_000
_DAY_NS = _DAY_MS * 1_000_000
_FIRST_DAY = date(1990, 1, 1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 a controller's clock has no zone; nobody may invent one
_S5_BASES_MS = (10, 100, 1_000, 10_000)


@dataclass(frozen=True, kw_only=True)
class S7Type:
    """One elementary type; `encode` is missing where nothing sensible can be written."""

    name: str
    size: int
    decode: Callable[[bytes], Value]
    encode: Callable[[Value], bytes] | None


def decode(type_name: str, data: bytes, *, bit: int = 0, length: int = 0, count: int = 0) -> Value | list[Value]:
    """The value in `data`; ValueError says why these bytes are not of that type.

    `length` is the n of STRING[n], `count` the n of an array (0: not an array).
    """
    if type_name == "BOOL":
        bits = [bool(data[(bit + i) // 8] >> (bit + i) % 8 & 1) for i in range(count or 1)]
        return list(bits) if count else bits[0]
    if type_name in _TEXTS:
        return _TEXTS[type_name](data, length)
    if count and type_name in ("CHAR", "WCHAR"):
        return data.decode("utf-16-be" if type_name == "WCHAR" else "latin-1").rstrip("\0 ")
    kind = TYPES[type_name]
    if not count:
        return kind.decode(data)
    return [kind.decode(data[i * kind.size : (i + 1) * kind.size]) for i in range(count)]


def encode(type_name: str, value: Value, *, length: int = 0) -> bytes:
    """The bytes of `value`, without a STRING's maximum length; ValueError says what the type can hold."""
    if type_name == "STRING":
        return _encode_string(value, length)
    if type_name == "WSTRING":
        return _encode_wstring(value, length)
    encoder = TYPES[type_name].encode
    if encoder is None:
        raise ValueError(f"a {type_name} is set by the program, not from outside")
    return encoder(value)


def _encode_bool(value: Value) -> bytes:
    if not isinstance(value, bool):
        raise ValueError(f"a BOOL is true or false, not {value!r}")  # noqa: TRY004 one error for one reader
    return bytes([value])


# -- numbers ------------------------------------------------------------------------------------------------


def _number(name: str, layout: str) -> S7Type:
    packed = struct.Struct(">" + layout)
    lowest, highest = _bounds(packed.size, signed=layout.islower())

    def encode_number(value: Value) -> bytes:
        whole = _whole(value, name)
        if not lowest <= whole <= highest:
            raise ValueError(f"{value} does not fit a {name} ({lowest} to {highest})")
        return packed.pack(whole)

    return S7Type(name=name, size=packed.size, decode=lambda data: packed.unpack(data)[0], encode=encode_number)


def _bounds(size: int, *, signed: bool) -> tuple[int, int]:
    bits = size * 8
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _whole(value: Value, name: str) -> int:
    if isinstance(value, bool | str) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"a {name} is a whole number, not {value!r}")
    return int(value)


def _decode_real(data: bytes) -> float:
    return shortest(_REAL.unpack(data)[0])


def _encode_real(value: Value) -> bytes:
    try:
        return _REAL.pack(_finite(value, "REAL"))
    except OverflowError:
        raise ValueError(f"{value} does not fit a REAL (-3.4e38 to 3.4e38)") from None


def _encode_lreal(value: Value) -> bytes:
    return _LREAL.pack(_finite(value, "LREAL"))


def _finite(value: Value, name: str) -> int | float:
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise ValueError(f"a {name} is a number, not {value!r}")
    return value


_REAL = struct.Struct(">f")
_LREAL = struct.Struct(">d")


# -- times --------------------------------------------------------------------------------------------------


def _decode_date(data: bytes) -> str:
    return (_FIRST_DAY + timedelta(days=int.from_bytes(data))).isoformat()


def _encode_date(value: Value) -> bytes:
    days = (_parsed(date.fromisoformat, value, "DATE", "2026-11-20") - _FIRST_DAY).days
    if not 0 <= days <= 65535:
        raise ValueError(f"{value} is outside a DATE (1990-01-01 to 2169-06-06)")
    return days.to_bytes(2)


def _decode_tod(data: bytes) -> str:
    return _time_of_day(int.from_bytes(data) * 1_000_000, "TOD", digits=3)


def _decode_ltod(data: bytes) -> str:
    return _time_of_day(int.from_bytes(data), "LTOD", digits=9)


def _time_of_day(ns: int, name: str, *, digits: int) -> str:
    if ns >= _DAY_NS:
        raise ValueError(f"the bytes are not a {name}: more than 24 hours")
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:09}"[: 9 + digits]


def _encode_tod(value: Value) -> bytes:
    return (_microseconds(value, "TOD") // 1000).to_bytes(4)


def _encode_ltod(value: Value) -> bytes:
    return (_microseconds(value, "LTOD") * 1000).to_bytes(8)


def _microseconds(value: Value, name: str) -> int:
    at = _parsed(time.fromisoformat, value, name, "13:45:00.250")
    return ((at.hour * 60 + at.minute) * 60 + at.second) * 1_000_000 + at.microsecond


def _decode_dt(data: bytes) -> str:
    year, month, day, hour, minute, second, high = (from_bcd(byte) for byte in data[:7])
    ms = high * 10 + (data[7] >> 4)
    return _moment("DT", year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, ms * 1000)


def _encode_dt(value: Value) -> bytes:
    moment = _parsed(datetime.fromisoformat, value, "DT", "2026-11-20T13:45:00")
    if not 1990 <= moment.year <= 2089:
        raise ValueError(f"{value} is outside a DT (1990 to 2089)")
    fields = (moment.year % 100, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    ms = moment.microsecond // 1000
    last = (ms % 10) << 4 | moment.isoweekday() % 7 + 1
    return bytes([*map(to_bcd, fields), to_bcd(ms // 10), last])


def _decode_dtl(data: bytes) -> str:
    year, month, day, _weekday, hour, minute, second, ns = struct.unpack(">H6BI", data)
    if ns > 999_999_999:
        raise ValueError("the bytes are not a DTL: more than a second of nanoseconds")
    return _moment("DTL", year, month, day, hour, minute, second, ns // 1000)


def _encode_dtl(value: Value) -> bytes:
    at = _parsed(datetime.fromisoformat, value, "DTL", "2026-11-20T13:45:00")
    if not 1970 <= at.year <= 2261:
        raise ValueError(f"{value} is outside a DTL (1970 to 2261)")
    weekday = at.isoweekday() % 7 + 1
    parts = (at.year, at.month, at.day, weekday, at.hour, at.minute, at.second, at.microsecond * 1000)
    return struct.pack(">H6BI", *parts)


def _decode_ldt(data: bytes) -> str:
    ns = int.from_bytes(data, signed=True)
    try:
        return (_EPOCH + timedelta(microseconds=ns // 1000)).isoformat()
    except OverflowError:
        raise ValueError("the bytes are not an LDT") from None


def _encode_ldt(value: Value) -> bytes:
    moment = _parsed(datetime.fromisoformat, value, "LDT", "2026-11-20T13:45:00")
    if not 1970 <= moment.year <= 2261:
        raise ValueError(f"{value} is outside an LDT (1970 to 2261)")
    return ((moment - _EPOCH) // timedelta(microseconds=1) * 1000).to_bytes(8, signed=True)


def _moment(name: str, *fields: int) -> str:
    try:
        return datetime(*fields).isoformat(timespec="milliseconds")  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        raise ValueError(f"the bytes are not a {name}: no such date and time") from None


def _parsed(parse: Callable[[str], _T], value: Value, name: str, example: str) -> _T:
    try:
        parsed = parse(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or getattr(parsed, "tzinfo", None) is not None:
        raise ValueError(f"a {name} is a text like {example} without a time zone, not {value!r}")
    return parsed


# -- BCD, timers and counters -------------------------------------------------------------------------------


def from_bcd(byte: int) -> int:
    """0x59 -> 59; ValueError for a digit above 9."""
    if byte >> 4 > 9 or byte & 15 > 9:
        raise ValueError(f"the byte {byte:02x} is not two decimal digits (BCD)")
    return (byte >> 4) * 10 + (byte & 15)


def to_bcd(number: int) -> int:
    """59 -> 0x59."""
    return number // 10 << 4 | number % 10


def _decode_s5time(data: bytes) -> int:
    return (from_bcd(data[0] & 15) * 100 + from_bcd(data[1])) * _S5_BASES_MS[data[0] >> 4 & 3]


def _encode_s5time(value: Value) -> bytes:
    """The finest time base that holds it exactly."""
    ms = _whole(value, "S5TIME")
    for code, base_ms in enumerate(_S5_BASES_MS):
        if ms % base_ms == 0 and 0 <= ms // base_ms <= 999:
            hundreds, rest = divmod(ms // base_ms, 100)
            return bytes([code << 4 | hundreds, to_bcd(rest)])
    raise ValueError(f"{ms} ms is no S5TIME: 0 to 9990000 ms, in three digits of 10, 100, 1000 or 10000 ms")


def _decode_counter(data: bytes) -> int:
    return from_bcd(data[0] & 15) * 100 + from_bcd(data[1])


# -- texts --------------------------------------------------------------------------------------------------


def _decode_char(data: bytes) -> str:
    return data.decode("latin-1")


def _decode_wchar(data: bytes) -> str:
    return data.decode("utf-16-be")


def _encode_char(value: Value) -> bytes:
    return _one_character(value, "CHAR", "latin-1", 1)


def _encode_wchar(value: Value) -> bytes:
    return _one_character(value, "WCHAR", "utf-16-be", 2)


def _one_character(value: Value, name: str, encoding: str, size: int) -> bytes:
    data = _encoded(value, name, encoding)
    if len(data) != size:
        raise ValueError(f"a {name} is exactly one character, not {value!r}")
    return data


def _decode_string(data: bytes, length: int) -> str:
    _check_filling(data[1], length, "STRING")
    return data[2 : 2 + data[1]].decode("latin-1")


def _decode_wstring(data: bytes, length: int) -> str:
    filled = int.from_bytes(data[2:4])
    _check_filling(filled, length, "WSTRING")
    return data[4 : 4 + 2 * filled].decode("utf-16-be")


def _check_filling(filled: int, length: int, name: str) -> None:
    if filled > length:
        raise ValueError(
            f"the bytes say {filled} characters where {name}[{length}] has room for {length}: "
            f"not a {name}, or one declared longer"
        )


def _encode_string(value: Value, length: int) -> bytes:
    data = _encoded(value, "STRING", "latin-1")
    _check_room(len(data), length, "STRING")
    return bytes([len(data)]) + data


def _encode_wstring(value: Value, length: int) -> bytes:
    data = _encoded(value, "WSTRING", "utf-16-be")
    _check_room(len(data) // 2, length, "WSTRING")
    return (len(data) // 2).to_bytes(2) + data


def _encoded(value: Value, name: str, encoding: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"a {name} is a text, not {value!r}")  # noqa: TRY004 one error for one reader
    try:
        return value.encode(encoding)
    except UnicodeEncodeError as error:
        raise ValueError(f"a {name} cannot hold the character {value[error.start]!r}") from None


def _check_room(filled: int, length: int, name: str) -> None:
    if filled > length:
        raise ValueError(f"the text has {filled} characters; {name}[{length}] has room for {length}")


_TEXTS: dict[str, Callable[[bytes, int], str]] = {"STRING": _decode_string, "WSTRING": _decode_wstring}

_LAYOUTS = {
    "BYTE": "B", "USINT": "B", "SINT": "b", "INT": "h", "UINT": "H", "WORD": "H", "DINT": "i",
    "UDINT": "I", "DWORD": "I", "LINT": "q", "ULINT": "Q", "LWORD": "Q", "TIME": "i", "LTIME": "q",
}  # fmt: skip

TYPES: dict[str, S7Type] = {name: _number(name, layout) for name, layout in _LAYOUTS.items()} | {
    kind.name: kind
    for kind in (
        S7Type(name="BOOL", size=1, decode=lambda data: bool(data[0] & 1), encode=_encode_bool),
        S7Type(name="REAL", size=4, decode=_decode_real, encode=_encode_real),
        S7Type(name="LREAL", size=8, decode=lambda data: _LREAL.unpack(data)[0], encode=_encode_lreal),
        S7Type(name="CHAR", size=1, decode=_decode_char, encode=_encode_char),
        S7Type(name="WCHAR", size=2, decode=_decode_wchar, encode=_encode_wchar),
        S7Type(name="DATE", size=2, decode=_decode_date, encode=_encode_date),
        S7Type(name="TOD", size=4, decode=_decode_tod, encode=_encode_tod),
        S7Type(name="LTOD", size=8, decode=_decode_ltod, encode=_encode_ltod),
        S7Type(name="DT", size=8, decode=_decode_dt, encode=_encode_dt),
        S7Type(name="DTL", size=12, decode=_decode_dtl, encode=_encode_dtl),
        S7Type(name="LDT", size=8, decode=_decode_ldt, encode=_encode_ldt),
        S7Type(name="S5TIME", size=2, decode=_decode_s5time, encode=_encode_s5time),
        S7Type(name="TIMER", size=2, decode=_decode_s5time, encode=None),
        S7Type(name="COUNTER", size=2, decode=_decode_counter, encode=None),
    )
}
