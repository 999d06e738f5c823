"""The bytes of registers and what they mean; nothing else.

A register's bytes come from the wire highest first; that much the Modbus specification fixes. How several
registers make one value it leaves open: that is the byte order, and it is told, never guessed.
"""

import math
import struct
from collections.abc import Callable
from functools import partial

from factorylm_schema import Value
from factorylm_skill.engineering import shortest

from factorylm_modbus.address import Address, ByteOrder, DataType

_FORMATS = {
    DataType.INT: struct.Struct(">h"),
    DataType.UINT: struct.Struct(">H"),
    DataType.DINT: struct.Struct(">i"),
    DataType.UDINT: struct.Struct(">I"),
    DataType.LINT: struct.Struct(">q"),
    DataType.ULINT: struct.Struct(">Q"),
    DataType.REAL: struct.Struct(">f"),
    DataType.LREAL: struct.Struct(">d"),
}
_WHOLE = {
    DataType.INT: (-(2**15), 2**15 - 1),
    DataType.UINT: (0, 2**16 - 1),
    DataType.DINT: (-(2**31), 2**31 - 1),
    DataType.UDINT: (0, 2**32 - 1),
    DataType.LINT: (-(2**63), 2**63 - 1),
    DataType.ULINT: (0, 2**64 - 1),
    DataType.BCD: (0, 9999),
    DataType.LBCD: (0, 99_999_999),
}


def reordered(data: bytes, order: ByteOrder) -> bytes:
    """From the device's order to highest byte first, and back: every order is its own inverse."""
    if order is ByteOrder.ABCD:
        return data
    if order is ByteOrder.DCBA:
        return data[::-1]
    if order is ByteOrder.BADC:
        return b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


def decode(data: bytes, address: Address, order: ByteOrder = ByteOrder.ABCD) -> Value:
    """The value in `data`, the registers' bytes as they came; ValueError where they hold none."""
    return decoder(address, order)(data)


def decoder(address: Address, order: ByteOrder) -> Callable[[bytes], Value]:
    """`decode` for one place, with everything decided that does not depend on the data."""
    if address.bits is not None:
        return partial(_part, *address.bits, as_bool=address.type is DataType.BOOL)
    if address.type is DataType.STRING:
        return lambda data: _text(reordered(data, order), address.length)
    if address.type in (DataType.BCD, DataType.LBCD):
        return lambda data: _from_bcd(reordered(data, order))
    unpack = _FORMATS[address.type].unpack
    if address.type is DataType.REAL:
        return lambda data: shortest(unpack(reordered(data, order))[0])
    if order is ByteOrder.ABCD:
        return lambda data: unpack(data)[0]
    return lambda data: unpack(reordered(data, order))[0]


def encode(value: Value, address: Address, order: ByteOrder = ByteOrder.ABCD) -> bytes:
    """The bytes that make `value`; ValueError with the reason where the type cannot hold it."""
    if address.type is DataType.STRING:
        return reordered(_text_bytes(value, address.length), order)
    if isinstance(value, bool | str):
        raise ValueError(f"{address.type} takes a number, not {value!r}")  # noqa: TRY004 (one kind of refusal for whoever asks)
    if address.type in (DataType.REAL, DataType.LREAL):
        return reordered(_float_bytes(value, address.type), order)
    number = _whole(value, *_WHOLE[address.type], str(address.type))
    if address.type in (DataType.BCD, DataType.LBCD):
        return reordered(bytes.fromhex(f"{number:0{address.count * 4}d}"), order)
    return reordered(_FORMATS[address.type].pack(number), order)


def masks(value: Value, address: Address) -> tuple[int, int]:
    """The AND and OR masks that put `value` into the bits of `address` and leave the others alone.

    Mask Write Register (Modbus Application Protocol V1.1b3, 6.16): (old AND and_mask) OR (or_mask AND NOT
    and_mask).
    """
    assert address.bits is not None
    low, high = address.bits
    field = ((1 << (high - low + 1)) - 1) << low
    if address.type is DataType.BOOL:
        if not isinstance(value, bool):
            raise ValueError(f"BOOL takes true or false, not {value!r}")
        number = int(value)
    else:
        number = _whole(value, 0, field >> low, f"{high - low + 1} bits")
    return ~field & 0xFFFF, number << low


def decodings(data: bytes, address: Address) -> dict[ByteOrder, Value | str]:
    """`data` in all four orders side by side, for a person to choose; a text where an order gives no value."""
    found: dict[ByteOrder, Value | str] = {}
    for order in ByteOrder:
        try:
            value = decode(data, address, order)
        except ValueError as error:
            value = str(error)
        finite = not isinstance(value, float) or math.isfinite(value)
        found[order] = value if finite else "not a number"
    return found


def _part(low: int, high: int, data: bytes, *, as_bool: bool) -> bool | int:
    number = (int.from_bytes(data, "big") >> low) & ((1 << (high - low + 1)) - 1)
    return bool(number) if as_bool else number


def _text(data: bytes, length: int) -> str:
    """Up to the first NUL, without the blanks that fill the field."""
    content = data[:length].split(b"\0", 1)[0].rstrip(b" ")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _text_bytes(value: Value, length: int) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"STRING takes a text, not {value!r}")  # noqa: TRY004
    content = value.encode("utf-8")
    if len(content) > length:
        raise ValueError(f"the text has {len(content)} bytes, the field holds {length}")
    return content.ljust(length + length % 2, b"\0")


def _from_bcd(data: bytes) -> int:
    digits = data.hex()
    if not digits.isdecimal():
        raise ValueError(f"0x{digits.upper()} is not BCD: a digit is above 9")
    return int(digits)


def _whole(value: Value, low: int, high: int, what: str) -> int:
    if isinstance(value, bool | str) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{what} takes a whole number, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{what} holds {low} to {high}, not {value}")
    return int(value)


def _float_bytes(value: int | float, kind: DataType) -> bytes:
    if not math.isfinite(value):
        raise ValueError(f"{kind} takes a finite number, not {value}")
    try:
        return _FORMATS[kind].pack(value)
    except OverflowError:
        raise ValueError(f"{kind} cannot hold {value:g}") from None
