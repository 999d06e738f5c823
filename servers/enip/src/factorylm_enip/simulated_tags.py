"""The memory of the simulated controller: structures, tags, and where a request path leads."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any
from zlib import crc32

from factorylm_enip.values import ATOMIC_BY_CODE, ATOMIC_BY_NAME, BOOL, STRING_CAPACITY, STRING_HANDLE


class Access(IntEnum):
    """External access, attribute 10 of a symbol."""

    READ_WRITE = 0
    READ_ONLY = 2
    NONE = 3


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a structure; a BOOL is bit `bit` of a hidden host that stands before it."""

    name: str
    type: "int | Template"
    offset: int
    array: int = 0
    bit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A structure type."""

    id: int
    name: str
    size: int
    handle: int
    members: tuple[Member, ...]

    @cached_property
    def by_name(self) -> dict[str, Member]:
        return {member.name.lower(): member for member in self.members}

    def definition(self) -> bytes:
        """What Read Template serves: a table of members, then the names."""
        table = b"".join(_member_info(member) for member in self.members)
        name = "ASCIISTRING82" if self.handle == STRING_HANDLE else self.name
        # behind the name: two letters for each member, which the specification leaves open and pylogix counts on
        marks = "n" + "EB" * len(self.members)
        names = "\x00".join([f"{name};{marks}", *(member.name for member in self.members), ""])
        return table + names.encode("latin-1")


def _member_info(member: Member) -> bytes:
    code = 0x8000 | member.type.id if isinstance(member.type, Template) else member.type
    code |= 0x2000 if member.array else 0
    return struct.pack("<HHI", member.array if member.bit is None else member.bit, code, member.offset)


def string_template(template_id: int, name: str, capacity: int, handle: int | None = None) -> Template:
    """A string type: LEN, DATA and padding to a multiple of four."""
    members = (
        Member(name="LEN", type=ATOMIC_BY_NAME["DINT"].code, offset=0),
        Member(name="DATA", type=ATOMIC_BY_NAME["SINT"].code, offset=4, array=capacity),
    )
    size = _aligned(4 + capacity, 4)
    return Template(id=template_id, name=name, size=size, handle=handle or _handle(name, capacity), members=members)


def structure(template_id: int, name: str, members: Sequence[tuple[str, "str | Template", int]]) -> Template:
    """A user-defined type laid out as Logix does: (name, type, array length); BOOLs share hidden SINT hosts."""
    laid: list[Member] = []
    at, host, bits = 0, -1, 8
    for member_name, member_type, array in members:
        if member_type == "BOOL" and not array:
            if bits == 8:
                laid.append(Member(name=f"ZZZZZZZZZZ{name[:8]}{len(laid)}", type=0xC2, offset=at))
                host, bits, at = at, 0, at + 1
            laid.append(Member(name=member_name, type=BOOL, offset=host, bit=bits))
            bits += 1
            continue
        bits = 8
        code = _type(member_type)
        at = _aligned(at, min(element_size(code), 4) if not isinstance(code, Template) else 4)
        laid.append(Member(name=member_name, type=code, offset=at, array=array))
        at += element_size(code) * max(array, 1)
    return Template(
        id=template_id,
        name=name,
        size=_aligned(at, 4),
        handle=_handle(name, *(f"{m.name}{m.offset}{m.array}" for m in laid)),
        members=tuple(laid),
    )


def _type(given: "str | Template") -> "int | Template":
    return given if isinstance(given, Template) else ATOMIC_BY_NAME[given].code


def _handle(*parts: object) -> int:
    return crc32(repr(parts).encode()) & 0xFFFF


def _aligned(size: int, to: int) -> int:
    return -(-size // to) * to


def element_size(of: "int | Template") -> int:
    """Bytes of one element."""
    return of.size if isinstance(of, Template) else ATOMIC_BY_CODE[of].size


STRING_TEMPLATE = string_template(0xFCE, "STRING", STRING_CAPACITY, STRING_HANDLE)


@dataclass(kw_only=True)
class Symbol:
    """One tag and its memory."""

    instance: int
    name: str
    type: int | Template
    dims: tuple[int, ...] = ()
    access: Access = Access.READ_WRITE
    type_word: int = 0
    data: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        count = 1
        for dim in self.dims:
            count *= dim
        self.data = bytearray(element_size(self.type) * count)
        code = 0x8000 | self.type.id if isinstance(self.type, Template) else self.type
        self.type_word = self.type_word or code | len(self.dims) << 13


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a path leads: the type there, its bytes, and how many elements follow."""

    symbol: Symbol
    type: int | Template
    offset: int
    elements: int
    bit: int | None = None

    @property
    def size(self) -> int:
        return element_size(self.type)


