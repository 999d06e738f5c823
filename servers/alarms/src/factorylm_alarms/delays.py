"""What an on-delay or an off-delay would have done to this log, exactly.

On-delay: an alarm is annunciated when its condition has stayed active for `on`. Off-delay: it clears when the condition
has stayed normal for `off`; a return to active, however short, starts that time anew. Intervals joined by gaps shorter
than `off` therefore form one group, and a group is annunciated once, from its first interval that lasts `on` or longer.
An activation without a return counts as long, and lasts until the next activation of its alarm.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from factorylm_alarms.arrays import Codes, Flags, Positions, Times
from factorylm_alarms.pairing import Activations, Ending

Tie = Literal["clear", "keep"]
FOREVER = np.iinfo(np.int64).max // 4
CURVE_S = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600)


@dataclass(frozen=True, kw_only=True)
class DelayEffect:
    """`delayed`: annunciations shown later by the on-delay; `never_shown`: activations that led to none at all.

    The rest of `before` - `after` are re-activations that fall into an annunciation still standing.
    """

    before: int
    after: int
    delayed: int
    never_shown: int
    joined: int
    unclosed: int


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Activations grouped by alarm, in time order within each. `gap` is FOREVER before an alarm's first."""

    alarm: Codes
    start: Times
    duration: Times
    gap: Times
    closed: Flags
    order: Positions


def intervals_of(activations: Activations, alarm: int | None = None) -> Intervals:
    """The intervals of one alarm or of all."""
    if alarm is None:
        small = activations.alarm.astype(np.uint16) if activations.alarm.max(initial=0) < 65_536 else activations.alarm
        order = np.argsort(small, kind="stable")
    else:
        order = np.flatnonzero(activations.alarm == alarm)
    who, start, end = activations.alarm[order], activations.start[order], activations.end[order]
    closed = activations.ending[order] == Ending.RETURNED
    gap = np.full(len(order), FOREVER, np.int64)
    gap[1:] = np.where(who[1:] == who[:-1], start[1:] - end[:-1], FOREVER)
    return Intervals(
        alarm=who,
        start=start,
        duration=np.where(closed, end - start, FOREVER),
        gap=gap,
        closed=closed,
        order=order,
    )


def simulate(intervals: Intervals, *, on_ms: int, off_ms: int, tie: Tie = "clear") -> DelayEffect:
    """The effect of both delays together. `tie` decides what a gap equal to the off-delay does."""
    before = len(intervals.start)
    if not before:
        return DelayEffect(before=0, after=0, delayed=0, never_shown=0, joined=0, unclosed=0)
    shown = shown_intervals(intervals, on_ms=on_ms, off_ms=off_ms, tie=tie)
    group = np.cumsum(_breaks(intervals, off_ms, tie)) - 1
    long = intervals.duration >= on_ms
    first_long = np.full(int(group[-1]) + 1, before, np.int64)
    np.minimum.at(first_long, group[long], np.flatnonzero(long))
    never = int((np.arange(before) < first_long[group]).sum())
    after = int(shown.sum())
    return DelayEffect(
        before=before,
        after=after,
        delayed=after if on_ms > 0 else 0,
        never_shown=never,
        joined=before - after - never,
        unclosed=int((~intervals.closed).sum()),
    )


def shown_intervals(intervals: Intervals, *, on_ms: int, off_ms: int, tie: Tie = "clear") -> Flags:
    """Which intervals would have been announced: the first long one of each group."""
    group = np.cumsum(_breaks(intervals, off_ms, tie)) - 1
    long = np.flatnonzero(intervals.duration >= on_ms)
    shown = np.zeros(len(intervals.start), bool)
    if len(long):
        leads = np.concatenate(([True], group[long][1:] != group[long][:-1]))
        shown[long[leads]] = True
    return shown


def _breaks(intervals: Intervals, off_ms: int, tie: Tie) -> Flags:
    """Where an annunciation, if there was one, has cleared before the interval begins."""
    if tie == "keep":
        return intervals.gap > off_ms if off_ms > 0 else np.ones(len(intervals.gap), bool)
    return intervals.gap >= off_ms


def delay_curve(intervals: Intervals, delays_s: tuple[int, ...] = CURVE_S) -> list[tuple[int, int, int]]:
    """(delay in s, annunciations left with it as on-delay, as off-delay with tie clear)."""
    limits = np.array(delays_s, np.int64) * 1000
    on, off = _at_least(intervals.duration, limits), _at_least(intervals.gap, limits)
    return list(zip(delays_s, on, off, strict=True))


def _at_least(values: Times, limits: Times) -> list[int]:
    """How many values reach each of the ascending limits."""
    reached = np.bincount(np.searchsorted(limits, values, side="right"), minlength=len(limits) + 1)
    counts: list[int] = (len(values) - np.cumsum(reached)[:-1]).tolist()
    return counts
