"""Alarm floods under four declared definitions, because the standards fix none.

`fixed>=10`, `fixed>10`: 600-s buckets of the clock. A flood begins with the first bucket of at least (more than) 10
activations, lasts while buckets hold at least 5, and ends at the start of the first bucket with fewer.

`sliding>=10`, `sliding>10`: n(t) counts the activations in (t - 600 s, t], all of one instant together. A flood begins
when n(t) reaches 10 (passes 10); it starts with the earliest activation of that window that is not earlier than the end
of the flood before; it ends at the first instant with n(t) < 5, where activations leaving the window count as well.
"""

from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Counts, Positions, Times

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
    """For every activation n(t) when it comes (`inside`), the first activation of that window, n(t) when it leaves.

    `bucket` and `count` are the 10-min buckets of the clock that hold something.
    """

    inside: Counts
    first: Positions
    left: Counts
    bucket: Times
    count: Counts


def find_floods(time: Times, definition: str, windows: Windows | None = None) -> list[Flood]:
    """The floods of activations in time order; `windows_of(time)` may be handed in to be used more than once."""
    shape, _, least = definition.partition(">")
    begin = BEGIN if least.startswith("=") else BEGIN + 1
    if not len(time):
        return []
    windows = windows or windows_of(time)
    return _fixed(time, begin, windows) if shape == "fixed" else _sliding(time, begin, windows)


def bucket_counts(time: Times) -> tuple[Times, Counts]:
    """(numbers of the 10-min buckets that hold something, their counts)."""
    bucket = time // WINDOW_MS
    edges = np.concatenate(([0], np.flatnonzero(np.diff(bucket)) + 1)) if len(time) else np.zeros(0, np.int64)
    return bucket[edges], np.diff(edges, append=len(time))


def windows_of(time: Times) -> Windows:
    """The counts for activations in time order."""
    last_of_instant = np.append(np.flatnonzero(np.diff(time)), len(time) - 1) + 1
    upto = np.repeat(last_of_instant, np.diff(last_of_instant, prepend=0)) if len(time) else np.zeros(0, np.int64)
    first = np.searchsorted(time, time - WINDOW_MS, side="right")
    bucket, count = bucket_counts(time)
    return Windows(
        bucket=bucket,
        count=count,
        inside=upto - first,
        first=first,
        left=np.searchsorted(time, time + WINDOW_MS, side="right") - upto,
    )


def _fixed(time: Times, begin: int, windows: Windows) -> list[Flood]:
    """A bucket that begins a flood belongs to the flood that ends at the next break; the first such bucket opens it."""
    bucket, counts = windows.bucket, windows.count
    firsts = np.cumsum(counts) - counts
    low = np.flatnonzero(counts < END_BELOW)
    breaks = np.unique(np.concatenate((low, low + 1, np.flatnonzero(np.diff(bucket) > 1) + 1, [len(counts)])))
    begins = np.flatnonzero(counts >= begin)
    opens, stops = _first_of_each(begins, breaks[np.searchsorted(breaks, begins, side="right")])
    ends = np.append(firsts, len(time))[stops]
    return _floods(
        start_ms=bucket[opens] * WINDOW_MS,
        end_ms=(bucket[stops - 1] + 1) * WINDOW_MS,
        peaks=_peaks(counts, opens, stops),
        first=firsts[opens],
        last=ends,
    )


def _sliding(time: Times, begin: int, windows: Windows) -> list[Flood]:
    """n(t) falls only when an activation leaves, 600 s after it came.

    An arrival belongs to the flood that ends with the first activation of its window, or a later one, whose leaving
    brings n(t) below 5. Arrivals with the same end are one flood; the earliest opens it.
    """
    ends = np.flatnonzero(windows.left < END_BELOW)
    begins = np.flatnonzero(windows.inside >= begin)
    opens, leavers = _first_of_each(begins, ends[np.searchsorted(ends, windows.first[begins])])
    end_ms = time[leavers] + WINDOW_MS
    last = np.searchsorted(time, end_ms)
    first = np.maximum(windows.first[opens], np.concatenate(([0], last[:-1])))
    return _floods(
        start_ms=time[first], end_ms=end_ms, peaks=_peaks(windows.inside, opens, last), first=first, last=last
    )


def _first_of_each(begins: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """(first begin, end) of each run of begins that share their end."""
    new = np.ones(len(begins), bool)
    new[1:] = ends[1:] != ends[:-1]
    return begins[new], ends[new]


def _peaks(values: Counts, firsts: Positions, lasts: Positions) -> Counts:
    """The largest value of each stretch; the stretches do not overlap."""
    if not len(firsts):
        return np.zeros(0, np.int64)
    cuts = np.stack((firsts, lasts), axis=1).ravel()
    peaks: Counts = np.maximum.reduceat(np.append(values, 0), cuts)[::2]
    return peaks


def _floods(*, start_ms: Times, end_ms: Times, peaks: Counts, first: Positions, last: Positions) -> list[Flood]:
    columns = (start_ms.tolist(), end_ms.tolist(), peaks.tolist(), first.tolist(), last.tolist())
    return [
        Flood(start_ms=start, end_ms=end, alarms=b - a, peak=peak, first=a, last=b)
        for start, end, peak, a, b in zip(*columns, strict=True)
    ]


def ms_in_flood(floods: list[Flood], first_ms: int, last_ms: int) -> int:
    """Time in flood, clipped to the log."""
    return sum(max(0, min(flood.end_ms, last_ms) - max(flood.start_ms, first_ms)) for flood in floods)
