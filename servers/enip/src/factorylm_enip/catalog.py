"""What the controller says it has: its tags scope by scope, and the layout of its structures.

Lists are uploaded only when something needs them (a browse, a structure, a hint), page by page, and what has
come is kept when the time runs out. 1756-PM020, "Symbol object" and "Template object".
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from factorylm_schema import BadReplyError, DeviceRefusedError, DeviceTimeoutError, Quality

from factorylm_enip import cip
from factorylm_enip.address import Address
from factorylm_enip.cip import ObjectClass, Service, Status
from factorylm_enip.session import Session
from factorylm_enip.values import ATOMIC_BY_CODE, STRUCTURE, Kind

_NAME, _TYPE, _DIMENSIONS, _ACCESS = 1, 2, 8, 10
_IS_STRUCTURE, _IS_SYSTEM, _NUMBER = 0x8000, 0x1000, 0x0FFF
_PREDEFINED_BELOW, _PREDEFINED_ABOVE = 0x100, 0xEFF
# 1756-PM020: names that the controller makes for itself
_HIDDEN_HOST = "ZZZZZZZZZZ"
_ACCESS_WORDS = {0: "read/write", 2: "read only", 3: "none"}


class UploadUnfinishedError(DeviceTimeoutError):
    """The time ran out between two pages; the connection is fine, and the next call goes on from here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Symbol:
    """One entry of a tag list. `code` is an elementary type code, or None for a structure (`template`)."""

    name: str
    code: int | None
    template: int = 0
    dims: tuple[int, ...] = ()
    access: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class StructureMember:
    """One member; `bit` where it is a bit of the host at `offset`."""

    name: str
    code: int | None
    template: int
    array: int
    offset: int
    bit: int | None

    @property
    def hidden(self) -> bool:
        """Made by the controller, not by an engineer."""
        return self.name.startswith((_HIDDEN_HOST, "__")) or not self.name


@dataclass(frozen=True, kw_only=True)
class Structure:
    """A user-defined or predefined type."""

    id: int
    name: str
    handle: int
    size: int
    members: tuple[StructureMember, ...]

    @property
    def visible(self) -> tuple[StructureMember, ...]:
        return tuple(member for member in self.members if not member.hidden)

    @property
    def capacity(self) -> int | None:
        """Characters of a string type: a structure of LEN and DATA and nothing else."""
        match self.visible:
            case (StructureMember(name="LEN", code=0xC4), StructureMember(name="DATA", code=0xC2, array=array)) if (
                array
            ):
                return array
        return None

    @property
    def kind(self) -> Kind:
        """How it looks on the wire."""
        return Kind(code=STRUCTURE, size=self.size, handle=self.handle, capacity=self.capacity, structure=self.name)


@dataclass
class Scope:
    """One tag list, as far as it has come."""

    symbols: dict[str, Symbol] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    next_instance: int = 0
    complete: bool = False


