"""The figures ISA-18.2 clause 16, IEC 62682 and EEMUA 191 ask for, from activations alone.

Each function is one definition; the words printed beside the number stand in DEFINITION_TEXTS.
"""

from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Counts, Doubles, Times
from factorylm_alarms.delays import Intervals
from factorylm_alarms.floods import WINDOW_MS, Windows
from factorylm_alarms.pairing import Activations, Ending

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
STALE_MS = DAY_MS
FLEETING_MS = 10_000
CHATTER_MS = 60_000
CHATTER_COUNT = 3
MIN_GAPS = 10
"""Gaps needed before a chattering index says anything: one gap of 10 s alone would give 0.1."""
INDEX_LIMIT = 0.05

DEFINITION_TEXTS = {
    "activation": "a row that says an alarm came; returns, acknowledgements and events are not counted",
    "alarms": "distinct alarms (source + condition + area) with at least one activation",
    "hours": "from the first to the last readable row of any class",
    "per_hour": "activations divided by hours",
    "peak_10min": "largest count in a 10-min clock bucket; peak_10min_sliding is the largest n(t) in (t-600 s, t]",
    "top": "share of all activations",
    "chattering": "3rd activation of one alarm at most 60 s after the 1st; the index is the mean of 1/gap (gaps of 1 s "
    "or more, at least 10 of them), 0.05 being 3 a minute",
    "fleeting": "returned at most 10 s after it came",
    "stale": "annunciated longer than 24 h. low: closed by its return; high: adds those whose return is missing for "
    "longer than 24 h; point: adds for those the alarm's own share of long activations",
    "acknowledge": "from the first activation since the last acknowledgement to the first acknowledgement",
    "priority_pct": "share of activations that have a priority",
}


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Counts by the clock; `per_day_worst_10min` is one value a day."""

    per_hour: float | None
    mean_10min: float | None
    per_day: float | None
    peak_10min: int
    peak_10min_sliding: int
    peak_hour: int
    peak_day: int
    share_over_10: float | None
    mean_daily_worst_10min: float | None
    histogram: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Chatter:
    """One alarm that repeats: `triggers` counts third activations within 60 s."""

    alarm: int
    triggers: int
    index: float | None
    gaps: int


@dataclass(frozen=True, kw_only=True)
class Stale:
    """How many activations stood longer than 24 h, between what is proven and what is possible."""

    low: int
    point: float
    high: int


def rates(time: Times, windows: Windows, first_ms: int, last_ms: int) -> Rates:
    """Rates over the span of the log. A log of a single instant has counts but no rates."""
    bucket, counts = windows.bucket, windows.count
    spans = (last_ms // WINDOW_MS) - (first_ms // WINDOW_MS) + 1
    hours = (last_ms - first_ms) / HOUR_MS
    days, inverse = np.unique(bucket * WINDOW_MS // DAY_MS, return_inverse=True)
    worst = np.zeros(len(days), np.int64)
    np.maximum.at(worst, inverse, counts)
    all_days = last_ms // DAY_MS - first_ms // DAY_MS + 1
    empty = spans - len(counts)
    return Rates(
        per_hour=len(time) / hours if hours else None,
        mean_10min=len(time) / (hours * 6) if hours else None,
        per_day=len(time) / (hours / 24) if hours else None,
        peak_10min=int(counts.max(initial=0)),
        peak_10min_sliding=int(windows.inside.max(initial=0)),
        peak_hour=_peak(windows, HOUR_MS),
        peak_day=_peak(windows, DAY_MS),
        share_over_10=float((counts > 10).sum()) / spans,
        mean_daily_worst_10min=float(worst.sum()) / all_days,
        histogram=_histogram(counts, empty),
    )


def _peak(windows: Windows, width_ms: int) -> int:
    """The largest count in a clock interval of whole 10-min buckets."""
    if not len(windows.bucket):
        return 0
    edges = np.flatnonzero(np.diff(windows.bucket // (width_ms // WINDOW_MS))) + 1
    return int(np.add.reduceat(windows.count, np.concatenate(([0], edges))).max())


HISTOGRAM_EDGES = (0, 1, 2, 3, 5, 10, 20, 50, 100)


def _histogram(counts: Counts, empty: int) -> tuple[int, ...]:
    """10-min buckets with 0, 1, 2, 3-4, 5-9, 10-19, 20-49, 50-99, 100 and more."""
    found = np.bincount(np.searchsorted(HISTOGRAM_EDGES, counts, side="right") - 1, minlength=len(HISTOGRAM_EDGES))
    found[0] += empty
    return tuple(found.tolist())


def ranking(activations: Activations, names: list[str]) -> list[tuple[int, int]]:
    """(alarm, activations), the most frequent first, equal ones by name."""
    counts = np.bincount(activations.alarm, minlength=len(names))
    order = sorted(range(len(names)), key=lambda alarm: (-counts[alarm], names[alarm]))
    return [(int(alarm), int(counts[alarm])) for alarm in order if counts[alarm]]


def chattering(intervals: Intervals) -> list[Chatter]:
    """Alarms that trigger the 3-in-60-s screen or exceed the index, the worst first."""
    if len(intervals.alarm) < 2:
        return []
    triggers = trigger_counts(intervals)
    index, gaps = chatter_index(intervals)
    over = (index >= INDEX_LIMIT) & (gaps >= MIN_GAPS)
    found = [
        Chatter(
            alarm=int(alarm),
            triggers=int(triggers[alarm]),
            index=float(index[alarm]) if gaps[alarm] >= MIN_GAPS else None,
            gaps=int(gaps[alarm]),
        )
        for alarm in np.flatnonzero((triggers > 0) | over)
    ]
    return sorted(found, key=lambda one: (-one.triggers, -(one.index or 0.0), one.alarm))


def trigger_counts(intervals: Intervals, *, inclusive: bool = True) -> Counts:
    """For each alarm, how often an activation was the third within 60 s."""
    who, start, ahead = intervals.alarm, intervals.start, CHATTER_COUNT - 1
    reach = start[ahead:] - start[:-ahead] if len(who) > ahead else np.zeros(0, np.int64)
    near = (reach <= CHATTER_MS if inclusive else reach < CHATTER_MS) & (who[ahead:] == who[: len(reach)])
    return np.bincount(who[ahead:][near], minlength=int(who.max(initial=0)) + 1)


def chatter_index(intervals: Intervals) -> tuple[Doubles, Counts]:
    """(mean of 1/gap in 1/s, number of gaps) of each alarm; gaps below 1 s count as 1 s (Kondaveeti 2010)."""
    who, start = intervals.alarm, intervals.start
    same = who[1:] == who[:-1]
    gap_s = np.maximum((start[1:] - start[:-1])[same] / 1000.0, 1.0)
    size = int(who.max(initial=0)) + 1
    gaps = np.bincount(who[1:][same], minlength=size)
    sums = np.bincount(who[1:][same], weights=1.0 / gap_s, minlength=size)
    return np.divide(sums, gaps, out=np.zeros(size), where=gaps > 0), gaps


def fleeting(intervals: Intervals, limit_ms: int = FLEETING_MS) -> list[tuple[int, int, float]]:
    """(alarm, fleeting activations, their share of the alarm's), the most first."""
    size = int(intervals.alarm.max(initial=0)) + 1
    short = np.bincount(intervals.alarm[intervals.closed & (intervals.duration <= limit_ms)], minlength=size)
    counts = np.bincount(intervals.alarm, minlength=size)
    order = np.lexsort((np.arange(size), -short))
    return [(int(a), int(short[a]), float(short[a] / counts[a])) for a in order if short[a]]


def stale(activations: Activations) -> Stale:
    """Bounds and estimate; the true number lies between them if only returns are missing."""
    long = (activations.end - activations.start) > STALE_MS
    returned = activations.ending == Ending.RETURNED
    low, unsure = int((long & returned).sum()), long & ~returned
    size = int(activations.alarm.max(initial=0)) + 1
    closed = np.bincount(activations.alarm[returned], minlength=size)
    closed_long = np.bincount(activations.alarm[returned & long], minlength=size)
    overall = low / max(1, int(returned.sum()))
    share = (closed_long + overall) / (closed + 1)  # the alarm's own share, drawn to the overall one by one sighting
    return Stale(
        low=low,
        point=low + float(share[activations.alarm[unsure]].sum()),
        high=low + int(unsure.sum()),
    )


def stale_per_alarm(activations: Activations) -> list[tuple[int, int, int]]:
    """(alarm, proven, possible) for every alarm that may have been stale."""
    long = (activations.end - activations.start) > STALE_MS
    returned = activations.ending == Ending.RETURNED
    size = int(activations.alarm.max(initial=0)) + 1
    low = np.bincount(activations.alarm[long & returned], minlength=size)
    high = np.bincount(activations.alarm[long], minlength=size)
    return [(int(a), int(low[a]), int(high[a])) for a in np.lexsort((np.arange(size), -high, -low)) if high[a]]


def quantiles(values: Times, shares: tuple[float, ...] = (0.5, 0.9, 0.99)) -> tuple[float, ...] | None:
    """Quantiles in seconds; None of nothing."""
    return tuple(float(value) / 1000 for value in np.quantile(values, shares)) if len(values) else None


def heat_map(windows: Windows) -> Counts:
    """Activations by weekday (Monday first) and hour."""
    hours = windows.bucket // (HOUR_MS // WINDOW_MS)
    weekday, hour = (hours // 24 + 3) % 7, hours % 24  # 1970-01-01 was a Thursday
    return np.bincount(weekday * 24 + hour, weights=windows.count, minlength=168).astype(np.int64).reshape(7, 24)
