"""The bytes of CIP that driver and simulator share: paths, replies, the multiple service packet, statuses.

Sources: CIP Networks Library Vol 1 (paths C-1, statuses B-1) and Vol 2 (encapsulation), and Rockwell
1756-PM020, "Logix 5000 Controllers Data Access", for the services on tags. Everything is little-endian.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Command(IntEnum):
    """Encapsulation commands."""

    LIST_IDENTITY = 0x63
    REGISTER_SESSION = 0x65
    UNREGISTER_SESSION = 0x66
    SEND_RR_DATA = 0x6F
    SEND_UNIT_DATA = 0x70


class Service(IntEnum):
    """Services; 0x4C, 0x4E and 0x52 mean something else on other objects, so they have two names."""

    GET_ATTRIBUTES_ALL = 0x01
    GET_ATTRIBUTE_LIST = 0x03
    MULTIPLE = 0x0A
    READ_TAG = 0x4C
    READ_TEMPLATE = 0x4C
    WRITE_TAG = 0x4D
    READ_MODIFY_WRITE = 0x4E
    FORWARD_CLOSE = 0x4E
    READ_FRAGMENT = 0x52
    UNCONNECTED_SEND = 0x52
    WRITE_FRAGMENT = 0x53
    FORWARD_OPEN = 0x54
    LIST_SYMBOLS = 0x55
    LARGE_FORWARD_OPEN = 0x5B


class ObjectClass(IntEnum):
    """The objects a Logix controller answers for."""

    IDENTITY = 0x01
    MESSAGE_ROUTER = 0x02
    CONNECTION_MANAGER = 0x06
    PROGRAM_NAME = 0x64
    SYMBOL = 0x6B
    TEMPLATE = 0x6C
    WALL_CLOCK = 0x8B


class Status(IntEnum):
    """General statuses that decide what happens next; `told` has words for the others."""

    OK = 0x00
    CONNECTION_FAILURE = 0x01
    RESOURCE_UNAVAILABLE = 0x02
    PATH_SEGMENT_ERROR = 0x04
    PATH_UNKNOWN = 0x05
    PARTIAL = 0x06
    SERVICE_NOT_SUPPORTED = 0x08
    ATTRIBUTE_LIST_ERROR = 0x0A
    PRIVILEGE_VIOLATION = 0x0F
    REPLY_TOO_LARGE = 0x11
    NOT_ENOUGH_DATA = 0x13
    TOO_MUCH_DATA = 0x15
    EMBEDDED_SERVICE_ERROR = 0x1E
    GENERAL = 0xFF


# Extended statuses of 0xFF on tag services (1756-PM020, "Status codes")
OUT_OF_RANGE = 0x2105
TYPE_MISMATCH = 0x2107

HEADER = struct.Struct("<HHII8sI")  # command, length, session, status, sender context, options
MULTIPLE_PATH = b"\x02\x20\x02\x24\x01"

_WORDS = {
    0x01: "the connection could not be made",
    0x02: "the device has no resources left for this request",
    0x03: "a parameter is wrong",
    0x04: "no such tag (the path is not understood)",
    0x05: "no such tag (the path leads nowhere)",
    0x06: "the answer did not fit into one packet",
    0x07: "the connection is gone",
    0x08: "the device does not offer this service",
    0x09: "an attribute value is wrong",
    0x0A: "an attribute in the list is wrong",
    0x0B: "the device is already in that state",
    0x0C: "the device's state does not allow this",
    0x0E: "this attribute cannot be set",
    0x0F: "the controller does not permit it",
    0x10: "the device's state does not allow this",
    0x11: "the answer is larger than a packet",
    0x13: "the request is too short",
    0x14: "the device does not know this attribute",
    0x15: "the request has too many bytes",
    0x16: "no such object",
    0x1E: "one service of the batch failed",
    0x26: "the path has the wrong length",
}
_EXTENDED_WORDS = {
    (0x01, 0x0100): "the connection is already in use",
    (0x01, 0x0106): "another owner holds the connection",
    (0x01, 0x0107): "there is no such connection",
    (0x01, 0x0109): "the device does not accept this connection size",
    (0x01, 0x0113): "the device has no free connection",
    (0x01, 0x0114): "the module in the slot is another product",
    (0x01, 0x0203): "the connection timed out",
    (0x01, 0x0204): "nothing answers behind the module (is the slot empty?)",
    (0x01, 0x0311): "the route names a port that does not exist",
    (0x01, 0x0312): "there is no module at that slot or address",
    (0x01, 0x0315): "the route is not understood",
    (0xFF, OUT_OF_RANGE): "beyond the end of the tag (index or count out of range)",
    (0xFF, TYPE_MISMATCH): "the controller's tag has another type",
    (0xFF, 0x2104): "beyond the end of the structure",
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One service's answer."""

    service: int
    status: int
    extended: int
    data: bytes

    @property
    def ok(self) -> bool:
        """All of it, not a part."""
        return self.status == Status.OK

    @property
    def told(self) -> str:
        """The status in words, with its numbers."""
        return told(self.status, self.extended)


