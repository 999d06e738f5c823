"""From byte ranges to the fewest read jobs that one PDU's limits allow. Pure.

A job is one request with up to `items` items; an item is one stretch of one area. Neighbouring ranges are read
as one item when the gap between them costs less than an item of its own; a gap is always there to be read,
because an S7 area has no holes. A range is never split between jobs unless it alone is longer than a reply,
so that a value is always of one moment.

First the ranges are taken in the order of their addresses: each job takes as many as fit, and what fits is found
exactly. Where a lower bound says that fewer jobs might do, the items are spread over fewer jobs from anywhere;
what works out with the fewest jobs wins. (The general problem is bin packing, so that last step is a heuristic;
it reaches the true optimum in all but a few of a thousand small cases.)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

# Sizes on the wire, in bytes (S7 communication, job 0x04 "read var")
REQUEST_HEAD = 12  # header 10, function and item count 2
REQUEST_ITEM = 12
REPLY_HEAD = 14  # header 12, function and item count 2
REPLY_ITEM = 4  # return code, transport size, length
MOST_ITEMS = 20  # more than 20 are refused by S7-300 CPUs, and by python-snap7 itself


class Range(NamedTuple):
    """Bytes `start` to `end` (excluded) of one area; timers and counters count by number, two bytes each.

    One that is `alone` is an item of its own, so that it is refused for itself. (A tuple, because a thousand of
    them are hashed and compared at every read.)
    """

    area: int
    block: int
    start: int
    end: int
    unit: int = 1  # bytes per step of start and end
    alone: bool = False

    @property
    def size(self) -> int:
        """Bytes in a reply."""
        return (self.end - self.start) * self.unit


@dataclass(frozen=True)
class Budget:
    """What one job may hold, under the negotiated PDU."""

    pdu: int
    most_items: int = MOST_ITEMS

    @property
    def items(self) -> int:
        """Items in one job."""
        return max(1, min(self.most_items, (self.pdu - REQUEST_HEAD) // REQUEST_ITEM))

    @property
    def bytes(self) -> int:
        """Bytes of items in one reply, their heads included."""
        return self.pdu - REPLY_HEAD

    @property
    def longest(self) -> int:
        """Data bytes of a job's only item."""
        return self.bytes - REPLY_ITEM


Job = tuple[Range, ...]


def plan(ranges: Iterable[Range], budget: Budget) -> list[Job]:
    """The jobs that read all `ranges`; every range that fits into one reply lies in one item of one job."""
    pieces = _sorted_pieces(ranges, budget)
    in_order = list(_in_order(pieces, budget))
    for jobs in range(_fewest(pieces, budget), len(in_order)):
        if balanced := _balanced(pieces, jobs, budget):
            return balanced
    return in_order


def fewest(ranges: Iterable[Range], budget: Budget) -> int:
    """A bound that no packing can beat: jobs for all bytes, for all items that stay unmerged, and for all
    ranges that need more than half a reply."""
    return _fewest(_sorted_pieces(ranges, budget), budget)


def alone(range_: Range) -> Range:
    """The same range, as an item of its own."""
    return range_._replace(alone=True)


def pieces_of(range_: Range, budget: Budget) -> Iterator[Range]:
    """The range, cut to the length of a reply where it is longer."""
    step = budget.longest // range_.unit
    if range_.end - range_.start <= step:
        yield range_
        return
    for start in range(range_.start, range_.end, step):
        yield range_._replace(start=start, end=min(start + step, range_.end))


# -- what an item may be ------------------------------------------------------------------------------------

_APART = 1 << 30  # a gap that is never bridged: between two areas, and around what stays alone


def _sorted_pieces(ranges: Iterable[Range], budget: Budget) -> list[Range]:
    pieces = {piece for each in ranges for piece in pieces_of(each, budget)}
    return sorted(pieces, key=lambda piece: (piece.alone, piece))


def _fewest(pieces: Sequence[Range], budget: Budget) -> int:
    if not pieces:
        return 0
    items = _most_merged(pieces, len(pieces), _APART)
    data, gaps = sum(item.size for item in items), sorted(_gaps(items))
    jobs = max(1, _halves(pieces, budget))
    while not _could_fit(data, gaps, jobs, budget):
        jobs += 1
    return jobs


def _gap(one: Range, end: int, two: Range) -> int:
    """Bytes between `end`, where the item around `one` ends, and `two`."""
    if (one.area, one.block) != (two.area, two.block) or two.alone:
        return _APART
    return max(0, two.start - end) * one.unit


def _gaps(pieces: Sequence[Range]) -> list[int]:
    """The gap before each piece but the first, counted from the furthest end so far."""
    gaps, end = [], pieces[0].end
    for one, two in pairwise(pieces):
        gap = _gap(one, end, two)
        gaps.append(gap)
        end = max(end, two.end) if gap < _APART else two.end
    return gaps


def _even(size: int) -> int:
    """A reply fills every item but the last to whole words."""
    return size + (size & 1)