class NoSuchPlaceError(LookupError):
    """The path leads nowhere; `beyond` when only an index is too large."""

    def __init__(self, *, beyond: bool = False) -> None:
        super().__init__("beyond the end" if beyond else "no such place")
        self.beyond = beyond


class Scope:
    """The tags of the controller or of one program."""

    def __init__(self, first_instance: int = 1) -> None:
        self.symbols: dict[int, Symbol] = {}
        self._names: dict[str, Symbol] = {}
        self._next = first_instance

    def add(
        self,
        name: str,
        of: str | Template,
        *dims: int,
        access: Access = Access.READ_WRITE,
        type_word: int = 0,
    ) -> Symbol:
        """A new tag; a BOOL array is told in bits and kept in DWORDs, as the controller does."""
        if of == "BOOL" and dims:
            of, dims = "DWORD", (_aligned(dims[0], 32) // 32,)
        new = Symbol(instance=self._next, name=name, type=_type(of), dims=dims, access=access, type_word=type_word)
        self.symbols[new.instance] = new
        self._names[name.lower()] = new
        # real instance ids have holes; a client that counts on them being dense would not survive a plant
        self._next += 1 + self._next % 3
        return new

    def remove(self, name: str) -> None:
        """Forget a tag, as a download may."""
        gone = self._names.pop(name.lower())
        del self.symbols[gone.instance]

    def named(self, name: str) -> Symbol:
        """A tag by name, without regard to case."""
        try:
            return self._names[name.lower()]
        except KeyError:
            raise NoSuchPlaceError from None


def place(symbol: Symbol, steps: Iterable[str | int]) -> Place:
    """Follow member names and indices from a tag."""
    at = Place(symbol=symbol, type=symbol.type, offset=0, elements=len(symbol.data) // element_size(symbol.type))
    dims: tuple[int, ...] = symbol.dims
    for name, index in _grouped(steps):
        if name is not None:
            at, dims = _member(at, name)
        if index:
            at, dims = _element(at, dims, index), ()
    return at


def _grouped(steps: Iterable[str | int]) -> Iterator[tuple[str | None, list[int]]]:
    name: str | None = None
    index: list[int] = []
    for step in steps:
        if isinstance(step, int):
            index.append(step)
            continue
        yield name, index
        name, index = step, []
    yield name, index


def _member(at: Place, name: str) -> tuple[Place, tuple[int, ...]]:
    if not isinstance(at.type, Template) or name.lower() not in at.type.by_name:
        raise NoSuchPlaceError
    member = at.type.by_name[name.lower()]
    found = Place(
        symbol=at.symbol,
        type=member.type,
        offset=at.offset + member.offset,
        elements=max(member.array, 1),
        bit=member.bit,
    )
    return found, (member.array,) if member.array else ()


def _element(at: Place, dims: tuple[int, ...], index: list[int]) -> Place:
    if len(index) != len(dims):
        raise NoSuchPlaceError
    flat = 0
    for number, dim in zip(index, dims, strict=True):
        if number >= dim:
            raise NoSuchPlaceError(beyond=True)
        flat = flat * dim + number
    return Place(symbol=at.symbol, type=at.type, offset=at.offset + flat * at.size, elements=at.elements - flat)


def put(symbol: Symbol, steps: Iterable[str | int], value: Any) -> None:
    """Set a value from the process side, past every access right."""
    at = place(symbol, steps)
    if isinstance(at.type, Template):
        text = value.encode("latin-1")
        data = struct.pack("<i", len(text)) + text.ljust(at.size - 4, b"\x00")
        symbol.data[at.offset : at.offset + at.size] = data
    elif at.bit is not None:
        keep = symbol.data[at.offset] & ~(1 << at.bit)
        symbol.data[at.offset] = keep | bool(value) << at.bit
    else:
        struct.pack_into("<" + ATOMIC_BY_CODE[at.type].format, symbol.data, at.offset, value)


def got(symbol: Symbol, steps: Iterable[str | int]) -> Any:
    """A value as the process sees it."""
    at = place(symbol, steps)
    if isinstance(at.type, Template):
        raw = bytes(symbol.data[at.offset : at.offset + at.size])
        return raw[4 : 4 + int.from_bytes(raw[:4], "little")].decode("latin-1")
    if at.bit is not None:
        return bool(symbol.data[at.offset] >> at.bit & 1)
    value = struct.unpack_from("<" + ATOMIC_BY_CODE[at.type].format, symbol.data, at.offset)[0]
    return bool(value) if at.type == BOOL else value
