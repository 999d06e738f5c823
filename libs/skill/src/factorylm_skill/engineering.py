"""Between what a device holds and what an engineer reads: scaling, enumerations, plausible range."""

import math
import struct
from datetime import datetime

from factorylm_schema import Quality, Reading, Tag, Value, WriteRefusedError

_REAL = struct.Struct(">f")
_LARGEST_REAL = (2 - 2**-23) * 2.0**127
_LOOK_AT = "The device sent this; check type, byte order and sensor"


def to_reading(tag: Tag, raw_value: Value, time: datetime, *, address: str = "", raw: str = "") -> Reading:
    """The reading of a raw value that arrived well: raw * scale + offset, or its enumeration's label."""
    value, quality, problem = _engineered(tag, raw_value)
    hint = _LOOK_AT if quality is not Quality.Good else ""
    return Reading.of_checked(
        tag=tag.id,
        value=value,
        unit=tag.unit,
        time=time,
        quality=quality,
        problem=problem,
        hint=hint,
        address=address or tag.address,
        raw=raw,
    )


def to_raw(tag: Tag, value: Value) -> Value:
    """What to send so that `value` reads back; raises WriteRefusedError for an unknown label."""
    if tag.enum and isinstance(value, str):
        numbers = [number for number, label in tag.enum.items() if label == value]
        if not numbers:
            labels = ", ".join(tag.enum.values())
            raise WriteRefusedError(f"{tag.id} has no state {value[:60]!r}", hint=f"Its states are {labels}")
        return numbers[0]
    if isinstance(value, bool | str) or (tag.scale == 1 and tag.offset == 0):
        return value
    return _tidy((value - tag.offset) / tag.scale)


def shortest(real: float) -> float:
    """The shortest decimal that is the same 32-bit REAL: 1.1, where widening gives 1.10000002384."""
    if not math.isfinite(real) or real.is_integer():
        return real
    wire = _REAL.pack(real)
    # 9 digits name every REAL, 7 or 8 are mostly enough (IEEE 754, 5.12.2)
    for digits in (7, 8):
        candidate = float(f"{real:.{digits}g}")
        if abs(candidate) <= _LARGEST_REAL and _REAL.pack(candidate) == wire:
            return candidate
    return float(f"{real:.9g}")


def _engineered(tag: Tag, raw: Value) -> tuple[Value | None, Quality, str]:
    if isinstance(raw, bool | str):
        return raw, Quality.Good, ""
    if not math.isfinite(raw):
        return None, Quality.BadSensorFailure, f"the device sent {raw} instead of a number"
    if tag.enum:
        return _state(tag, raw)
    value = raw if tag.scale == 1 and tag.offset == 0 else _tidy(raw * tag.scale + tag.offset)
    if (tag.min is not None and value < tag.min) or (tag.max is not None and value > tag.max):
        return value, Quality.UncertainEngineeringUnitsExceeded, f"{value:g} is outside {_range(tag)}"
    return value, Quality.Good, ""


def _state(tag: Tag, raw: float) -> tuple[Value, Quality, str]:
    if raw == int(raw) and int(raw) in tag.enum:
        return tag.enum[int(raw)], Quality.Good, ""
    known = ", ".join(str(number) for number in tag.enum)
    return raw, Quality.UncertainSubNormal, f"{raw:g} is none of the known states {known}"


def _range(tag: Tag) -> str:
    low = "…" if tag.min is None else f"{tag.min:g}"
    high = "…" if tag.max is None else f"{tag.max:g}"
    return f"the range {low} to {high}"


def _tidy(value: float) -> float:
    """Without the last bit's noise of scaling: 0.1 * 3 is 0.3."""
    return float(f"{value:.15g}")
