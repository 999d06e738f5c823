"""Reads the answer to a Read request: bytes to samples, refusing anything that does not fit exactly.

Only this one service is decoded here. It is what a poll spends its time on (four fifths of a large read is
decoding), and it is where an answer must be checked to the last byte: asyncua accepts another service's
answer under the same request id, fills missing array elements with empty lists, and ignores what follows.
Encoding after OPC 10000-6, 5.2.2.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

READ_RESPONSE = 634  # NodeIds.csv: ReadResponse_Encoding_DefaultBinary

Scalar = bool | int | float | str | bytes | None


@dataclass(frozen=True)
class Structure:
    """A value whose type only the server knows."""

    type_id: str
    body: bytes

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self.body)


Decoded = Scalar | Structure | list["Decoded"] | dict[str, "Decoded"]


class Sample(NamedTuple):
    """One DataValue: `type_id` is the built-in type's number, 0 where there is no value."""

    value: Decoded
    type_id: int
    status: int
    source_time: datetime | None


class Reply(NamedTuple):
    """A decoded answer. `service` is the NodeId of what it is; samples only where it is a ReadResponse."""

    service: int
    handle: int
    result: int
    samples: list[Sample]


class MalformedReplyError(ValueError):
    """The bytes are not one whole answer."""


def decode_reply(data: bytes) -> Reply:
    """The whole of `data` as a ReadResponse (or the ServiceFault in its place)."""
    try:
        reader = Reader(data)
        service = reader.encoding_id()
        handle, result = reader.response_header()
        samples: list[Sample] = []
        if service == READ_RESPONSE:
            samples = reader.samples()
            for _ in range(reader.length()):
                reader.skip_diagnostics()
    except (struct.error, IndexError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedReplyError(str(error)) from error
    if reader.at != len(data):
        raise MalformedReplyError(f"{len(data) - reader.at} bytes too many")
    return Reply(service, handle, result, samples)


def decode_sample(data: bytes) -> Sample:
    """The whole of `data` as one DataValue."""
    reader = Reader(data)
    try:
        sample = reader.sample()
    except (struct.error, IndexError, ValueError, OverflowError, RecursionError) as error:
        raise MalformedReplyError(str(error)) from error
    return sample


def to_time(ticks: int) -> datetime | None:
    """UTC of 100 ns ticks since 1601; None at both ends of the range, which mean 'not known'."""
    if ticks <= 0 or ticks >= _LAST_TICK:
        return None
    return _EPOCH + timedelta(microseconds=ticks // 10)


_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_LAST_TICK = 2_650_467_743_990_000_000  # 9999-12-31T23:59:59Z: OPC 10000-6, 5.2.2.5

_U8 = struct.Struct("<B").unpack_from
_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_I32 = struct.Struct("<i").unpack_from
_I64 = struct.Struct("<q").unpack_from

# type number: (reader, size); 1 to 11 of OPC 10000-6, table 1
_PLAIN = {
    number: (struct.Struct("<" + letter).unpack_from, struct.calcsize("<" + letter), letter)
    for number, letter in enumerate("?bBhHiIqQfd", start=1)
}


class Reader:
    """Walks the bytes; `at` is the next one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    # -- the answer's head --------------------------------------------------------------------

    def encoding_id(self) -> int:
        kind = self.byte()
        if kind == 0:
            return self.byte()
        if kind == 1:
            self.at += 1
            return self.number(_U16, 2)
        if kind == 2:
            self.at += 2
            return self.number(_U32, 4)
        raise ValueError("the answer does not say what it is")

    def response_header(self) -> tuple[int, int]:
        self.at += 8  # the server's clock
        handle = self.number(_U32, 4)
        result = self.number(_U32, 4)
        self.skip_diagnostics()
        for _ in range(self.length()):
            self.text()
        self.structure()
        return handle, result

    # -- data values --------------------------------------------------------------------------

    def samples(self) -> list[Sample]:
        count = self.length()
        if count > len(self.data):
            raise ValueError("more values announced than bytes sent")
        sample = self.sample
        return [sample() for _ in range(count)]

    def sample(self) -> Sample:
        data, at = self.data, self.at
        mask = data[at]
        self.at = at = at + 1
        value: Decoded = None
        type_id = 0
        if mask & 0x01:
            plain = _PLAIN.get(data[at])
            if plain:  # the common case, without a call
                unpack, size, _letter = plain
                type_id = data[at]
                value = unpack(data, at + 1)[0]
                self.at = at + 1 + size
            else:
                value, type_id = self.variant()
        status = self.number(_U32, 4) if mask & 0x02 else 0
        source = self.number(_I64, 8) if mask & 0x04 else 0
        self.at += _TAIL[mask & 0x38]
        return Sample(value, type_id, status, to_time(source))

    def variant(self) -> tuple[Decoded, int]:
        encoding = self.byte()
        type_id = encoding & 0x3F
        if type_id == 0:
            return None, 0
        if not encoding & 0x80:
            return self.scalar(type_id), type_id
        values = self.array(type_id)
        if encoding & 0x40:
            sizes = [self.number(_I32, 4) for _ in range(self.length())]
            return _shaped(values, sizes), type_id
        return values, type_id

    def array(self, type_id: int) -> list[Decoded]:
        count = self.length()
        if count > len(self.data):
            raise ValueError("more elements announced than bytes sent")
        plain = _PLAIN.get(type_id)
        if plain:
            _unpack, size, letter = plain
            values = list(struct.unpack_from(f"<{count}{letter}", self.data, self.at))
            self.at += count * size
            return values
        return [self.scalar(type_id) for _ in range(count)]

    def scalar(self, type_id: int) -> Decoded:
        plain = _PLAIN.get(type_id)
        if plain:
            unpack, size, _letter = plain
            return self.number(unpack, size)
        read = _READ.get(type_id)
        if read is None:
            raise ValueError(f"built-in type {type_id} does not exist")
        return read(self)

    # -- single types -------------------------------------------------------------------------

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self, unpack: Callable[[bytes, int], tuple[Any, ...]], size: int) -> int:
        value: int = unpack(self.data, self.at)[0]
        self.at += size
        return value

    def length(self) -> int:
        """The length of an array or text; null (-1) counts as empty."""
        value = self.number(_I32, 4)
        if value < -1:
            raise ValueError("a length is negative")
        return max(value, 0)

    def bytes_(self) -> bytes:
        size = self.length()
        value = self.data[self.at : self.at + size]
        if len(value) != size:
            raise ValueError("a text is longer than the answer")
        self.at += size
        return value

    def text(self) -> str:
        return self.bytes_().decode("utf-8", "backslashreplace")

    def time(self) -> str | None:
        found = to_time(self.number(_I64, 8))
        return found.isoformat().replace("+00:00", "Z") if found else None

    def guid(self) -> str:
        value = UUID(bytes_le=self.data[self.at : self.at + 16])
        self.at += 16
        return str(value)

    def node_id(self) -> str:
        kind = self.byte()
        space, identifier = self._node_parts(kind & 0x3F)
        if kind & 0x80:
            space = f"nsu={self.text()};"
        if kind & 0x40:
            self.at += 4
        return f"{space}{identifier}"

    def _node_parts(self, kind: int) -> tuple[str, str]:
        if kind == 0:
            return "", f"i={self.byte()}"
        index = self.byte() if kind == 1 else self.number(_U16, 2)
        space = f"ns={index};" if index else ""
        if kind == 1:
            return space, f"i={self.number(_U16, 2)}"
        if kind == 2:
            return space, f"i={self.number(_U32, 4)}"
        if kind == 3:
            return space, f"s={self.text()}"
        if kind == 4:
            return space, f"g={self.guid()}"
        if kind == 5:
            return space, f"b={self.bytes_().hex()}"
        raise ValueError(f"NodeId encoding {kind} does not exist")

    def status(self) -> str:
        return f"0x{self.number(_U32, 4):08X}"

    def qualified_name(self) -> str:
        self.at += 2
        return self.text()

    def localized_text(self) -> str:
        mask = self.byte()
        if mask & 0x01:
            self.text()
        return self.text() if mask & 0x02 else ""

    def structure(self) -> Structure:
        type_id = self.node_id()
        body = self.byte()
        return Structure(type_id, self.bytes_() if body else b"")

    def nested_sample(self) -> Decoded:
        return self.sample().value

    def nested_variant(self) -> Decoded:
        return self.variant()[0]

    def skip_diagnostics(self) -> None:
        """A DiagnosticInfo: OPC 10000-6, 5.2.2.12."""
        mask = self.byte()
        self.at += 4 * (mask & 0x0F).bit_count()
        if mask & 0x10:
            self.bytes_()
        if mask & 0x20:
            self.at += 4
        if mask & 0x40:
            self.skip_diagnostics()


def _shaped(values: list[Decoded], sizes: list[int]) -> list[Decoded]:
    total = 1
    for size in sizes:
        total *= size
    if total != len(values) or any(size < 0 for size in sizes):
        raise ValueError(f"an array says {sizes} and has {len(values)} elements")
    for size in reversed(sizes[1:]):
        values = [values[i : i + size] for i in range(0, len(values), size)] if size else []
    return values


# server time (8), source picoseconds (2) and server picoseconds (2), by the bits 0x08, 0x10 and 0x20
_TAIL = {
    (0x08 if a else 0) | (0x10 if b else 0) | (0x20 if c else 0): a + b + c
    for a in (0, 8)
    for b in (0, 2)
    for c in (0, 2)
}

_READ: dict[int, Callable[[Reader], Decoded]] = {
    12: Reader.text,
    13: Reader.time,
    14: Reader.guid,
    15: Reader.bytes_,
    16: Reader.text,
    17: Reader.node_id,
    18: Reader.node_id,
    19: Reader.status,
    20: Reader.qualified_name,
    21: Reader.localized_text,
    22: Reader.structure,
    23: Reader.nested_sample,
    24: Reader.nested_variant,
}
