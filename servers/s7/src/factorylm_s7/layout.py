"""Tags on the one side, items of read jobs on the other: what to ask, and whose the answer is. Pure."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from operator import is_
from typing import NamedTuple, TypeAlias

from factorylm_schema import DeviceError, Quality, Reading, Tag, Value
from factorylm_skill.engineering import to_reading

from factorylm_s7.address import Address, parse
from factorylm_s7.pdu import Refusal
from factorylm_s7.plan import Budget, Range, alone, pieces_of, plan
from factorylm_s7.refusals import meaning
from factorylm_s7.values import decode


@dataclass(frozen=True)
class Place:
    """A tag and where its bytes are."""

    tag: Tag
    address: Address
    range: Range
    told: str  # the canonical address


@dataclass(frozen=True)
class Misplaced:
    """A tag whose address is none."""

    tag: Tag
    problem: str


Found: TypeAlias = bytes | Refusal | DeviceError


def place_of(tag: Tag) -> Place | Misplaced:
    """Where `tag` is."""
    try:
        address = parse(tag.address, tag.type)
    except ValueError as error:
        return Misplaced(tag, str(error))
    return Place(tag, address, range_of(address), str(address))


def range_of(address: Address) -> Range:
    """The bytes of a value, or the number of a timer or counter."""
    area = address.area
    if area.is_counted:
        return Range(area.code, 0, address.start, address.start + 1, 2)
    return Range(area.code, address.block, address.start, address.start + address.size)


Answers: TypeAlias = Sequence[Sequence[bytes | Refusal] | DeviceError]  # by job, then by item


class Layout:
    """The jobs for some tags, and the way back from their answers.

    `refused` are ranges that were refused before: each stays an item of its own, so that a bad tag costs no other.
    """

    def __init__(self, tags: Sequence[Tag], budget: Budget, refused: AbstractSet[Range]) -> None:
        self.tags = list(tags)
        self.budget = budget
        self.places = [place_of(tag) for tag in tags]
        self.ranges = list(dict.fromkeys(place.range for place in self.places if isinstance(place, Place)))
        self._asked = frozenset(self.ranges)
        self.refused = self._asked & refused
        self.questions = Questions(self.ranges, self.refused, budget)
        index = {each: at for at, each in enumerate(self.ranges)}
        self._at = [index[place.range] if isinstance(place, Place) else -1 for place in self.places]

    def fits(self, tags: Sequence[Tag], budget: Budget, refused: AbstractSet[Range]) -> bool:
        """Made for just this: the same tags are read again and again."""
        same = len(tags) == len(self.tags) and all(map(is_, tags, self.tags))
        return same and budget == self.budget and self.refused == self._asked & refused

    def readings(self, found: Sequence[Found], time: datetime) -> list[Reading]:
        """One reading per tag, out of what was found for each of `ranges`."""
        return [
            no_address(place, time) if isinstance(place, Misplaced) else reading_of(place, found[at], time)
            for place, at in zip(self.places, self._at, strict=True)
        ]


class Questions:
    """Ranges as jobs: neighbours share items, but each of those `apart` is an item of its own."""

    def __init__(self, ranges: Sequence[Range], apart: AbstractSet[Range], budget: Budget) -> None:
        self.ranges = ranges
        self.budget = budget
        asked = [alone(each) if each in apart else each for each in ranges]
        self.jobs = plan(asked, budget)
        items = sorted((item, job, index) for job, parts in enumerate(self.jobs) for index, item in enumerate(parts))
        self._shared = [entry for entry in items if not entry[0].alone]
        self._starts = [_start(item) for item, _, _ in self._shared]
        self._own = {item: (job, index) for item, job, index in items if item.alone}
        self._ways = [[self._spot(piece) for piece in pieces_of(each, budget)] for each in asked]
        self._spots = [way[0] for way in self._ways]
        self._in_parts = any(len(way) > 1 for way in self._ways)

    def found(self, answers: Answers) -> list[Found]:
        """Each range's bytes, or why there are none."""
        if is_clean(answers) and not self._in_parts:
            # A thousand tags, nearly always all well: this line is most of what they cost beside the wire
            return [answers[job][item][start:end] for job, item, start, end in self._spots]  # type: ignore[index]
        return [_joined([_cut_out(spot, answers) for spot in way]) for way in self._ways]

    def suspects(self, answers: Answers) -> list[int]:
        """Which of the ranges may have been refused only for a neighbour in the same item."""
        refused = {
            (job, index): self.jobs[job][index]
            for job, items in enumerate(answers)
            if not isinstance(items, DeviceError)
            for index, answer in enumerate(items)
            if isinstance(answer, Refusal) and answer.is_of_an_item
        }
        return [
            at
            for at, (each, way) in enumerate(zip(self.ranges, self._ways, strict=True))
            if any(refused.get((spot.job, spot.item), each) not in (each, alone(each)) for spot in way)
        ]

    def _spot(self, piece: Range) -> "_Spot":
        """Where the bytes of `piece` stand in the answers."""
        if piece.alone:
            return _Spot(*self._own[piece], 0, piece.size)
        at = bisect_right(self._starts, _start(piece)) - 1
        while self._shared[at][0].end < piece.end:  # an item that begins closer by may end too early
            at -= 1
        item, job, index = self._shared[at]
        begin = (piece.start - item.start) * piece.unit
        return _Spot(job, index, begin, begin + piece.size)


