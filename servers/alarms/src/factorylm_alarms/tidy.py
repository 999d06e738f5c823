"""Putting rows in order by declared rules: exact duplicates, disorder, the repeated hour, silences.

Nothing here is silent: each rule counts what it did.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from factorylm_alarms.arrays import Flags, Hashes, Positions, Times
from factorylm_alarms.dates import MISSING

HOUR_MS = 3_600_000
SILENCE_FACTOR = 100
"""A silence is a gap of at least an hour that is also 100 times the mean gap between rows, or half of the journal."""
SILENCE_ROWS = 10
"""Fewer rows are far apart without meaning anything."""


class OutOfOrder(Exception):  # noqa: N818  an event between two functions of this package, not an error shown
    """A row is earlier than the one before."""


@dataclass
class Duplicates:
    """Removes rows that are equal in every cell; the first of them stays. Equal rows always share their instant."""

    count: int = 0
    last_ms: int = MISSING
    last_hashes: set[int] = field(default_factory=set)

    def keep(self, time: Times, row_hash: Hashes) -> Flags:
        """Which of these rows, in time order, are the first of their kind."""
        keep = np.ones(len(time), bool)
        ties = np.flatnonzero(tied(time))
        if len(ties):
            order = ties[np.lexsort((row_hash[ties], time[ties]))]  # stable: the first row of equal ones leads
            same = (time[order][1:] == time[order][:-1]) & (row_hash[order][1:] == row_hash[order][:-1])
            keep[order[1:][same]] = False
        if time[0] == self.last_ms:
            for row in range(int(np.searchsorted(time, self.last_ms, side="right"))):
                keep[row] &= int(row_hash[row]) not in self.last_hashes
        self._remember(time, row_hash)
        self.count += int((~keep).sum())
        return keep

    def _remember(self, time: Times, row_hash: Hashes) -> None:
        if time[-1] != self.last_ms:
            self.last_hashes = set()
        self.last_ms = int(time[-1])
        self.last_hashes.update(row_hash[np.searchsorted(time, self.last_ms) :].tolist())


def tied(time: Times) -> Flags:
    """Rows that share their instant with a neighbour."""
    flags = np.zeros(len(time), bool)
    same = time[1:] == time[:-1]
    flags[1:] = same
    flags[:-1] |= same
    return flags


@dataclass
class Silences:
    """Long gaps between rows, gathered as (from, to)."""

    last_ms: int = MISSING
    long: list[tuple[int, int]] = field(default_factory=list)

    def take(self, time: Times) -> None:
        """Look at the next rows in time order."""
        if self.last_ms != MISSING and time[0] - self.last_ms >= HOUR_MS:
            self.long.append((self.last_ms, int(time[0])))
        for at in np.flatnonzero(np.diff(time) >= HOUR_MS):
            self.long.append((int(time[at]), int(time[at + 1])))
        self.last_ms = int(time[-1])

    def found(self, rows: int, first_ms: int, last_ms: int) -> tuple[tuple[int, int], ...]:
        """The gaps that are long for this journal."""
        mean = (last_ms - first_ms) / max(1, rows - 1)
        long = SILENCE_FACTOR * mean
        if rows >= SILENCE_ROWS:
            long = min(long, (last_ms - first_ms) / 2)
        return tuple(gap for gap in self.long if gap[1] - gap[0] >= long)


def in_time_order(time: Times, *, naive: bool) -> tuple[Times, Positions, int, tuple[tuple[int, int], ...]]:
    """(times, order of rows, rows moved, clock steps as (when, ms)).

    A local clock that runs back an hour in the night summer time ends is a clock step: the rows keep their order, and
    the times after it count on. Everything else that is late is moved to its time, equal times in file order.
    """
    steps: list[tuple[int, int]] = []
    if naive:
        time, steps = _without_repeated_hour(time)
    latest = np.maximum.accumulate(time)
    moved = int((time < latest).sum())
    order = np.argsort(time, kind="stable") if moved else np.arange(len(time))
    return time, order, moved, tuple(steps)


def _without_repeated_hour(time: Times) -> tuple[Times, list[tuple[int, int]]]:
    back = np.flatnonzero(time[1:] < time[:-1]) + 1
    nights = [int(at) for at in back if _ends_summer_time(int(time[at - 1]), int(time[at]))]
    steps: list[tuple[int, int]] = []
    shifted = time.copy()
    for at in nights:
        if steps and time[at] - time[0] < 0:
            continue
        shifted[at:] += HOUR_MS
        steps.append((int(shifted[at]), HOUR_MS))
    return (shifted, steps) if len(steps) <= 1 + (time[-1] - time[0]) // (150 * 24 * HOUR_MS) else (time, [])


def _ends_summer_time(before_ms: int, after_ms: int) -> bool:
    """A step back of up to an hour in a Sunday night of the months in which clocks are put back."""
    when = datetime.fromtimestamp(before_ms / 1000, UTC)
    months = {4, 9, 10, 11}  # both hemispheres
    return 0 < before_ms - after_ms <= HOUR_MS and when.weekday() == 6 and when.hour <= 3 and when.month in months
