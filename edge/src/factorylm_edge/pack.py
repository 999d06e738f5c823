"""Columns of samples in few bytes: deltas of deltas for times, exact decimals or XOR for values, then zlib.

Everything comes back exactly as it went in, also its type. The work per value is done by C code of the standard
library (slices, big integers, arrays), so that a small box needs no numpy.
"""

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise

from factorylm_schema import Value

_WIDTHS = (("b", 7), ("h", 15), ("i", 31), ("q", 63))
_MOST_DECIMALS = 6
_LARGEST_DECIMAL = 1e12  # beyond, a double has no six decimals to be exact in
_MILLISECOND = 1000

Columns = tuple[list[int], list[Value | None], list[int]]


def pack(times_us: Sequence[int], values: Sequence[Value | None], qualities: Sequence[int]) -> bytes:
    """The three columns, of one length, not empty."""
    return pack_parts([pack_times(times_us), pack_values(values), _pack_runs(qualities)])


def unpack(data: bytes) -> Columns:
    """What `pack` was given; raises ValueError where the bytes are damaged."""
    try:
        times, values, qualities = unpack_parts(data)
        columns = unpack_times(times), unpack_values(values), _unpack_runs(qualities)
    except (zlib.error, struct.error, IndexError, TypeError, OverflowError) as error:
        raise ValueError(f"damaged: {error}") from error
    if len({len(column) for column in columns}) != 1:
        raise ValueError("damaged: columns of different lengths")
    return columns


def pack_parts(parts: Sequence[bytes]) -> bytes:
    """Several parts as one compressed whole."""
    return zlib.compress(b"".join(struct.pack("<I", len(part)) + part for part in parts), 6)


