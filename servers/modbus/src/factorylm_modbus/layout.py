"""Which registers a set of tags needs, and what each tag's registers say when they have come. Pure."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from operator import is_

from factorylm_schema import Device, Quality, Reading, Tag, Value
from factorylm_skill.engineering import to_reading
from pydantic import ValidationError

from factorylm_modbus.address import Address, ByteOrder, DataType, parse, parse_range
from factorylm_modbus.dialect import DeviceOptions, TagOptions, check_fit
from factorylm_modbus.endpoint import Endpoint
from factorylm_modbus.pdu import Answer, Request, bit
from factorylm_modbus.plan import Block, Span, plan
from factorylm_modbus.values import decode, decoder


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one tag's value stands and how to read it."""

    tag: Tag
    address: Address
    span: Span
    order: ByteOrder
    order_is_told: bool
    bits: dict[int, str]
    told: str
    decode: Callable[[bytes], Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Misplaced:
    """A tag that no request can bring, and why."""

    tag: Tag
    quality: Quality
    problem: str
    hint: str = ""


def units_named(device: Device, endpoint: Endpoint) -> frozenset[int]:
    """The unit ids that the plant file names for `device`."""
    own = [parse(tag.address, tag.type).unit for tag in device.tags.values()]
    return frozenset({endpoint.unit, *(unit for unit in own if unit is not None)})


def place_of(tag: Tag, options: DeviceOptions, endpoint: Endpoint, units: Container[int]) -> Place | Misplaced:
    """The place of `tag`.

    A raw address (no name) is typed by a model: it is checked like one in the plant file, and may only ask the
    units named there, because behind one gateway there can be other people's devices.
    """
    try:
        address = parse(tag.address, tag.type)
        own = TagOptions.model_validate(tag.options)
        check_fit(tag, address, own, options, endpoint.link)
        _check_unit(tag, address, units)
    except ValidationError as error:
        return Misplaced(tag=tag, quality=Quality.BadConfigurationError, problem=str(error.errors()[0]["msg"]))
    except ValueError as error:
        return Misplaced(
            tag=tag,
            quality=Quality.BadNodeIdInvalid,
            problem=str(error),
            hint="Nothing was asked of the device for this tag; correct the address",
        )
    unit = endpoint.unit if address.unit is None else address.unit
    order, told = order_of(address, own, options)
    return Place(
        tag=tag,
        address=address,
        span=Span(unit, address.table, address.offset, address.offset + address.count),
        order=order,
        order_is_told=told,
        bits=own.bits,
        told=address.told,
        decode=_decoder(address, order, own.bits),
    )


def _check_unit(tag: Tag, address: Address, units: Container[int]) -> None:
    if not tag.name and address.unit is not None and address.unit not in units:
        raise ValueError(f"unit {address.unit} is not one that the plant file names for {tag.device}")


def order_of(address: Address, own: TagOptions, options: DeviceOptions) -> tuple[ByteOrder, bool]:
    """The byte order of a value, and whether anything said so.

    The bytes of one register are fixed by the specification and a text has no highest byte, so a device's order
    is about numbers of two or more registers; a tag that names its own order means it, whatever its type.
    """
    if own_order := own.byte_order or address.order:
        return own_order, True
    if address.count == 1 or address.type is DataType.STRING:
        return ByteOrder.ABCD, True
    return options.byte_order or ByteOrder.ABCD, options.byte_order is not None


def cut_out(place: Place, block: Span, answer: bytes) -> bytes:
    """The part of a read answer (byte count and data) that belongs to `place`; one byte for a coil."""
    _, table, start, end = place.span
    if table.of_bits:
        return bytes((bit(answer[1:], start - block.start),))
    return answer[1 + 2 * (start - block.start) : 1 + 2 * (end - block.start)]


def reading_of(place: Place, data: bytes, time: datetime) -> Reading:
    """What `data` says for the tag of `place`."""
    try:
        value = place.decode(data)
    except ValueError as error:
        hint = "Check the tag's type and byte order against the device's manual"
        bad = _none(place.tag, place.told, time, Quality.BadDecodingError, str(error), hint)
        return bad.model_copy(update={"raw": data.hex()})
    return to_reading(place.tag, value, time, address=place.told, raw=data.hex())


@dataclass
class Layout:
    """Tags, their places, and the requests that bring them."""

    tags: list[Tag]
    places: list[Place | Misplaced]
    wanted: list[Span] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def is_for(self, tags: Sequence[Tag]) -> bool:
        """It was made for exactly these tags."""
        return len(tags) == len(self.tags) and all(map(is_, tags, self.tags))

    def plan(self, options: DeviceOptions, closed: Iterable[Span]) -> None:
        """Find the fewest requests."""
        placed = [place for place in self.places if isinstance(place, Place)]
        self.wanted = [place.span for place in placed]
        fenced = {*closed, *_fences(options, {span.unit for span in self.wanted})}
        self.blocks = plan(self.wanted, options.limits, fenced)
        self.requests = [block.request for block in self.blocks]


def readings_of(
    places: Sequence[Place | Misplaced], answers: Mapping[int, tuple[Span, Answer]], time: datetime
) -> list[Reading]:
    """One reading per place, in order; `answers` counts only the places that were asked for."""
    asked = count()
    return [
        _misplaced(place, time) if isinstance(place, Misplaced) else _reading(place, *answers[next(asked)], time)
        for place in places
    ]


def _reading(place: Place, block: Span, answer: Answer, time: datetime) -> Reading:
    if isinstance(answer, bytes):
        return reading_of(place, cut_out(place, block, answer), time)
    return _none(place.tag, place.told, time, answer.quality, answer.message, answer.hint)


def _misplaced(place: Misplaced, time: datetime) -> Reading:
    return _none(place.tag, place.tag.address, time, place.quality, place.problem, place.hint)


def _none(tag: Tag, told: str, time: datetime, quality: Quality, problem: str, hint: str) -> Reading:
    return Reading(tag=tag.id, unit=tag.unit, time=time, quality=quality, problem=problem, hint=hint, address=told)


def _fences(options: DeviceOptions, units: Iterable[int]) -> Iterator[Span]:
    """Forbidden ranges as spans that no request may hold; one address of each is enough to stop before it."""
    for text in options.forbidden:
        table, first, _last = parse_range(text)
        yield from (Span(unit, table, first, first + 1) for unit in units)


def _decoder(address: Address, order: ByteOrder, bits: dict[int, str]) -> Callable[[bytes], Value]:
    if address.table.of_bits:
        return lambda data: data != b"\0"
    if bits:
        return lambda data: _set_bits(int(decode(data, address, order)), bits)
    return decoder(address, order)


def _set_bits(number: int, names: dict[int, str]) -> str:
    """The names of the bits that are set, lowest first; one without a name is told by its number."""
    found = [names.get(at, f"bit {at}") for at in range(number.bit_length()) if number >> at & 1]
    return ", ".join(found) or "none"
