"""From what is wanted to the fewest packets that bring it. Pure.

A packet has room for so many bytes of requests and so many of answers. What may be packed comes in two sorts:
single values, which must stay whole, and runs of neighbouring array elements, which may be cut anywhere between
elements. Single values are packed first-fit by decreasing size; runs then take the first place they fit into
whole. Where that needs more packets than the bytes alone would, other plans are made (long names beside long
values, wider gaps bridged, runs cut to fill the packets), and the smallest wins.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from factorylm_enip import cip
from factorylm_enip.cip import Service

# a service in a batch: its offset, then service, path length and element count; and its reply header
_REQUEST_OVERHEAD = 2 + 1 + 1 + 2
_REPLY_OVERHEAD = 2 + 4
# the batch itself: service, path and count; and the reply header and count
_BATCH_REQUEST = 1 + len(cip.MULTIPLE_PATH) + 2
_BATCH_REPLY = 4 + 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """One value to bring: a place in an array, or (without `element`) a value of its own.

    `size` is the element's; `prefix` the bytes of its type in the answer (2, structures 4).
    """

    segments: bytes
    size: int
    element: int | None = None
    prefix: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One read service: `count` elements from `first`; which wants (by index) it answers, and at which places."""

    segments: bytes
    size: int
    prefix: int
    first: int | None
    count: int
    wants: tuple[int, ...]
    places: tuple[int, ...]
    request: bytes = b""  # the service as it is sent

    @property
    def path(self) -> bytes:
        """The request path with its length."""
        if self.first is None:
            return cip.path(self.segments)
        return cip.path(self.segments + cip.member(self.first))

    def sent_for(self, numbers: Sequence[int]) -> "Part":
        """Ready to be sent, with each want's number looked up in `numbers`."""
        request = bytes((Service.READ_TAG,)) + self.path + self.count.to_bytes(2, "little")
        return replace(self, wants=tuple(numbers[want] for want in self.wants), request=request)

    @property
    def reply_bytes(self) -> int:
        return _REPLY_OVERHEAD + self.prefix + self.size * self.count

    @property
    def request_bytes(self) -> int:
        return _REQUEST_OVERHEAD + len(self.segments) + _index_bytes(self.first)


Packet = tuple[Part, ...]
_Pack = Callable[[Sequence[Part], int], list["_Bin"]]


def plan(wants: Sequence[Want], room: int) -> list[Packet]:
    """The packets, each of at most `room` bytes either way; what is larger than a packet stands alone."""
    parts, runs = _sorted_out(wants)
    least = _least(parts, runs, wants, room)
    best: list[Packet] | None = None
    for bridged, cut, pack in _ways(parts, runs, room):
        joined = [part for run in runs for part in _joined(run, wants, bridged, room)]
        packets = _packed(pack, parts, joined, wants, room, cut=cut)
        if best is None or len(packets) < len(best):
            best = packets
        if len(best) <= least:
            break
    return best or []


def _ways(parts: Sequence[Part], runs: Sequence[object], room: int) -> Iterator[tuple[int, bool, _Pack]]:
    """What to try, the plan with the fewest bytes first: gaps bridged up to so many bytes, runs cut, packing."""
    gaps = (0, 16, 32, 64, room) if runs else (0,)
    return product(gaps, (False, True) if runs else (False,), (_first_fit, _balanced) if parts else (_first_fit,))