def unpack_parts(data: bytes) -> list[bytes]:
    """What `pack_parts` was given."""
    raw, parts, at = zlib.decompress(data), [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        parts.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


# -- times ------------------------------------------------------------------------------------


def pack_times(times_us: Sequence[int]) -> bytes:
    """Regular times cost almost nothing: the delta of deltas is 0."""
    unit = 1 if any(time % _MILLISECOND for time in times_us) else _MILLISECOND
    ticks = [time // unit for time in times_us]
    deltas = [0, *(after - before for before, after in pairwise(ticks))]
    return struct.pack("<Hq", unit, ticks[0]) + _pack_integers(_differences(deltas))


def unpack_times(data: bytes) -> list[int]:
    """What `pack_times` was given."""
    unit, first = struct.unpack_from("<Hq", data)
    deltas = list(accumulate(_unpack_integers(data[10:])))
    return [tick * unit for tick in accumulate(deltas, initial=first)][1:] if deltas else []


# -- values -----------------------------------------------------------------------------------


def pack_values(values: Sequence[Value | None]) -> bytes:
    """The smallest exact form there is for these values; gaps (None) stand in a list of their own."""
    gaps = [at for at, value in enumerate(values) if value is None]
    filled = _filled(values) if gaps else list(values)
    missing = _pack_integers(_differences(gaps)) if gaps else b""
    return struct.pack("<I", len(missing)) + missing + _pack_kind(filled)


def unpack_values(data: bytes) -> list[Value | None]:
    """What `pack_values` was given."""
    (size,) = struct.unpack_from("<I", data)
    values = _unpack_kind(data[4 + size :])
    if size:
        for at in accumulate(_unpack_integers(data[4 : 4 + size])):
            values[at] = None
    return values


def _filled(values: Sequence[Value | None]) -> list[Value | None]:
    held = next((value for value in values if value is not None), 0)
    filled: list[Value | None] = []
    for value in values:
        held = held if value is None else value
        filled.append(held)
    return filled


def _pack_kind(values: list[Value | None]) -> bytes:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return b"b" + bytes(values)  # type: ignore[arg-type]
    if kinds == {int}:
        packed = _pack_whole(values)  # type: ignore[arg-type]
        if packed is not None:
            return b"i" + packed
    if kinds == {float}:
        return _pack_floats(values)  # type: ignore[arg-type]
    return b"j" + json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _unpack_kind(data: bytes) -> list[Value | None]:
    kind, body = data[:1], data[1:]
    if kind == b"b":
        return [bool(byte) for byte in body]
    if kind == b"i":
        return list(accumulate(_unpack_integers(body)))
    if kind == b"d":
        power = 10.0 ** body[0]
        return [number / power for number in accumulate(_unpack_integers(body[1:]))]
    if kind in (b"f", b"g"):
        code = "f" if kind == b"f" else "d"
        return list(from_bytes(code, _unmixed(body, array(code).itemsize)))
    if kind == b"j":
        return list(json.loads(body))
    raise ValueError(f"damaged: no kind {kind!r}")


def _pack_floats(values: list[float]) -> bytes:
    for decimals in range(_MOST_DECIMALS + 1):
        if (whole := _as_whole(values, decimals)) is not None and (packed := _pack_whole(whole)) is not None:
            return b"d" + bytes([decimals]) + packed
    try:
        single = array("f", values)
        if single.tolist() == values:
            return b"f" + _mixed(to_bytes(single), 4)
    except OverflowError:  # beyond a single's range
        pass
    return b"g" + _mixed(to_bytes(array("d", values)), 8)


def _as_whole(values: list[float], decimals: int) -> list[int] | None:
    """The values times ten to the `decimals`, where that is exact; a look at a few spares most of the work."""
    power = 10.0**decimals
    if any(abs(value) > _LARGEST_DECIMAL for value in values):
        return None
    if any(round(value * power) / power != value for value in values[:4]):
        return None
    whole = [round(value * power) for value in values]
    return whole if [number / power for number in whole] == values else None


def _pack_whole(values: Sequence[int]) -> bytes | None:
    try:
        return _pack_integers(_differences(values))
    except OverflowError:
        return None


# -- bytes ------------------------------------------------------------------------------------


def _differences(numbers: Sequence[int]) -> list[int]:
    return [*numbers[:1], *(after - before for before, after in pairwise(numbers))]


def _pack_integers(numbers: Sequence[int]) -> bytes:
    """The narrowest array that holds all, its bytes regrouped by place; OverflowError beyond 64 bits.

    The first number stands apart: it is the one that is large.
    """
    rest = numbers[1:]
    bits = max((n.bit_length() for n in rest), default=0)
    code = next((code for code, most in _WIDTHS if bits <= most), None)
    if code is None or (numbers and numbers[0].bit_length() > 63):
        raise OverflowError("more than 64 bits")
    packed = array(code, rest)
    first = struct.pack("<q", numbers[0]) if numbers else b""
    return code.encode() + first + _shuffled(to_bytes(packed), packed.itemsize)


def _unpack_integers(data: bytes) -> list[int]:
    code, first, body = data[:1].decode(), data[1:9], data[9:]
    if not first:
        return []
    if code not in "bhiq":
        raise ValueError(f"damaged: no width {code!r}")
    return [struct.unpack("<q", first)[0], *from_bytes(code, _unshuffled(body, array(code).itemsize))]


def _mixed(raw: bytes, size: int) -> bytes:
    """Each number XOR the one before, as one big integer; alike numbers leave zeros."""
    whole = int.from_bytes(raw, "little")
    return _shuffled(((whole ^ (whole << size * 8)) & ((1 << len(raw) * 8) - 1)).to_bytes(len(raw), "little"), size)


def _unmixed(data: bytes, size: int) -> bytes:
    raw = _unshuffled(data, size)
    whole, shift, bits = int.from_bytes(raw, "little"), size * 8, len(raw) * 8
    while shift < bits:
        whole ^= whole << shift
        shift *= 2
    return (whole & ((1 << bits) - 1)).to_bytes(len(raw), "little")


def _shuffled(raw: bytes, size: int) -> bytes:
    return b"".join(raw[place::size] for place in range(size))


def _unshuffled(data: bytes, size: int) -> bytes:
    each, odd = divmod(len(data), size)
    if odd:
        raise ValueError("damaged: a number is cut")
    raw = bytearray(len(data))
    for place in range(size):
        raw[place::size] = data[place * each : (place + 1) * each]
    return bytes(raw)


def to_bytes(numbers: "array[int] | array[float]") -> bytes:
    """Little-endian, whatever the machine."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def from_bytes(code: str, raw: bytes) -> "array[int]":
    """What `to_bytes` was given."""
    numbers: array[int] = array(code)
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


# -- qualities --------------------------------------------------------------------------------


def _pack_runs(codes: Sequence[int]) -> bytes:
    """How often which code in a row: nearly always one run."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][0] == code:
            runs[-1][1] += 1
        else:
            runs.append([code, 1])
    return b"".join(struct.pack("<II", code, count) for code, count in runs)


def _unpack_runs(data: bytes) -> list[int]:
    return [code for code, count in struct.iter_unpack("<II", data) for _ in range(count)]
