"""Alarm floods under four declared definitions, because the standards fix none.

`fixed>=10`, `fixed>10`: 600-s buckets of the clock. A flood begins with the first bucket of at least (more than) 10
activations, lasts while buckets hold at least 5, and ends at the start of the first bucket with fewer.

`sliding>=10`, `sliding>10`: n(t) counts the activations in (t - 600 s, t], all of one instant together. A flood begins
when n(t) reaches 10 (passes 10); it starts with the earliest activation of that window that is not earlier than the end
of the flood before; it ends at the first instant with n(t) < 5, where activations leaving the window count as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Positions, Times

WINDOW_MS = 600_000
BEGIN = 10
END_BELOW = 5
DEFINITIONS = ("fixed>=10", "fixed>10", "sliding>=10", "sliding>10")
DEFAULT = "sliding>=10"
DEFINITION_TEXTS = {
    "fixed>=10": "10-min clock buckets; begins with a bucket of 10 or more, ends before the first with fewer than 5",
    "fixed>10": "10-min clock buckets; begins with a bucket of more than 10, ends before the first with fewer than 5",
    "sliding>=10": "10 or more in the last 10 min (t-600 s, t]; ends at the first instant with fewer than 5",
    "sliding>10": "more than 10 in the last 10 min (t-600 s, t]; ends at the first instant with fewer than 5",
}


@dataclass(frozen=True, kw_only=True)
class Flood:
    """`first` and `last` number its activations in the list given, `last` exclusive. The end may lie after the log."""

    start_ms: int
    end_ms: int
    alarms: int
    peak: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Windows:
    """n(t) at every activation (`inside`) and at the instant each leaves the window (`left`)."""

    inside: Positions
    left: Positions


def find_floods(time: Times, definition: str, windows: Windows | None = None) -> list[Flood]:
    """The floods of activations in time order; `windows_of(time)` may be handed in to be used more than once."""
    shape, _, least = definition.partition(">")
    begin = BEGIN if least.startswith("=") else BEGIN + 1
    if not len(time):
        return []
    return list(_fixed(time, begin) if shape == "fixed" else _sliding(time, begin, windows or windows_of(time)))


def bucket_counts(time: Times) -> tuple[Times, Positions]:
    """(numbers of the 10-min buckets that hold something, their counts)."""
    bucket = time // WINDOW_MS
    edges = np.concatenate(([0], np.flatnonzero(np.diff(bucket)) + 1)) if len(time) else np.zeros(0, np.int64)
    return bucket[edges], np.diff(edges, append=len(time))


def windows_of(time: Times) -> Windows:
    """Both counts, for activations in time order."""
    upto = np.searchsorted(time, time, side="right")
    return Windows(
        inside=upto - np.searchsorted(time, time - WINDOW_MS, side="right"),
        left=np.searchsorted(time, time + WINDOW_MS, side="right") - upto,
    )


def _fixed(time: Times, begin: int) -> Iterator[Flood]:
    bucket, counts = bucket_counts(time)
    firsts = np.cumsum(counts) - counts
    breaks = np.flatnonzero((np.diff(bucket) > 1) | (counts[1:] < END_BELOW)) + 1
    breaks = np.unique(np.concatenate((breaks, np.flatnonzero(counts < END_BELOW) + 1)))
    done = -1
    for at in np.flatnonzero(counts >= begin).tolist():
        if at <= done:
            continue
        place = int(breaks.searchsorted(at, side="right"))
        stop = int(breaks[place]) if place < len(breaks) else len(counts)
        done = stop - 1
        yield Flood(
            start_ms=int(bucket[at]) * WINDOW_MS,
            end_ms=(int(bucket[done]) + 1) * WINDOW_MS,
            alarms=int(counts[at:stop].sum()),
            peak=int(counts[at:stop].max()),
            first=int(firsts[at]),
            last=int(firsts[done] + counts[done]),
        )


def _sliding(time: Times, begin: int, windows: Windows) -> Iterator[Flood]:
    """n(t) grows only at activations and shrinks only 600 s after one: both kinds of instant are looked at."""
    inside = windows.inside
    begins, ends = np.flatnonzero(inside >= begin), np.flatnonzero(windows.left < END_BELOW)
    previous_last, at = 0, 0
    while at < len(begins):
        arrival = int(begins[at])
        first = int(time.searchsorted(time[arrival] - WINDOW_MS, side="right"))
        end_ms = int(time[ends[ends.searchsorted(first)]]) + WINDOW_MS
        first, last = max(first, previous_last), int(time.searchsorted(end_ms))
        yield Flood(
            start_ms=int(time[first]),
            end_ms=end_ms,
            alarms=last - first,
            peak=int(inside[arrival:last].max()),
            first=first,
            last=last,
        )
        previous_last, at = last, int(begins.searchsorted(time.searchsorted(end_ms, side="right")))


def ms_in_flood(floods: list[Flood], first_ms: int, last_ms: int) -> int:
    """Time in flood, clipped to the log."""
    return sum(max(0, min(flood.end_ms, last_ms) - max(flood.start_ms, first_ms)) for flood in floods)
