"""The services of the simulated Logix controller: what it answers to each request of CIP.

Every answer is the service's reply without the encapsulation around it. 1756-PM020 describes the services.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from factorylm_enip import cip
from factorylm_enip.cip import ObjectClass, Service, Status
from factorylm_enip.simulated_tags import (
    STRING_TEMPLATE,
    Access,
    NoSuchPlaceError,
    Place,
    Scope,
    Symbol,
    Template,
    place,
)
from factorylm_enip.values import ATOMIC_BY_CODE, BOOL, STRUCTURE

REMOTE_RUN = 0x3060
_BASE_TAG = 1 << 26
_UNSERVED = 20  # bytes that attribute 4 counts and Read Template does not serve
_EXTERNAL_ACCESS, _FIRST_WITH_ACCESS = 10, 18


@dataclass(frozen=True, kw_only=True)
class Nameplate:
    """What the identity object and ListIdentity say."""

    vendor: int = 1
    product_type: int = 14
    product_code: int = 166
    major: int = 33
    minor: int = 11
    serial: int = 0x00C0FFEE
    name: str = "1756-L83E/B simulated"

    def attributes(self, status: int) -> bytes:
        """Attributes 1 to 7 of the identity object."""
        name = self.name.encode("latin-1")
        numbers = (self.vendor, self.product_type, self.product_code, self.major, self.minor, status)
        return struct.pack("<HHHBBHI", *numbers, self.serial) + bytes((len(name),)) + name

    @property
    def is_micro800(self) -> bool:
        return self.name.startswith("2080")


@dataclass(kw_only=True)
class Controller:
    """The simulated controller: its tags, its state, and how strictly it reads requests."""

    nameplate: Nameplate = field(default_factory=Nameplate)
    slot: int = 0
    name: str = "PumpStation"
    strict: bool = True  # refuse surplus bytes in a request
    status: int = REMOTE_RUN
    clock: Callable[[], float] = lambda: 0.0
    refresh: Callable[[], None] = lambda: None  # lets the process move on before each request
    written: Callable[[], None] = lambda: None  # lets the process see what a write has changed
    writes: int = 0  # write services that arrived
    tags: Scope = field(default_factory=Scope)
    programs: dict[str, Scope] = field(default_factory=dict)
    templates: dict[int, Template] = field(default_factory=dict)
    served: list[int] = field(default_factory=list)  # the service code of every request, for tests

    def __post_init__(self) -> None:
        self.learn(STRING_TEMPLATE)

    def learn(self, template: Template) -> Template:
        """Offer a structure type."""
        self.templates[template.id] = template
        return template

    def add_program(self, name: str) -> Scope:
        """A program and its scope; the controller lists it among its tags."""
        self.tags.add(f"Program:{name}", "DINT", type_word=0x1068)
        self.programs[name.lower()] = Scope()
        return self.programs[name.lower()]

    def answer(self, request: bytes, room: int) -> bytes:
        """The reply to one CIP request, of at most `room` bytes."""
        self.refresh()
        return self._answer(request, room)

    def _answer(self, request: bytes, room: int) -> bytes:
        service = request[0] if request else 0
        self.served.append(service)
        try:
            steps, body = _split(request)
            return self._dispatch(service, steps, body, room)
        except NoSuchPlaceError as error:
            if error.beyond:
                return refusal(service, Status.GENERAL, cip.OUT_OF_RANGE)
            return refusal(service, Status.PATH_UNKNOWN)
        except (struct.error, IndexError, cip.MalformedError):
            return refusal(service, Status.NOT_ENOUGH_DATA)

    def _dispatch(self, service: int, steps: list["Part"], body: bytes, room: int) -> bytes:
        program, steps = self._program(steps)
        if steps and isinstance(steps[0], _Object):
            target = steps[0]
            if target.object_class == ObjectClass.SYMBOL and service != Service.LIST_SYMBOLS:
                return self._tag_service(service, self._by_instance(target), steps[1:], body, room)
            return self._object_service(service, target, program, body, room)
        if not steps or not isinstance(steps[0], str):
            return refusal(service, Status.PATH_SEGMENT_ERROR)
        return self._tag_service(service, program.named(steps[0]), steps[1:], body, room)

    def _program(self, steps: list["Part"]) -> tuple[Scope, list["Part"]]:
        first = steps[0] if steps else None
        if not isinstance(first, str) or not first.lower().startswith("program:"):
            return self.tags, steps
        scope = self.programs.get(first[8:].lower())
        if scope is None:
            raise NoSuchPlaceError
        return scope, steps[1:]

    def _by_instance(self, target: "_Object") -> Symbol:
        try:
            return self.tags.symbols[target.instance]
        except KeyError:
            raise NoSuchPlaceError from None

    # -- services on objects --------------------------------------------------------------------

    def _object_service(self, service: int, target: "_Object", scope: Scope, body: bytes, room: int) -> bytes:
        match (target.object_class, service):
            case (ObjectClass.MESSAGE_ROUTER, Service.MULTIPLE) if not self.nameplate.is_micro800:
                return self._multiple(body, room)
            case (ObjectClass.IDENTITY, Service.GET_ATTRIBUTES_ALL):
                return reply(service, self.nameplate.attributes(self.status))
            case (ObjectClass.PROGRAM_NAME, Service.GET_ATTRIBUTES_ALL):
                return reply(service, struct.pack("<H", len(self.name)) + self.name.encode())
            case (ObjectClass.WALL_CLOCK, Service.GET_ATTRIBUTE_LIST):
                return reply(service, struct.pack("<HHHQ", 1, 6, 0, int(self.clock() * 1e6)))
            case (ObjectClass.SYMBOL, Service.LIST_SYMBOLS):
                return self._list_symbols(target.instance, scope, body, room)
            case (ObjectClass.TEMPLATE, Service.GET_ATTRIBUTE_LIST):
                return self._template_attributes(target.instance, body)
            case (ObjectClass.TEMPLATE, Service.READ_TEMPLATE):
                return self._read_template(target.instance, body, room)
            case _:
                return refusal(service, Status.SERVICE_NOT_SUPPORTED)

    def _multiple(self, body: bytes, room: int) -> bytes:
        parts = cip.split_multiple(body)
        left = room - 6 - 2 * len(parts)
        answers = []
        for index, part in enumerate(parts):
            # each of those still to come needs room to say at least that it had none
            answer = self._answer(part, left - 4 * (len(parts) - index - 1))
            answers.append(answer)
            left -= len(answer)
        failed = any(answer[2] for answer in answers)
        status = Status.EMBEDDED_SERVICE_ERROR if failed else Status.OK
        return refusal(Service.MULTIPLE, status, data=cip.multiple(answers))

    def _list_symbols(self, first: int, scope: Scope, body: bytes, room: int) -> bytes:
        count = struct.unpack_from("<H", body)[0]
        wanted = struct.unpack_from(f"<{count}H", body, 2)
        if _EXTERNAL_ACCESS in wanted and self.nameplate.major < _FIRST_WITH_ACCESS:
            return refusal(Service.LIST_SYMBOLS, Status.ATTRIBUTE_LIST_ERROR)
        data = b""
        for instance in sorted(i for i in scope.symbols if i >= first):
            entry = struct.pack("<I", instance) + b"".join(
                _symbol_attribute(scope.symbols[instance], number) for number in wanted
            )
            if len(data) + len(entry) > room - 4:
                return refusal(Service.LIST_SYMBOLS, Status.PARTIAL, data=data)
            data += entry
        return reply(Service.LIST_SYMBOLS, data)

    def _template_attributes(self, template_id: int, body: bytes) -> bytes:
        template = self._template(template_id)
        count = struct.unpack_from("<H", body)[0]
        data = struct.pack("<H", count)
        for number in struct.unpack_from(f"<{count}H", body, 2):
            data += struct.pack("<HH", number, 0) + _template_attribute(template, number)
        return reply(Service.GET_ATTRIBUTE_LIST, data)

    def _read_template(self, template_id: int, body: bytes, room: int) -> bytes:
        offset, count = struct.unpack_from("<IH", body)
        whole = _definition(self._template(template_id))
        end = offset + min(count, room - 4)
        status = Status.PARTIAL if end < min(len(whole), offset + count) else Status.OK
        return refusal(Service.READ_TEMPLATE, status, data=whole[offset:end])

    def _template(self, template_id: int) -> Template:
        try:
            return self.templates[template_id]
        except KeyError:
            raise NoSuchPlaceError from None

    # -- services on tags -----------------------------------------------------------------------

    def _tag_service(self, service: int, symbol: Symbol, steps: list["Part"], body: bytes, room: int) -> bytes:
        at = place(symbol, (step for step in steps if isinstance(step, str | int)))
        if symbol.access is Access.NONE:
            return refusal(service, Status.PRIVILEGE_VIOLATION)
        match service:
            case Service.READ_TAG if len(body) == 2:
                return _read(service, at, struct.unpack("<H", body)[0], 0, room)
            case Service.READ_FRAGMENT if len(body) == 6:
                count, offset = struct.unpack("<HI", body)
                return _read(service, at, count, offset, room)
            case Service.WRITE_TAG | Service.WRITE_FRAGMENT | Service.READ_MODIFY_WRITE:
                return self._change(service, at, body)
            case Service.READ_TAG | Service.READ_FRAGMENT:
                return refusal(service, Status.TOO_MUCH_DATA if len(body) > 2 else Status.NOT_ENOUGH_DATA)
            case _:
                return refusal(service, Status.SERVICE_NOT_SUPPORTED)

    def _change(self, service: int, at: Place, body: bytes) -> bytes:
        self.writes += 1
        if at.symbol.access is Access.READ_ONLY:
            return refusal(service, Status.PRIVILEGE_VIOLATION)
        answer = self._modify(at, body) if service == Service.READ_MODIFY_WRITE else self._write(service, at, body)
        self.written()
        return answer

    def _write(self, service: int, at: Place, body: bytes) -> bytes:
        prefix = _prefix(at.type)
        if not body.startswith(prefix):
            return refusal(service, Status.GENERAL, cip.TYPE_MISMATCH)
        body = body[len(prefix) :]
        count = struct.unpack_from("<H", body)[0]
        offset, head = (struct.unpack_from("<I", body, 2)[0], 6) if service == Service.WRITE_FRAGMENT else (0, 2)
        data = body[head:]
        if count > at.elements:
            return refusal(service, Status.GENERAL, cip.OUT_OF_RANGE)
        room = count * at.size - offset
        if service == Service.WRITE_TAG and len(data) < room:
            return refusal(service, Status.NOT_ENOUGH_DATA)
        if len(data) > room and self.strict:
            return refusal(service, Status.TOO_MUCH_DATA)
        _store(at, offset, data[:room])
        return reply(service, b"")

    def _modify(self, at: Place, body: bytes) -> bytes:
        size = struct.unpack_from("<H", body)[0]
        atomic = None if isinstance(at.type, Template) else ATOMIC_BY_CODE[at.type]
        if atomic is None or not atomic.is_integer or size != at.size:
            return refusal(Service.READ_MODIFY_WRITE, Status.GENERAL, cip.TYPE_MISMATCH)
        if len(body) < 2 + 2 * size:
            return refusal(Service.READ_MODIFY_WRITE, Status.NOT_ENOUGH_DATA)
        if len(body) > 2 + 2 * size and self.strict:
            return refusal(Service.READ_MODIFY_WRITE, Status.TOO_MUCH_DATA)
        or_mask, and_mask = body[2 : 2 + size], body[2 + size : 2 + 2 * size]
        now = at.symbol.data[at.offset : at.offset + size]
        new = bytes((old | o) & a for old, o, a in zip(now, or_mask, and_mask, strict=True))
        at.symbol.data[at.offset : at.offset + size] = new
        return reply(Service.READ_MODIFY_WRITE, b"")


def reply(service: int, data: bytes) -> bytes:
    """A success."""
    return bytes((service | 0x80, 0, 0, 0)) + data


def refusal(service: int, status: int, extended: int = 0, data: bytes = b"") -> bytes:
    """Any other status, with what belongs to it."""
    words = struct.pack("<H", extended) if extended else b""
    return bytes((service | 0x80, 0, status, len(words) // 2)) + words + data


# -- request paths --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Object:
    object_class: int
    instance: int


Part = str | int | _Object


def _split(request: bytes) -> tuple[list[Part], bytes]:
    end = 2 + 2 * request[1]
    if len(request) < end:
        raise cip.MalformedError("the request ends inside its path")
    return list(_parts(request[2:end])), request[end:]


def _parts(segments: bytes) -> Iterator[Part]:
    at, object_class = 0, 0
    while at < len(segments):
        kind = segments[at]
        if kind == 0x91:
            length = segments[at + 1]
            yield segments[at + 2 : at + 2 + length].decode("ascii", "replace")
            at += 2 + length + length % 2
            continue
        width, at_value = ((1, at + 1), (2, at + 2), (None, 0), (4, at + 2))[kind & 3]
        if width is None:
            raise cip.MalformedError(f"segment 0x{kind:02X} is not known")
        value = int.from_bytes(segments[at_value : at_value + width], "little")
        at = at_value + width
        match kind & 0xFC:
            case 0x20:
                object_class = value
            case 0x24:
                yield _Object(object_class, value)
            case 0x28:
                yield value
            case _:
                raise cip.MalformedError(f"segment 0x{kind:02X} is not known")


# -- bytes of tags --------------------------------------------------------------------------------


def _prefix(of: int | Template) -> bytes:
    return struct.pack("<HH", STRUCTURE, of.handle) if isinstance(of, Template) else struct.pack("<H", of)


def _read(service: int, at: Place, count: int, offset: int, room: int) -> bytes:
    if count > at.elements:
        return refusal(service, Status.GENERAL, cip.OUT_OF_RANGE)
    prefix = _prefix(at.type)
    room -= 4 + len(prefix)
    if room < 0:
        return refusal(service, Status.PARTIAL)
    data = _bytes(at, count)[offset:]
    if len(data) <= room:
        return reply(service, prefix + data)
    whole = room - room % at.size or room - room % 4
    return refusal(service, Status.PARTIAL, data=prefix + data[:whole])


def _bytes(at: Place, count: int) -> bytes:
    if at.bit is not None:
        return bytes((at.symbol.data[at.offset] >> at.bit & 1,))
    return bytes(at.symbol.data[at.offset : at.offset + count * at.size])


def _store(at: Place, offset: int, data: bytes) -> None:
    start = at.offset + offset
    if at.bit is not None:
        keep = at.symbol.data[start] & ~(1 << at.bit)
        at.symbol.data[start] = keep | bool(data[0]) << at.bit
    elif at.type == BOOL:
        at.symbol.data[start : start + len(data)] = bytes(1 if byte else 0 for byte in data)
    else:
        at.symbol.data[start : start + len(data)] = data


def _symbol_attribute(symbol: Symbol, number: int) -> bytes:
    match number:
        case 1:
            return struct.pack("<H", len(symbol.name)) + symbol.name.encode()
        case 2:
            return struct.pack("<H", symbol.type_word)
        case 3 | 5:
            return struct.pack("<I", 0x1000 + 8 * symbol.instance)
        case 6:
            return struct.pack("<I", _BASE_TAG)
        case 7:
            return struct.pack("<H", len(symbol.data) & 0xFFFF)
        case 8:
            return struct.pack("<3I", *(*symbol.dims, 0, 0, 0)[:3])
        case 10:
            return bytes((symbol.access,))
        case _:
            raise cip.MalformedError(f"a symbol has no attribute {number}")


def _definition(template: Template) -> bytes:
    """The layout with padding behind it: clients read 23 (1756-PM020), 21 or 20 bytes less than attribute 4 says."""
    data = template.definition() + bytes(3)
    return data + bytes(-(len(data) + _UNSERVED) % 4)


def _template_attribute(template: Template, number: int) -> bytes:
    match number:
        case 1:
            return struct.pack("<H", template.handle)
        case 2:
            return struct.pack("<H", len(template.members))
        case 3:  # undocumented; pylogix asks for it and skips two bytes
            return b"\x00\x00"
        case 4:
            return struct.pack("<I", (len(_definition(template)) + _UNSERVED) // 4)
        case 5:
            return struct.pack("<I", template.size)
        case _:
            raise cip.MalformedError(f"a template has no attribute {number}")