def _could_fit(data: int, gaps: Sequence[int], jobs: int, budget: Budget) -> bool:
    """Whether `jobs` replies have room for the data and for the smallest gaps that too few items leave bridged."""
    bridged = max(0, len(gaps) + 1 - jobs * budget.items)
    items = max(len(gaps) + 1 - bridged, jobs)
    return data + sum(gaps[:bridged]) + REPLY_ITEM * items <= jobs * budget.bytes


def _halves(pieces: Sequence[Range], budget: Budget) -> int:
    """How many pieces lie side by side of which no two fit into one reply."""
    count, last = 0, None
    for piece in pieces:
        if 2 * piece.size > budget.bytes and (last is None or _gap(last, last.end, piece) or last.end == piece.start):
            count, last = count + 1, piece
    return count


# -- packed in the order of addresses -----------------------------------------------------------------------


class _Way(NamedTuple):
    """One way to read what a job holds so far: its items, the reply's bytes, where the last item begins."""

    items: int
    size: int
    opened: int
    before: "_Way | None" = None


def _in_order(pieces: Sequence[Range], budget: Budget) -> Iterator[Job]:
    at = 0
    while at < len(pieces):
        end = pieces[at].end
        ways = best = [_Way(1, REPLY_ITEM + pieces[at].size, at)]
        while ways:
            best, at = ways, at + 1
            if at == len(pieces):
                break
            piece, gap = pieces[at], _gap(pieces[at - 1], end, pieces[at])
            growth = max(0, piece.end - end) * piece.unit if gap < _APART else _APART
            ways = _extended(ways, piece.size, growth, gap, at, budget)
            end = max(end, piece.end) if gap < _APART else piece.end
        yield tuple(_items(best[-1], pieces, at))[::-1]


def _extended(ways: list[_Way], size: int, growth: int, gap: int, at: int, budget: Budget) -> list[_Way]:
    """Each way once with the next piece joined to its last item, and once with the piece as a new item.

    Kept are the ways that fit and that save bytes for each item more.
    """
    longer = [_Way(way.items, way.size + growth, way.opened, way.before) for way in ways]
    if gap > REPLY_ITEM:  # a gap as short as an item's head is never dearer to read
        longer += [_Way(way.items + 1, _even(way.size) + REPLY_ITEM + size, at, way) for way in ways]
        longer.sort(key=_BY_ITEMS_AND_SIZE)
    kept: list[_Way] = []
    for way in longer:
        if way.size <= budget.bytes and way.items <= budget.items and (not kept or way.size < kept[-1].size):
            kept.append(way)
    return kept


_BY_ITEMS_AND_SIZE = itemgetter(0, 1)


def _items(way: _Way, pieces: Sequence[Range], end: int) -> Iterator[Range]:
    """The items of a way, last first; each around the pieces from where it was opened to where the next one was."""
    step: _Way | None = way
    while step is not None:
        inside = pieces[step.opened : end]
        yield inside[0]._replace(end=max(piece.end for piece in inside))
        end, step = step.opened, step.before


# -- packed to a number of jobs -----------------------------------------------------------------------------


def _balanced(pieces: Sequence[Range], jobs: int, budget: Budget) -> list[Job]:
    """`jobs` jobs of items from anywhere, or none if that does not work out.

    The smallest gaps are bridged until there are few enough items; the longest item goes first, each to the
    emptiest job (longest processing time rule: Graham 1969), which fills bytes and item places evenly.
    """
    items = _most_merged(pieces, jobs * budget.items, budget.longest)
    if len(items) > jobs * budget.items:
        return []
    filled: list[list[Range]] = [[] for _ in range(jobs)]
    emptiest = [(0, index) for index in range(jobs)]
    for item in sorted(items, key=lambda each: -each.size):
        used, index = heappop(emptiest)
        filled[index].append(item)
        if len(filled[index]) < budget.items:
            heappush(emptiest, (used + REPLY_ITEM + _even(item.size), index))
    if not all(_holds(job, budget) for job in filled):
        return []
    return [_odd_last(job) for job in filled]


def _most_merged(pieces: Sequence[Range], most: int, longest: int) -> list[Range]:
    """The pieces as about `most` items: joined across the smallest gaps, up to `longest` bytes an item."""
    gaps = _gaps(pieces)
    short = sum(gap <= REPLY_ITEM for gap in gaps)
    order = sorted(range(len(gaps)), key=gaps.__getitem__)
    joins = {index for index in order[: max(short, len(pieces) - most)] if gaps[index] < _APART}
    items = [pieces[0]]
    for index, piece in enumerate(pieces[1:]):
        last = items[-1]
        item = Range(last.area, last.block, last.start, max(last.end, piece.end), last.unit)
        if index in joins and item.size <= longest:
            items[-1] = item
        else:
            items.append(piece)
    return items


def _holds(job: Sequence[Range], budget: Budget) -> bool:
    """Whether the job fits, with an item of odd length last, where it needs no fill byte."""
    used = sum(REPLY_ITEM + _even(item.size) for item in job)
    return bool(job) and used - any(item.size & 1 for item in job) <= budget.bytes


def _odd_last(job: Sequence[Range]) -> Job:
    return tuple(sorted(job, key=lambda each: each.size & 1))