@dataclass
class Catalog:
    """All that is known of one controller; forgotten with its connection."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    structures: dict[int, Structure] = field(default_factory=dict)
    _access_is_told: bool = True
    _slowest_page_s: float = 0.025

    def clear(self) -> None:
        """Forget it all: after a download it may be wrong."""
        self.scopes.clear()
        self.structures.clear()

    def scope(self, session: Session, program: str = "") -> Scope:
        """The whole list of the controller or of a program; raises UploadUnfinishedError to be called again."""
        scope = self.scopes.setdefault(program.lower(), Scope())
        while not scope.complete:
            if session.deadline.left() < 2 * self._slowest_page_s:
                raise UploadUnfinishedError(
                    f"the controller's tag list is long: {len(scope.symbols):,} tags have come so far",
                    hint="Ask again: it goes on from there. A larger timeout_s gets it in one go",
                )
            before = session.deadline.left()
            self._page(session, scope, program)
            self._slowest_page_s = max(self._slowest_page_s, before - session.deadline.seconds_left)
        return scope

    def known(self, program: str) -> Scope | None:
        """A complete list, if it was uploaded already."""
        scope = self.scopes.get(program.lower())
        return scope if scope and scope.complete else None

    def structure(self, session: Session, template: int) -> Structure:
        """A structure by template id."""
        if template not in self.structures:
            self.structures[template] = _read_structure(session, template)
        return self.structures[template]

    def resolve(self, session: Session, address: Address) -> "Symbol | StructureMember | None":
        """What the controller's lists say about a path; None where they know nothing of it."""
        steps = list(address.steps)
        program = address.program
        if program:
            steps = steps[1:]
        at: Symbol | StructureMember | None = self.scope(session, program).symbols.get(steps[0].name.lower())
        for step in steps[1:]:
            if at is None or at.code is not None:
                return None
            members = self.structure(session, at.template).members
            at = next((m for m in members if m.name.lower() == step.name.lower()), None)
        return at

    def missing(self, session: Session, address: Address) -> tuple[str, list[str]]:
        """The first name of a path that leads nowhere, and the names there are instead."""
        first, *rest = address.steps[1:] if address.program else address.steps
        scope = self.scope(session, address.program)
        at: Symbol | StructureMember | None = scope.symbols.get(first.name.lower())
        if at is None:
            return first.name, [symbol.name for symbol in scope.symbols.values()]
        for step in rest:
            if at.code is not None:
                return "", []
            members = {member.name.lower(): member for member in self.structure(session, at.template).visible}
            if step.name.lower() not in members:
                return step.name, [member.name for member in members.values()]
            at = members[step.name.lower()]
        return "", []

    def _page(self, session: Session, scope: Scope, program: str) -> None:
        wanted = (_NAME, _TYPE, _DIMENSIONS, _ACCESS) if self._access_is_told else (_NAME, _TYPE, _DIMENSIONS)
        segments = cip.symbol(f"Program:{program}") if program else b""
        path = cip.path(segments + cip.logical(ObjectClass.SYMBOL, scope.next_instance))
        body = struct.pack(f"<{len(wanted) + 1}H", len(wanted), *wanted)
        reply = session.ask(Service.LIST_SYMBOLS, path, body)
        if reply.status not in (Status.OK, Status.PARTIAL):
            if self._access_is_told:
                # external access came with revision 18; ask older controllers without it
                self._access_is_told = False
                return
            raise _refused(f"the tag list of {program or 'the controller'}", reply)
        last = self._keep(scope, reply.data)
        scope.complete = reply.status == Status.OK
        if not scope.complete and last < scope.next_instance:
            raise BadReplyError("the tag list does not go on")
        scope.next_instance = last + 1

    def _keep(self, scope: Scope, data: bytes) -> int:
        last = -1
        for instance, symbol, hidden in _symbols(data, access=self._access_is_told):
            last = instance
            if symbol.name.startswith("Program:"):
                scope.programs.append(symbol.name[8:])
            elif not hidden:
                scope.symbols[symbol.name.lower()] = symbol
        return last


def type_name(of: Symbol | StructureMember, structures: dict[int, Structure]) -> str:
    """The type as a plant file and a person say it: `REAL[10]`, `BOOL[64]`, `STRING`, a structure's name."""
    dims = of.dims if isinstance(of, Symbol) else ((of.array,) if of.array else ())
    if of.code is None:
        known = structures.get(of.template)
        name = known.kind.name if known else f"structure {of.template}"
    elif of.code == 0xD3:
        name, dims = "BOOL", tuple(32 * dim for dim in dims)
    else:
        atomic = ATOMIC_BY_CODE.get(of.code)
        name = atomic.name if atomic else f"type 0x{of.code:02X}"
    return f"{name}[{','.join(map(str, dims))}]" if dims else name


# -- bytes ----------------------------------------------------------------------------------------