class _Spot(NamedTuple):
    """Bytes `begin` to `end` of one item's answer."""

    job: int
    item: int
    begin: int
    end: int


def _start(range_: Range) -> tuple[int, int, int]:
    return range_.area, range_.block, range_.start


def is_clean(answers: Answers) -> bool:
    """Every job was answered and every item granted."""
    return not any(isinstance(items, DeviceError) or Refusal in map(type, items) for items in answers)


def _joined(parts: Sequence[Found]) -> Found:
    """The bytes of all parts, or the first reason why there are none."""
    bad = next((part for part in parts if not isinstance(part, bytes)), None)
    return bad or b"".join(part for part in parts if isinstance(part, bytes))


def _cut_out(spot: _Spot, answers: Answers) -> Found:
    job, index, begin, end = spot
    items = answers[job]
    if isinstance(items, DeviceError):
        return items
    answer = items[index]
    return answer if isinstance(answer, Refusal) else answer[begin:end]


# -- from bytes to readings ---------------------------------------------------------------------------------


def reading_of(place: Place, answer: Found, time: datetime) -> Reading:
    """The reading of one tag."""
    if isinstance(answer, Refusal):
        return _none(place.tag, time, *meaning(answer), address=place.told)
    if isinstance(answer, DeviceError):
        return _none(place.tag, time, answer.quality, answer.message, answer.hint, address=place.told)
    return _decoded(place, answer, time)


def no_address(place: Misplaced, time: datetime) -> Reading:
    """The reading of a tag that nothing was asked for."""
    hint = "Write an address such as %DB1.DBD4:REAL"
    return _none(place.tag, time, Quality.BadNodeIdInvalid, place.problem, hint)


def _decoded(place: Place, data: bytes, time: datetime) -> Reading:
    address, tag = place.address, place.tag
    try:
        value = decode(address.type, data, bit=address.bit, length=address.length, count=address.count)
    except ValueError as error:
        hint = f"Check that {place.told} is what the block holds there; offsets move when a block is changed"
        return _none(tag, time, Quality.BadDecodingError, str(error), hint, address=place.told)
    if isinstance(value, list):
        return _array(place, value, data, time)
    return to_reading(tag, value, time, address=place.told, raw=data.hex())


def _array(place: Place, values: Sequence[Value], data: bytes, time: datetime) -> Reading:
    """An array is one value: its elements as a JSON list. The first doubtful element makes it doubtful."""
    elements = [to_reading(place.tag, value, time) for value in values]
    doubtful = next((index for index, each in enumerate(elements) if not each.quality.is_good), None)
    shown = json.dumps([each.value for each in elements], separators=(",", ":"), ensure_ascii=False)
    reading = to_reading(place.tag.model_copy(update={"enum": {}}), shown, time, address=place.told, raw=data.hex())
    if doubtful is None:
        return reading
    why = elements[doubtful]
    quality = why.quality if why.quality.is_uncertain else Quality.UncertainSubNormal
    told = {"quality": quality, "problem": f"element {doubtful}: {why.problem}", "hint": why.hint}
    return reading.model_copy(update=told)


def _none(tag: Tag, time: datetime, quality: Quality, problem: str, hint: str, address: str = "") -> Reading:
    return Reading(
        tag=tag.id,
        unit=tag.unit,
        time=time,
        quality=quality,
        problem=problem,
        hint=hint,
        address=address or tag.address,
    )
