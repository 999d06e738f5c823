"""From what is wanted to the fewest requests that bring it, under the device's limits. Pure.

Every value comes whole from one request, so that its registers belong together. Within one table of one unit
the greedy plan is optimal: some request must bring the leftmost value; one that begins exactly there reaches
furthest, because no limit lets an earlier start reach further; so take all it can bring and go on with the rest.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import NamedTuple

from factorylm_modbus.address import Table
from factorylm_modbus.pdu import Request, read


class Span(NamedTuple):
    """Addresses `start` to `end` (not included) of one table of one unit."""

    unit: int
    table: Table
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many addresses."""
        return self.end - self.start

    def holds(self, other: "Span") -> bool:
        """`other` lies wholly inside."""
        return (
            self.unit == other.unit
            and self.table is other.table
            and self.start <= other.start
            and other.end <= self.end
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the device allows in one request."""

    max_registers: int = 125
    max_bits: int = 2000
    max_gap: int = 16
    one_request_per_tag: bool = False

    def most(self, table: Table) -> int:
        """The longest request of `table`."""
        return self.max_bits if table.of_bits else self.max_registers


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One request, and which of the wanted spans (by index) it brings."""

    span: Span
    wanted: tuple[int, ...]

    @property
    def request(self) -> Request:
        """What to send."""
        return read(self.span.unit, self.span.table, self.span.start, self.span.size)


def plan(wanted: Sequence[Span], limits: Limits, closed: Iterable[Span] = ()) -> list[Block]:
    """The fewest requests that bring every wanted span; none holds a whole `closed` span.

    A wanted span that itself holds a closed one is asked for alone: it may fail, but it spoils nothing.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    barriers = sorted(closed)
    blocks: list[Block] = []
    for (unit, table), group in groupby(order, key=lambda i: (wanted[i].unit, wanted[i].table)):
        walls = _Walls([b for b in barriers if b.unit == unit and b.table is table])
        if limits.one_request_per_tag:
            blocks += _alone(group, wanted)
            continue
        free, shut = _parted(group, wanted, walls)
        blocks += _greedy(free, wanted, limits, walls)
        blocks += _alone(shut, wanted)
    return blocks


def halves(block: Block, wanted: Sequence[Span]) -> tuple[Block, Block] | None:
    """A refused block in two, parted at its widest gap; None where it brings a single span."""
    inside = sorted(set(block.wanted), key=wanted.__getitem__)
    spans = sorted({wanted[i] for i in inside})
    if len(spans) < 2:
        return None
    covered = list(accumulate((span.end for span in spans), max))
    gaps = [(spans[at].start - covered[at - 1], -abs(2 * at - len(spans))) for at in range(1, len(spans))]
    cut = 1 + max(range(len(gaps)), key=gaps.__getitem__)
    first = [i for i in inside if wanted[i] < spans[cut]]
    return _block(first, wanted), _block([i for i in inside if wanted[i] >= spans[cut]], wanted)


def between(left: Block, right: Block) -> Span:
    """What no request may hold again, when both halves answer and the whole does not."""
    unit, table, start, end = left.span
    if end > right.span.start:
        return Span(unit, table, start, right.span.end)
    return Span(unit, table, end - 1, right.span.start + 1)


@dataclass(frozen=True)
class _Walls:
    """For each start, where a request must end at the latest because of the closed spans behind it."""

    closed: Sequence[Span]
    starts: list[int] = field(init=False)
    ends: list[int] = field(init=False)

    def __post_init__(self) -> None:
        ends: list[int] = []
        nearest = 1 << 17
        for span in reversed(self.closed):
            nearest = min(nearest, span.end - 1)
            ends.append(nearest)
        object.__setattr__(self, "starts", [span.start for span in self.closed])
        object.__setattr__(self, "ends", [*reversed(ends), 1 << 17])

    def behind(self, start: int) -> int:
        return self.ends[bisect_left(self.starts, start)]


def _parted(group: Iterable[int], wanted: Sequence[Span], walls: _Walls) -> tuple[list[int], list[int]]:
    """Those that can share a request, and those that hold a closed span themselves."""
    free: list[int] = []
    shut: list[int] = []
    for i in group:
        (free if wanted[i].end <= walls.behind(wanted[i].start) else shut).append(i)
    return free, shut


def _greedy(order: Sequence[int], wanted: Sequence[Span], limits: Limits, walls: _Walls) -> list[Block]:
    blocks = []
    for cluster in _clusters(order, wanted, limits.max_gap):
        pending = deque(cluster)
        while pending:
            taken, left = _filled(pending, wanted, limits, walls)
            pending.extendleft(reversed(left))
            blocks.append(_block(taken, wanted))
    return blocks


def _clusters(order: Sequence[int], wanted: Sequence[Span], max_gap: int) -> list[list[int]]:
    """Parted where more unwanted addresses lie between than a request may carry."""
    clusters: list[list[int]] = []
    covered = 0
    for i in order:
        if not clusters or wanted[i].start - covered > max_gap:
            clusters.append([])
        clusters[-1].append(i)
        covered = max(covered if len(clusters[-1]) > 1 else 0, wanted[i].end)
    return clusters


def _filled(pending: deque[int], wanted: Sequence[Span], limits: Limits, walls: _Walls) -> tuple[list[int], list[int]]:
    """All that a request from the leftmost wanted address can bring, and what it had to leave."""
    first = wanted[pending[0]]
    end = min(first.start + limits.most(first.table), walls.behind(first.start))
    taken: list[int] = []
    left: list[int] = []
    while pending and wanted[pending[0]].start < end:
        i = pending.popleft()
        (taken if wanted[i].end <= end else left).append(i)
    return taken, left


def _alone(group: Iterable[int], wanted: Sequence[Span]) -> list[Block]:
    return [_block(list(same), wanted) for _, same in groupby(group, key=wanted.__getitem__)]


def _block(taken: Sequence[int], wanted: Sequence[Span]) -> Block:
    first = wanted[taken[0]]
    end = max(wanted[i].end for i in taken)
    return Block(span=Span(first.unit, first.table, first.start, end), wanted=tuple(taken))