def _least(parts: Iterable[Part], runs: Iterable[Sequence[int]], wants: Sequence[Want], room: int) -> int:
    """No plan needs fewer packets: so many bytes there are, even if every run were one service without gaps."""
    request = sum(part.request_bytes for part in parts)
    reply = sum(part.reply_bytes for part in parts)
    reply += sum(wants[number].size for run in runs for number in run)
    return max(-(-request // room), -(-reply // room), 1)


def _index_bytes(first: int | None) -> int:
    if first is None:
        return 0
    return 2 if first <= 0xFF else 4 if first <= 0xFFFF else 6


# -- what belongs together -------------------------------------------------------------------------


def _sorted_out(wants: Sequence[Want]) -> tuple[list[Part], list[list[int]]]:
    """Single values as parts, each once; and for each array the wanted elements in order."""
    single: dict[bytes, list[int]] = {}
    arrays: dict[tuple[bytes, int, int], list[int]] = {}
    for number, want in enumerate(wants):
        if want.element is None:
            single.setdefault(want.segments, []).append(number)
        else:
            arrays.setdefault((want.segments, want.size, want.prefix), []).append(number)
    parts = [_single(wants[numbers[0]], numbers) for numbers in single.values()]
    runs = [sorted(numbers, key=lambda n: wants[n].element or 0) for numbers in arrays.values()]
    return parts, runs


def _single(want: Want, numbers: Sequence[int]) -> Part:
    return Part(
        segments=want.segments,
        size=want.size,
        prefix=want.prefix,
        first=None,
        count=1,
        wants=tuple(numbers),
        places=(0,) * len(numbers),
    )


def _joined(run: Sequence[int], wants: Sequence[Want], bridged: int, room: int) -> list[Part]:
    """Neighbours as one part; a gap is bridged where that costs no byte, and up to `bridged` bytes."""
    parts: list[list[int]] = []
    for number in run:
        if parts and _bridges(wants[parts[-1][0]], wants[parts[-1][-1]], wants[number], bridged, room):
            parts[-1].append(number)
        else:
            parts.append([number])
    return [_run(numbers, wants) for numbers in parts]


def _bridges(first: Want, last: Want, new: Want, bridged: int, room: int) -> bool:
    assert first.element is not None
    assert last.element is not None
    assert new.element is not None
    gap = (new.element - last.element - 1) * new.size
    if gap <= _REPLY_OVERHEAD + new.prefix:
        return True
    return gap <= bridged and (new.element + 1 - first.element) * new.size + 4 + new.prefix <= room


def _run(numbers: Sequence[int], wants: Sequence[Want]) -> Part:
    first = wants[numbers[0]]
    elements = [wants[number].element or 0 for number in numbers]
    return Part(
        segments=first.segments,
        size=first.size,
        prefix=first.prefix,
        first=elements[0],
        count=elements[-1] - elements[0] + 1,
        wants=tuple(numbers),
        places=tuple(element - elements[0] for element in elements),
    )


# -- packing ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Bin:
    request_left: int
    reply_left: int
    parts: list[Part] = field(default_factory=list)

    def takes(self, part: Part) -> bool:
        if part.request_bytes > self.request_left or part.reply_bytes > self.reply_left:
            return False
        self.request_left -= part.request_bytes
        self.reply_left -= part.reply_bytes
        self.parts.append(part)
        return True


def _packed(
    pack: _Pack,
    parts: Sequence[Part],
    runs: Sequence[Part],
    wants: Sequence[Want],
    room: int,
    *,
    cut: bool,
) -> list[Packet]:
    alone: list[Packet] = [(part,) for part in parts if not _fits_batch(part, room)]
    bins = pack([part for part in parts if _fits_batch(part, room)], room)
    for run in sorted(runs, key=lambda p: p.reply_bytes, reverse=True):
        whole, rest = _full_packets(run, wants, room)
        alone += whole
        if rest is not None:
            _place(rest, bins, wants, room, cut=cut)
    return alone + [tuple(b.parts) for b in bins]


def _fits_batch(part: Part, room: int) -> bool:
    return part.reply_bytes <= room - _BATCH_REPLY and part.request_bytes <= room - _BATCH_REQUEST


def _first_fit(parts: Sequence[Part], room: int) -> list[_Bin]:
    bins: list[_Bin] = []
    with_place: list[_Bin] = []
    least_request = min((part.request_bytes for part in parts), default=0)
    least_reply = min((part.reply_bytes for part in parts), default=0)
    for part in sorted(parts, key=lambda p: (p.reply_bytes, p.request_bytes), reverse=True):
        if not any(candidate.takes(part) for candidate in with_place):
            with_place.append(_new_bin(bins, room))
            with_place[-1].takes(part)
        with_place = [b for b in with_place if b.request_left >= least_request and b.reply_left >= least_reply]
    return bins


def _balanced(parts: Sequence[Part], room: int) -> list[_Bin]:
    """Long requests with short answers beside short requests with long answers."""
    left = deque(sorted(parts, key=lambda p: p.reply_bytes - p.request_bytes))
    bins: list[_Bin] = []
    while left:
        candidate = _new_bin(bins, room)
        while left:
            wanted = -1 if candidate.reply_left > candidate.request_left else 0
            end = next((end for end in (wanted, -1 - wanted) if candidate.takes(left[end])), None)
            if end is None:
                break
            del left[end]
    return bins


def _new_bin(bins: list[_Bin], room: int) -> _Bin:
    bins.append(_Bin(room - _BATCH_REQUEST, room - _BATCH_REPLY))
    return bins[-1]


def _full_packets(run: Part, wants: Sequence[Want], room: int) -> tuple[list[Packet], Part | None]:
    """Packets filled by this run alone, and what is left to share one."""
    packets: list[Packet] = []
    most = max((room - 4 - run.prefix) // run.size, 1)
    left: Part | None = run
    while left is not None and (left.count > most or not _fits_batch(left, room)):
        piece, left = _cut(left, min(most, left.count), wants)
        packets.append((piece,))
    return packets, left


def _place(run: Part, bins: list[_Bin], wants: Sequence[Want], room: int, *, cut: bool) -> None:
    left: Part | None = run
    for candidate in bins:
        if candidate.takes(run):
            return
    for candidate in bins if cut else ():
        assert left is not None
        free = (candidate.reply_left - _REPLY_OVERHEAD - left.prefix) // left.size
        if free >= left.count and candidate.takes(left):
            return
        if 0 < free < left.count and candidate.request_left >= left.request_bytes:
            piece, left = _cut(left, free, wants)
            candidate.takes(piece)
            if left is None:
                return
    assert left is not None
    _new_bin(bins, room).takes(left)


def _cut(run: Part, count: int, wants: Sequence[Want]) -> tuple[Part, Part | None]:
    """The first `count` elements, and from the next wanted one on the rest."""
    assert run.first is not None
    end = run.first + count
    inside = [n for n in run.wants if (wants[n].element or 0) < end]
    outside = run.wants[len(inside) :]
    return _run(inside, wants), _run(outside, wants) if outside else None
