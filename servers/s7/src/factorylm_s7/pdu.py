"""The read and write jobs of S7 communication as bytes. Pure.

python-snap7 raises for a whole multi-variable reply when one item is refused, and takes the length that an
error item declares for real. Here every item of a reply answers for itself, and everything that the request
fixed is checked: sequence, function, number of items, length of each item, length of the whole.
Layout: github.com/wireshark/wireshark, epan/dissectors/packet-s7comm.c.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_schema import BadReplyError

from factorylm_s7.plan import Range

_JOB, _ACK, _ACK_DATA, _USER_DATA = 1, 2, 3, 7
_SERVICE_DATA = 22  # a user-data reply: header 10, parameters 12, then its data
_READ, _WRITE = 4, 5
_BIT, _BYTE = 1, 2
_OK = 0xFF
_COUNTED = (0x1C, 0x1D)  # counters and timers: their area is also their transport size
_HEADER = struct.Struct(">BBHHHH")
_REPLY_HEADER = struct.Struct(">BBHHHHH")
_ITEM = struct.Struct(">4BHHB3s")
_REPLY_ITEM = struct.Struct(">BBH")
# Reply transport sizes whose length counts bits; of the others it counts bytes
_IN_BITS = (4, 5)
_IN_BYTES = (6, 7, 9)


@dataclass(frozen=True)
class Refusal:
    """The controller's no: an item's return code, or the error of a whole job (two bytes, never 0 to 255)."""

    code: int

    @property
    def is_of_an_item(self) -> bool:
        """About one item; otherwise about the job as a whole."""
        return self.code <= 0xFF


def read_request(sequence: int, items: Sequence[Range]) -> bytes:
    """One job that reads `items`."""
    parameters = bytes([_READ, len(items)]) + b"".join(_place(item) for item in items)
    return _HEADER.pack(0x32, _JOB, 0, sequence, len(parameters), 0) + parameters


def write_request(sequence: int, place: Range, data: bytes, *, bit: int | None = None) -> bytes:
    """One job that writes `data` at `place`; with `bit` that single bit, which leaves its neighbours alone."""
    transport, length = (_BIT + 2, 1) if bit is not None else (4, len(data) * 8)
    parameters = bytes([_WRITE, 1]) + _place(place, bit)
    body = _REPLY_ITEM.pack(0, transport, length) + data
    return _HEADER.pack(0x32, _JOB, 0, sequence, len(parameters), len(body)) + parameters + body


def sequence_of(reply: bytes) -> int:
    """Which request this answers."""
    if len(reply) < _REPLY_HEADER.size or reply[0] != 0x32:
        raise BadReplyError("the reply is not S7 communication", hint=_UNTRUSTED)
    return int.from_bytes(reply[4:6])


def read_reply(reply: bytes, items: Sequence[Range]) -> list[bytes | Refusal]:
    """What the reply holds for each item; BadReplyError where it does not fit the question."""
    body = _body(reply, _READ, len(items))
    if isinstance(body, Refusal):
        return [body] * len(items)
    answers: list[bytes | Refusal] = []
    at = 0
    for item in items:
        at += at & 1  # an item of odd length is filled up, unless it is the last
        answer, at = _item(body, at, item)
        answers.append(answer)
    if at < len(body):
        raise BadReplyError(f"the reply has {len(body) - at} bytes too many", hint=_UNTRUSTED)
    return answers


def write_reply(reply: bytes) -> Refusal | None:
    """None when the controller took the write."""
    body = _body(reply, _WRITE, 1)
    if isinstance(body, Refusal):
        return body
    if len(body) != 1:
        raise BadReplyError(f"a write is acknowledged with 1 byte, not {len(body)}", hint=_UNTRUSTED)
    return None if body[0] == _OK else Refusal(body[0])


def refusal_of_service(reply: bytes) -> Refusal | None:
    """The CPU's no to a user-data service (system lists, block lists, clock), or None when it answered."""
    if reply[1] != _USER_DATA:
        error = int.from_bytes(reply[10:12])
        return Refusal(error) if reply[1] in (_ACK, _ACK_DATA) and error else None
    if len(reply) < _SERVICE_DATA + 1:
        raise BadReplyError("the reply ends before its data", hint=_UNTRUSTED)
    if error := int.from_bytes(reply[_SERVICE_DATA - 2 : _SERVICE_DATA]):
        return Refusal(error)
    return None if reply[_SERVICE_DATA] == _OK else Refusal(reply[_SERVICE_DATA])


_UNTRUSTED = "The answer was thrown away and the connection is made anew; repeat the request"


def _place(item: Range, bit: int | None = None) -> bytes:
    """Where to read or write: S7ANY pointer, counted in bits; timers and counters by number."""
    if item.area in _COUNTED:
        transport, start = item.area, item.start
    else:
        transport, start = (_BYTE, item.start * 8) if bit is None else (_BIT, item.start * 8 + bit)
    count = item.end - item.start
    return _ITEM.pack(0x12, 0x0A, 0x10, transport, count, item.block, item.area, start.to_bytes(3))


def _body(reply: bytes, function: int, count: int) -> bytes | Refusal:
    """The data part of a reply to `function` with `count` items, or why the whole job was refused."""
    if len(reply) < _REPLY_HEADER.size:
        raise BadReplyError("the reply is shorter than its header", hint=_UNTRUSTED)
    _, kind, _, _, parameters, data, error = _REPLY_HEADER.unpack_from(reply)
    if kind not in (_ACK, _ACK_DATA):
        raise BadReplyError(f"the reply is of kind {kind}, not an acknowledgement", hint=_UNTRUSTED)
    if len(reply) != _REPLY_HEADER.size + parameters + data:
        raise BadReplyError("the reply is not as long as its header says", hint=_UNTRUSTED)
    if error:
        return Refusal(error)
    start = _REPLY_HEADER.size + parameters
    if reply[_REPLY_HEADER.size : start] != bytes([function, count]):
        raise BadReplyError("the reply answers another question", hint=_UNTRUSTED)
    return reply[start:]


def _item(body: bytes, at: int, item: Range) -> tuple[bytes | Refusal, int]:
    """One item's answer, and where the next one starts."""
    if at + _REPLY_ITEM.size > len(body):
        raise BadReplyError("the reply ends before its last item", hint=_UNTRUSTED)
    code, transport, length = _REPLY_ITEM.unpack_from(body, at)
    at += _REPLY_ITEM.size
    if code != _OK:
        # Some servers declare four bytes here that never come: an error has no data, whatever it declares
        return Refusal(code), at
    if transport not in _IN_BITS and transport not in _IN_BYTES:
        raise BadReplyError(f"the reply has the unknown transport size {transport}", hint=_UNTRUSTED)
    size = length // 8 if transport in _IN_BITS else length
    if size != item.size:
        raise BadReplyError(f"{item.size} bytes were asked for and {size} came", hint=_UNTRUSTED)
    data = body[at : at + size]
    if len(data) != size:
        raise BadReplyError("the reply ends in the middle of an item", hint=_UNTRUSTED)
    return data, at + size
