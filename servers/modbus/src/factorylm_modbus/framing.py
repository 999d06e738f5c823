"""How a PDU travels: with the MBAP header on TCP and TLS, with unit and checksum on RTU. Pure."""

import struct
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from factorylm_schema import BadReplyError

from factorylm_modbus.pdu import DIAGNOSTICS, IDENTIFICATION, MASK_WRITE, Request

_MBAP = struct.Struct(">HHHB")
_LONGEST_PDU = 253  # Modbus Application Protocol V1.1b3, 4.1


class Frame(NamedTuple):
    """A whole frame out of the stream: the question's number (0 where the framing has none), unit and PDU."""

    number: int
    unit: int
    pdu: bytes


class Framing(Protocol):
    """One connection's way to put requests on the wire and to find answers in what comes back."""

    numbered: bool

    def wrap(self, request: Request) -> tuple[int, bytes]:
        """The question's number and its frame."""
        ...

    def unwrap(self, buffer: bytearray) -> Frame | None:
        """The first whole frame, taken out of `buffer`; None while it is incomplete.

        Raises BadReplyError when what is there can never become a frame.
        """
        ...


@dataclass
class Mbap:
    """TCP and TLS: every question has a transaction number, and its answer carries it."""

    numbered: bool = True
    _last: int = 0

    def wrap(self, request: Request) -> tuple[int, bytes]:
        self._last = number = (self._last + 1) & 0xFFFF
        return number, _MBAP.pack(number, 0, len(request.pdu) + 1, request.unit) + request.pdu

    def unwrap(self, buffer: bytearray) -> Frame | None:
        if len(buffer) < _MBAP.size:
            return None
        number, protocol, length, unit = _MBAP.unpack_from(buffer)
        if protocol != 0 or not 2 <= length <= _LONGEST_PDU + 1:
            raise _not_modbus(buffer, "a Modbus TCP header")
        end = length + _MBAP.size - 1
        if len(buffer) < end:
            return None
        pdu = bytes(buffer[_MBAP.size : end])
        del buffer[:end]
        return Frame(number, unit, pdu)


@dataclass
class Rtu:
    """Serial lines, and TCP bridges to them: no numbers, so an answer is known only by its fit and its time."""

    numbered: bool = False

    def wrap(self, request: Request) -> tuple[int, bytes]:
        body = bytes((request.unit,)) + request.pdu
        return 0, body + checksum(body)

    def unwrap(self, buffer: bytearray) -> Frame | None:
        end = _rtu_length(buffer)
        if end is None or len(buffer) < end:
            return None
        body, check = bytes(buffer[: end - 2]), bytes(buffer[end - 2 : end])
        if checksum(body) != check:
            raise _not_modbus(buffer, "a frame with the right checksum")
        del buffer[:end]
        return Frame(0, body[0], body[1:])


def checksum(body: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first (Modbus over Serial Line V1.02, 2.5.1.2)."""
    crc = 0xFFFF
    for byte in body:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _crc_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_CRC = tuple(_crc_of(byte) for byte in range(256))


def _rtu_length(buffer: bytearray) -> int | None:
    """Where the answer that `buffer` begins with ends, checksum included; None: cannot be told yet."""
    if len(buffer) < 3:
        return None
    function = buffer[1]
    if function & 0x80:
        return 5
    if function in (1, 2, 3, 4, 17):
        return 5 + buffer[2]
    if function in (5, 6, DIAGNOSTICS, 11, 15, 16):
        return 8
    if function == MASK_WRITE:
        return 10
    if function == IDENTIFICATION:
        return _identification_length(buffer)
    raise _not_modbus(buffer, "an answer to any question asked")


def _identification_length(buffer: bytearray) -> int | None:
    """Unit, function, type, level, conformity, more, next, count; then objects of id, length, text."""
    at = 8
    if len(buffer) < at:
        return None
    for _ in range(buffer[7]):
        if len(buffer) < at + 2:
            return None
        at += 2 + buffer[at + 1]
    return at + 2


def _not_modbus(buffer: bytearray, wanted: str) -> BadReplyError:
    return BadReplyError(
        f"what came is not {wanted}: {bytes(buffer[:12]).hex(' ')}",
        hint="Check that this is a Modbus port, the URL's scheme (tcp, rtu-tcp, tls), and baud rate and parity",
    )
