"""Sparkplug B payloads in protocol buffers, as far as a node writes them.

Field numbers from the specification, 3.0.0, section 6.4.1 (sparkplug_b.proto).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_schema import Value

_INT64, _DOUBLE, _BOOLEAN, _STRING, _INT32 = 4, 10, 11, 12, 3
_VARINT, _EIGHT_BYTES, _BYTES = 0, 1, 2
# Quality code of the specification, 6.4.18
_STALE = 500


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One value; None is told as null, with the type of a number."""

    name: str
    value: Value | None
    time_ms: int
    historical: bool = False
    good: bool = True


def payload(metrics: Sequence[Metric], time_ms: int, *, seq: int | None, uuid: str = "") -> bytes:
    """A Payload; a death has no sequence number."""
    parts = [_number(1, time_ms)]
    parts += [_bytes(2, _metric(metric)) for metric in metrics]
    if seq is not None:
        parts.append(_number(3, seq))
    if uuid:
        parts.append(_bytes(4, uuid.encode()))
    return b"".join(parts)


def metric_type(value: Value | None) -> int:
    """Sparkplug's number of the type."""
    if isinstance(value, bool):
        return _BOOLEAN
    if isinstance(value, int) and value.bit_length() < 64:
        return _INT64
    return _STRING if isinstance(value, str) else _DOUBLE


def _metric(metric: Metric) -> bytes:
    kind = metric_type(metric.value)
    parts = [_bytes(1, metric.name.encode()), _number(3, metric.time_ms), _number(4, kind)]
    if metric.historical:
        parts.append(_number(5, 1))
    if metric.value is None:
        parts.append(_number(7, 1))
    if not metric.good:
        parts.append(_bytes(9, _stale()))
    if metric.value is not None:
        parts.append(_value(metric.value, kind))
    return b"".join(parts)


def _value(value: Value, kind: int) -> bytes:
    if kind == _BOOLEAN:
        return _number(14, int(value))
    if kind == _INT64:
        return _number(11, int(value) & 0xFFFF_FFFF_FFFF_FFFF)
    if kind == _STRING:
        return _bytes(15, str(value).encode())
    return _key(13, _EIGHT_BYTES) + struct.pack("<d", float(value))


def _stale() -> bytes:
    """A property set that says the value is not good."""
    return _bytes(1, b"Quality") + _bytes(2, _number(1, _INT32) + _number(3, _STALE))


def _number(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value)


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(data)) + data


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
