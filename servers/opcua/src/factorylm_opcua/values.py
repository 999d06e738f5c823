"""Between what is on the wire and what a tag says: types, elements of arrays, and what may be written."""

import json
import math
from collections.abc import Sequence
from datetime import datetime

from factorylm_schema import BadRequestError, Value
from factorylm_skill.engineering import shortest

from factorylm_opcua.datavalue import Decoded, Structure

# OPC 10000-6, table 1: the built-in types a tag can have, by their number
TYPE_IDS = {
    "Boolean": 1, "SByte": 2, "Byte": 3, "Int16": 4, "UInt16": 5, "Int32": 6, "UInt32": 7, "Int64": 8,
    "UInt64": 9, "Float": 10, "Double": 11, "String": 12, "DateTime": 13, "Guid": 14, "ByteString": 15,
    "XmlElement": 16, "NodeId": 17, "ExpandedNodeId": 18, "StatusCode": 19, "QualifiedName": 20,
    "LocalizedText": 21,
}  # fmt: skip
NAMES = {number: name for name, number in TYPE_IDS.items()} | {22: "Structure"}

WHOLE = {
    "SByte": (-(2**7), 2**7 - 1),
    "Byte": (0, 2**8 - 1),
    "Int16": (-(2**15), 2**15 - 1),
    "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1),
    "UInt32": (0, 2**32 - 1),
    "Int64": (-(2**63), 2**63 - 1),
    "UInt64": (0, 2**64 - 1),
}
_LARGEST_FLOAT = 3.4028234663852886e38
_LONGEST_TEXT = 200


class UnusableValueError(ValueError):
    """There is a value, and it cannot stand in a reading; `hint` says what to read instead."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def one_value(decoded: Decoded, type_id: int, element: Sequence[int]) -> Value:
    """The single value that a reading can carry: the element asked for; text for bytes, short arrays, structures."""
    decoded = _element(decoded, element) if element else decoded
    if isinstance(decoded, list):
        return _array_text(decoded)
    if isinstance(decoded, dict):
        return _structure_text(decoded)
    if isinstance(decoded, Structure):
        raise UnusableValueError(
            f"the value is a structure of {decoded.size} bytes ({decoded.type_id})",
            "Browse the node: its members are often nodes of their own",
        )
    if decoded is None:
        raise UnusableValueError("the node has no value", "It may not have been set yet; read it again later")
    if isinstance(decoded, bytes):
        return "0x" + decoded.hex()
    if type_id == TYPE_IDS["Float"] and isinstance(decoded, float):
        return shortest(decoded)
    return decoded


def to_write(type_name: str, value: Value) -> bool | int | float | str | bytes | datetime:
    """`value` as the node's type; raises BadRequestError where it does not fit without loss."""
    if type_name == "Boolean":
        return _boolean(value)
    if type_name in WHOLE:
        return _whole(type_name, value)
    if type_name in ("Float", "Double"):
        return _number(type_name, value)
    if type_name in ("String", "LocalizedText"):
        if isinstance(value, str):
            return value
        raise _misfit(type_name, value, "a text")
    if type_name == "DateTime":
        return _time(value)
    raise BadRequestError(
        f"a value of type {type_name} cannot be written here",
        hint=f"Writable are Boolean, {', '.join(WHOLE)}, Float, Double, String, LocalizedText and DateTime",
    )


def _element(decoded: Decoded, element: Sequence[int]) -> Decoded:
    for position, index in enumerate(element):
        if not isinstance(decoded, list):
            raise UnusableValueError(
                "the value is not an array" if position == 0 else f"the array has {position} dimensions",
                "Leave ;index= out" if position == 0 else "Give fewer indexes",
            )
        if index >= len(decoded):
            raise UnusableValueError(
                f"index {index} is outside the array", f"It has the elements 0 to {len(decoded) - 1}"
            )
        decoded = decoded[index]
    return decoded


def _array_text(values: list[Decoded]) -> str:
    text = _as_json(values)
    if len(text) > _LONGEST_TEXT:
        raise UnusableValueError(
            f"the value is an array of {len(values)} elements",
            "Read one element: add ;index=0 to the address",
        )
    return text


def _structure_text(members: dict[str, Decoded]) -> str:
    text = _as_json(members)
    if len(text) > _LONGEST_TEXT:
        raise UnusableValueError(
            f"the value is a structure too long to show: {', '.join(members)}"[:_LONGEST_TEXT],
            "Browse the node: its members are often nodes of their own",
        )
    return text


def _as_json(value: Decoded) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False)


def _plain(value: object) -> str:
    if isinstance(value, Structure):
        return f"structure of {value.size} bytes"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def _as_float32(value: float) -> float:
    import struct

    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _boolean(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise _misfit("Boolean", value, "true or false")


def _whole(type_name: str, value: Value) -> int:
    low, high = WHOLE[type_name]
    if isinstance(value, bool | str) or not math.isfinite(value) or value != int(value):
        raise _misfit(type_name, value, "a whole number")
    if not low <= value <= high:
        raise _misfit(type_name, value, f"from {low} to {high}")
    return int(value)


def _number(type_name: str, value: Value) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise _misfit(type_name, value, "a number")
    if type_name == "Float" and abs(value) > _LARGEST_FLOAT:
        raise _misfit(type_name, value, "within ±3.4e38")
    return float(value)


def _time(value: Value) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise _misfit("DateTime", value, "a time with its zone, like 2026-11-20T06:00:00Z")
    return time


def _misfit(type_name: str, value: Value, wanted: str) -> BadRequestError:
    return BadRequestError(f"{value!r} does not fit the node's type {type_name}", hint=f"Give {wanted}")
