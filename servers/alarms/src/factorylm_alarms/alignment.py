"""How alike two floods are in their order of alarms: local alignment, exact, and only where it can matter.

After Cheng, Izadi and Chen (2013): Smith and Waterman's alignment whose match counts less the further apart in time the
alarms stand, so that two alarms that swapped places still match. Match at most 1, mismatch -0.6, gap -0.4; the score
is divided by the length of the shorter flood. Repeats of an alarm within a minute are dropped first: without that, one
chattering alarm makes every two floods look alike.
"""

from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Bytes, Codes, Floats, Times

MISMATCH, GAP = 0.6, 0.4
SIGMA_MS = 2_000.0
REPEAT_MS = 60_000
NEAR = 0.375
"""A cell scores above zero only where the weight passes 0.6 / 1.6."""
MAX_LENGTH = 200


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A flood as the order in which its alarms came, repeats dropped, at most MAX_LENGTH of them."""

    alarm: Codes
    time: Times

    def __len__(self) -> int:
        return len(self.alarm)


def sequence_of(alarm: Codes, time: Times) -> Sequence:
    """Drop an activation that comes less than a minute after the one before of the same alarm."""
    order = np.lexsort((np.arange(len(alarm)), time, alarm))
    who, when = alarm[order], time[order]
    keep = np.ones(len(order), bool)
    keep[1:] = (who[1:] != who[:-1]) | (when[1:] - when[:-1] >= REPEAT_MS)
    places = np.sort(order[keep])[:MAX_LENGTH]
    return Sequence(alarm=alarm[places], time=time[places])


def time_weights(one: Sequence, alarms: int) -> Floats:
    """How near, from 0 to 1, each alarm stands to each place of the flood (1 where it is at the place itself)."""
    weights = np.zeros((len(one), alarms), np.float32)
    apart = (one.time[:, None] - one.time[None, :]).astype(np.float64)
    near = np.exp(-(apart**2) / (2 * SIGMA_MS**2)).astype(np.float32)
    for place, alarm in enumerate(one.alarm.tolist()):
        np.maximum(weights[:, alarm], near[:, place], out=weights[:, alarm])
    return weights


def similarities(one: Sequence, others: list[Sequence], alarms: int) -> Floats:
    """The similarity of one flood to each of the others, 0 to 1. Rows of the table are filled for all others at once.

    A gap to the left depends on the cell before; a running maximum of score + gap * place resolves it for a whole row.
    """
    if not others or not len(one):
        return np.zeros(len(others), np.float32)
    weights = time_weights(one, alarms + 1)  # the last, empty column stands for "no alarm here"
    lengths = np.array([len(other) for other in others])
    table = np.full((len(others), max(1, int(lengths.max()))), alarms, np.int32)
    for row, other in enumerate(others):
        table[row, : len(other)] = other.alarm
    slope = (GAP * np.arange(table.shape[1])).astype(np.float32)
    above = np.zeros((len(others), table.shape[1] + 1), np.float32)
    best = np.zeros(len(others), np.float32)
    gain = weights * (1 + MISMATCH) - MISMATCH
    for place in range(len(one)):
        score = np.maximum(above[:, :-1] + gain[place].take(table), above[:, 1:] - GAP)
        np.maximum(score, 0, out=score)
        above[:, 1:] = np.maximum.accumulate(score + slope, axis=1) - slope
        np.maximum(best, above.max(axis=1), out=best)
    share: Floats = best / np.maximum(1, np.minimum(len(one), lengths)).astype(np.float32)
    return share


def upper_bounds(floods: list[Sequence], alarms: int) -> Floats:
    """A number no smaller than the similarity of each two floods, cheaply.

    Only places of a flood with an alarm near them that the other flood has can score, and none more than 1.
    """
    has = np.zeros((alarms, len(floods)), bool)
    for number, flood in enumerate(floods):
        has[flood.alarm, number] = True
    packed = np.packbits(has, axis=1)
    places = np.stack([_possible_places(flood, packed, len(floods)) for flood in floods])
    lengths = np.array([max(1, len(flood)) for flood in floods])
    bounds: Floats = np.minimum(places, places.T) / np.minimum(lengths[:, None], lengths[None, :])
    return bounds


def _possible_places(flood: Sequence, packed: Bytes, count: int) -> Floats:
    """For each other flood, how many places of this one could match anything in it."""
    if not len(flood):
        return np.zeros(count, np.float32)
    reach = SIGMA_MS * (2 * np.log(1 / NEAR)) ** 0.5
    first = np.searchsorted(flood.time, flood.time - reach)
    last = np.searchsorted(flood.time, flood.time + reach, side="right")
    rows = packed[flood.alarm]
    near = rows.copy()
    for step in range(1, int((last - first).max(initial=1))):
        for shift in (step, -step):
            place = np.arange(len(flood)) + shift
            inside = (place >= first) & (place < last)
            near[inside] |= rows[place[inside]]
    possible: Floats = np.unpackbits(near, axis=1, count=count).sum(axis=0, dtype=np.int32).astype(np.float32)
    return possible


def similar_pairs(floods: list[Sequence], alarms: int, at_least: float) -> list[tuple[int, int, float]]:
    """Every two floods at least this similar; the bound leaves out only pairs that cannot be."""
    bounds = upper_bounds(floods, alarms)
    found = []
    for one in range(len(floods)):
        others = (np.flatnonzero(bounds[one, one + 1 :] >= at_least - 1e-6) + one + 1).tolist()
        for other, value in zip(others, similarities(floods[one], [floods[i] for i in others], alarms), strict=True):
            if value >= at_least:
                found.append((one, other, float(value)))
    return found
