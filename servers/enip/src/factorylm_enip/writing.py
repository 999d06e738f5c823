"""One write: built and checked here, sent once, never repeated.

Bits go out as read-modify-write in the controller (service 0x4E), so that a program writing the neighbouring
bits meanwhile loses nothing. Structures are written member by member, never whole.
"""

import struct
from collections.abc import Callable
from datetime import datetime

from factorylm_schema import (
    BadReplyError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
    Quality,
    Tag,
    Value,
    WriteRefusedError,
)
from factorylm_skill.engineering import to_raw

from factorylm_enip import cip
from factorylm_enip.address import Address, AddressError
from factorylm_enip.cip import Reply, Service, Status
from factorylm_enip.memory import Memory
from factorylm_enip.reading import Batch
from factorylm_enip.session import Session
from factorylm_enip.values import DWORD, Kind, UnfitValueError, as_bool, bit_masks, check_bit, encode
from factorylm_enip.wanted import wanted_of


def write(session: Session, memory: Memory, tag: Tag, value: Value, now: Callable[[], datetime]) -> None:
    """Send `value` once; raises WriteRefusedError before it, OutcomeUnknownError after it without an answer."""
    raw = to_raw(tag, value)
    address = _address(tag)
    kind = _present_kind(session, memory, tag, now)
    _check_access(memory, address)
    try:
        service, path, body = request_of(address, kind, raw)
    except UnfitValueError as error:
        raise WriteRefusedError(f"{tag.id}: {error}") from error
    if 1 + len(path) + len(body) > session.room:
        raise WriteRefusedError(f"{tag.id}: the value does not fit into one packet, and half a write is none")
    reply = _sent_once(session, service, path, body, tag)
    if not reply.ok:
        raise _refused(tag, reply)


def request_of(address: Address, kind: Kind, value: Value) -> tuple[int, bytes, bytes]:
    """Service, path and body that make `value` of one element; raises UnfitValueError."""
    if kind.code == DWORD:
        if address.element is None or address.bit is not None:
            raise UnfitValueError(f"{address.array.text} is an array of BOOL; name one element")
        word = address.array.segments + cip.member(address.element // 32)
        return _bit_request(word, kind, address.element % 32, value)
    if address.bit is not None:
        check_bit(kind, address.bit)
        return _bit_request(address.segments, kind, address.bit, value)
    return Service.WRITE_TAG, cip.path(address.segments), kind.prefix + b"\x01\x00" + encode(kind, value)


def _bit_request(segments: bytes, kind: Kind, bit: int, value: Value) -> tuple[int, bytes, bytes]:
    body = struct.pack("<H", kind.size) + bit_masks(kind, bit, on=as_bool(value))
    return Service.READ_MODIFY_WRITE, cip.path(segments), body


def _address(tag: Tag) -> Address:
    try:
        return wanted_of(tag).address
    except AddressError as error:
        raise WriteRefusedError(str(error)) from error


def _present_kind(session: Session, memory: Memory, tag: Tag, now: Callable[[], datetime]) -> Kind:
    """What the tag holds now, asked from the controller and not remembered: a download may have changed it."""
    batch = Batch([tag], memory, now)
    batch.run(session)
    [reading] = batch.readings
    kind = memory.kind_at(wanted_of(tag).address)
    assert reading is not None
    if kind is None or reading.quality in (
        Quality.BadTypeMismatch,
        Quality.BadNodeIdUnknown,
        Quality.BadOutOfRange,
        Quality.BadUserAccessDenied,
        Quality.BadNotSupported,
    ):
        raise WriteRefusedError(f"{tag.id} cannot be written: {reading.problem}", hint=reading.hint)
    return kind


def _check_access(memory: Memory, address: Address) -> None:
    scope = memory.catalog.known(address.program)
    name = address.steps[1 if address.program else 0].name.lower()
    symbol = scope.symbols.get(name) if scope else None
    if symbol and symbol.access == "read only":
        raise WriteRefusedError(
            f"External Access of {symbol.name} is Read Only in the controller",
            hint="Only the controller's project can change that",
        )


def _sent_once(session: Session, service: int, path: bytes, body: bytes, tag: Tag) -> Reply:
    try:
        return session.ask(service, path, body)
    except (NotConnectedError, DeviceTimeoutError, BadReplyError) as error:
        raise OutcomeUnknownError(
            f"the write to {tag.id} was sent and not answered: {error.message}",
            hint="Read the tag back before anything else; the write may have taken effect",
        ) from error


def _refused(tag: Tag, reply: Reply) -> DeviceRefusedError:
    quality = Quality.BadUserAccessDenied if reply.status == Status.PRIVILEGE_VIOLATION else None
    return DeviceRefusedError(
        f"the controller refused the write to {tag.id}: {reply.told}",
        hint="Nothing was changed. External Access, the key switch and the tag's type decide this",
        quality=quality,
    )