class MalformedError(ValueError):
    """Bytes that are not what they should be; the sentence says which."""


def told(status: int, extended: int = 0) -> str:
    """A status in words, followed by its numbers for the vendor's manual."""
    words = _EXTENDED_WORDS.get((status, extended)) or _WORDS.get(status, "an error of the device")
    numbers = f"0x{status:02X}/0x{extended:04X}" if extended else f"0x{status:02X}"
    return f"{words} (CIP status {numbers})"


def symbol(name: str) -> bytes:
    """One name as an ANSI extended symbol segment, padded to an even length."""
    text = name.encode("ascii")
    return bytes((0x91, len(text))) + text + b"\x00" * (len(text) % 2)


def member(index: int) -> bytes:
    """One array index as a logical segment of the smallest width."""
    if index <= 0xFF:
        return bytes((0x28, index))
    if index <= 0xFFFF:
        return struct.pack("<BxH", 0x29, index)
    return struct.pack("<BxI", 0x2A, index)


def logical(object_class: int, instance: int) -> bytes:
    """A class and an instance."""
    if instance <= 0xFF:
        return bytes((0x20, object_class, 0x24, instance))
    if instance <= 0xFFFF:
        return struct.pack("<BBBxH", 0x20, object_class, 0x25, instance)
    return struct.pack("<BBBxI", 0x20, object_class, 0x26, instance)


def path(segments: bytes) -> bytes:
    """Segments with their length in 16-bit words in front."""
    return bytes((len(segments) // 2,)) + segments


def parse_reply(data: bytes) -> Reply:
    """One service's answer; raises MalformedError."""
    if len(data) < 4:
        raise MalformedError(f"an answer of {len(data)} bytes is shorter than its header")
    service, _, status, words = data[:4]
    end = 4 + 2 * words
    if len(data) < end:
        raise MalformedError("the answer ends inside its status")
    extended = int.from_bytes(data[4:6], "little") if words else 0
    return Reply(service=service, status=status, extended=extended, data=data[end:])


def multiple(services: Sequence[bytes]) -> bytes:
    """The body of a multiple service packet (or of its answer)."""
    count = len(services)
    offsets, at = [count], 2 + 2 * count
    for service in services:
        offsets.append(at)
        at += len(service)
    return struct.pack(f"<{count + 1}H", *offsets) + b"".join(services)


def split_multiple(body: bytes) -> list[bytes]:
    """The parts of a multiple service packet; raises MalformedError when they do not fit together."""
    if len(body) < 2:
        raise MalformedError("the batch has no count")
    count = int.from_bytes(body[:2], "little")
    first = 2 + 2 * count
    if count == 0 or len(body) < first:
        raise MalformedError(f"the batch names {count} parts and ends before them")
    offsets = struct.unpack_from(f"<{count}H", body, 2)
    if offsets[0] != first:
        raise MalformedError("the first part of the batch is not behind the list of parts")
    ends = (*offsets[1:], len(body))
    if any(start >= end for start, end in zip(offsets, ends, strict=True)):
        raise MalformedError("the parts of the batch overlap")
    return [body[start:end] for start, end in zip(offsets, ends, strict=True)]