def _symbols(data: bytes, *, access: bool) -> Iterator[tuple[int, Symbol, bool]]:
    at = 0
    try:
        while at < len(data):
            instance, length = struct.unpack_from("<IH", data, at)
            name = data[at + 6 : at + 6 + length].decode("latin-1")
            at += 6 + length
            word, *dims = struct.unpack_from("<H3I", data, at)
            at += 14
            right = _ACCESS_WORDS.get(data[at], "") if access else ""
            at += access
            yield instance, _symbol(name, word, dims, right), _is_hidden(name, word)
    except (struct.error, IndexError) as error:
        raise BadReplyError("the tag list ends in the middle of an entry") from error


def _symbol(name: str, word: int, dims: list[int], access: str) -> Symbol:
    is_structure = bool(word & _IS_STRUCTURE)
    return Symbol(
        name=name,
        code=None if is_structure else word & 0xFF,
        template=word & _NUMBER if is_structure else 0,
        dims=tuple(dims[: word >> 13 & 3]),
        access=access,
    )


def _is_hidden(name: str, word: int) -> bool:
    is_module = any(mark in name for mark in (":I", ":O", ":C", ":S"))
    return (
        bool(word & _IS_SYSTEM)
        or name.startswith("__")
        or "Map:" in name
        or "Cxn:" in name
        or (":" in name and not is_module and not name.startswith("Program:"))
    )


def _read_structure(session: Session, template: int) -> Structure:
    path = cip.path(cip.logical(ObjectClass.TEMPLATE, template))
    reply = session.ask(Service.GET_ATTRIBUTE_LIST, path, struct.pack("<5H", 4, 4, 5, 2, 1))
    if not reply.ok or len(reply.data) != 30:
        raise _refused(f"the layout of structure {template}", reply)
    words, size, count, handle = struct.unpack("<2x4xI4xI4xH4xH", reply.data)
    # 1756-PM020: definition size * 4 - 23 bytes hold the members and the names
    data = _read_definition(session, path, words * 4 - 23)
    name, members = _members(data, count, template)
    return Structure(id=template, name=name, handle=handle, size=size, members=tuple(members))


def _read_definition(session: Session, path: bytes, wanted: int) -> bytes:
    data = b""
    while len(data) < wanted:
        body = struct.pack("<IH", len(data), min(wanted - len(data), 0xFFFF))
        reply = session.ask(Service.READ_TEMPLATE, path, body)
        if reply.status not in (Status.OK, Status.PARTIAL):
            raise _refused("the layout of a structure", reply)
        data += reply.data
        if reply.ok or not reply.data:
            break
    return data


def _members(data: bytes, count: int, template: int) -> tuple[str, Iterator[StructureMember]]:
    if len(data) < 8 * count:
        raise BadReplyError("the layout of a structure is shorter than its members")
    names = data[8 * count :].decode("latin-1").split("\x00")
    with_mark = next((n for n, name in enumerate(names) if ";" in name), None)
    if with_mark is not None:
        own = names.pop(with_mark).split(";", 1)[0]
    else:
        predefined = not _PREDEFINED_BELOW <= template <= _PREDEFINED_ABOVE
        own = names.pop(0) if predefined and names else f"structure {template}"
    infos = struct.iter_unpack("<HHI", data[: 8 * count])
    return own, (_member(name, *info) for name, info in zip(names, infos, strict=False))


def _member(name: str, info: int, word: int, offset: int) -> StructureMember:
    is_structure = bool(word & _IS_STRUCTURE)
    code = None if is_structure else word & 0xFF
    is_bit = code == 0xC1
    return StructureMember(
        name=name,
        code=code,
        template=word & _NUMBER if is_structure else 0,
        array=0 if is_bit else info,
        offset=offset,
        bit=info if is_bit else None,
    )


def _refused(what: str, reply: cip.Reply) -> DeviceRefusedError:
    return DeviceRefusedError(
        f"the controller did not give {what}: {reply.told}",
        hint="Some controllers have no tag list; tags can still be read by name",
        quality=Quality.BadServiceUnsupported,
    )
