"""Which alarms come together, and in which order. Order is evidence, never a cause."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from factorylm_alarms.arrays import Counts, Doubles, Flags, Positions, Times
from factorylm_alarms.floods import Flood
from factorylm_alarms.pairing import Activations, Ending

PAIR_WINDOW_MS = 5_000
PAIR_ALARMS = 300
PAIR_SUPPORT = 10
PAIR_SHARE = 0.8
MAX_PAIRED = 500_000
"""Activations looked at for pairs; of a longer log the latest, which is told with the result."""
MAX_NEIGHBOURS = 40
HOUR_MS = 3_600_000
MAX_BEFORE = 500
MAX_FOLLOWED = 1000
OPENING = 20
PAUSE_MS, PAUSE_FACTOR = 30_000, 4
BURST_MS = 2_000
BURST_ALARMS = 5
COMMUNICATION = re.compile(
    r"(?i)(?<![a-z])(comm?s?|comfail|nocomm|communication|bad ?no ?communication|offline|link|timeout|iop|bad ?pv|"
    r"kommunikation\w*|verbindung\w*)(?![a-z])"
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`a_with_b` is the share of a's activations with one of b within 5 s; `first_share` how often a led."""

    a: int
    b: int
    support: int
    a_with_b: float
    b_with_a: float
    lift: float
    first_share: float
    lag_s: float


@dataclass(frozen=True, kw_only=True)
class _Meetings:
    """How often each of the frequent alarms came near each other one, and how often first."""

    frequent: list[int]
    together: Counts
    ahead: Counts
    count: Counts
    key: Positions
    lag: Times
    span_ms: int

    def share(self) -> Doubles:
        """Of each alarm's activations the share with one of each other alarm near."""
        found: Doubles = self.together / np.maximum(self.count, 1)[:, None]
        return found


def redundant_pairs(activations: Activations, counts: list[tuple[int, int]], span_ms: int) -> list[Pair]:
    """Pairs of frequent alarms that nearly always come together, in both directions or in one."""
    met = _meetings(activations, counts, span_ms)
    if met is None:
        return []
    share, together = met.share(), met.together
    strong = (np.maximum(share, share.T) >= PAIR_SHARE) & (np.minimum(together, together.T) >= PAIR_SUPPORT)
    pairs = [
        _pair(met, share, *((b, a) if met.ahead[b, a] > met.ahead[a, b] else (a, b)))
        for a, b in np.argwhere(np.triu(strong, 1)).tolist()
    ]
    return sorted(pairs, key=lambda pair: -pair.support)


def _meetings(activations: Activations, counts: list[tuple[int, int]], span_ms: int) -> _Meetings | None:
    frequent = [alarm for alarm, count in counts[:PAIR_ALARMS] if count >= PAIR_SUPPORT]
    number = np.full(int(activations.alarm.max(initial=0)) + 1, -1, np.int64)
    number[frequent] = np.arange(len(frequent))
    chosen = np.flatnonzero(number[activations.alarm] >= 0)[-MAX_PAIRED:]
    who, time, size = number[activations.alarm[chosen]], activations.start[chosen], len(frequent)
    seen = _neighbours(who, time, size)
    if seen is None:
        return None
    place, other, lag = seen
    key = who[place] * size + other
    return _Meetings(
        frequent=frequent,
        together=np.bincount(key, minlength=size * size).reshape(size, size),
        ahead=np.bincount(key[lag > 0], minlength=size * size).reshape(size, size),
        count=np.bincount(who, minlength=size),
        key=key,
        lag=lag,
        span_ms=min(span_ms, int(activations.start[-1] - time[0])),
    )


def _pair(met: _Meetings, share: Doubles, a: int, b: int) -> Pair:
    chance = -np.expm1(-met.count[b] * 2 * PAIR_WINDOW_MS / max(met.span_ms, 1))
    lags = met.lag[met.key == a * len(met.frequent) + b]
    return Pair(
        a=met.frequent[a],
        b=met.frequent[b],
        support=int(met.together[a, b]),
        a_with_b=float(share[a, b]),
        b_with_a=float(share[b, a]),
        lift=float(share[a, b] / max(chance, 1e-12)),
        first_share=float(met.ahead[a, b] / max(1, met.together[a, b])),
        lag_s=float(np.median(lags)) / 1000,
    )


def _neighbours(who: Positions, time: Times, size: int) -> tuple[Positions, Positions, Times] | None:
    """(activation, other alarm near it, lag to it in ms): each other alarm once an activation, its nearest."""
    places, others, lags = [], [], []
    for step in range(1, MAX_NEIGHBOURS + 1):
        lag = time[step:] - time[:-step]
        near = np.flatnonzero((lag <= PAIR_WINDOW_MS) & (who[step:] != who[:-step]))
        if not len(near) and not (lag <= PAIR_WINDOW_MS).any():
            break
        places += [near, near + step]
        others += [who[near + step], who[near]]
        lags += [lag[near], -lag[near]]
    if not places:
        return None
    place, other, lag = np.concatenate(places), np.concatenate(others), np.concatenate(lags)
    _, first = np.unique(place * size + other, return_index=True)  # steps ascend, so the first is the nearest
    return place[first], other[first], lag[first]


@dataclass(frozen=True, kw_only=True)
class FirstOut:
    """The first activation of a flood that is not everyday background, and what came right after it."""

    alarm: int
    at_ms: int
    row: int
    skipped: tuple[int, ...]
    then: tuple[int, ...]


def background(activations: Activations, floods: list[Flood]) -> set[int]:
    """Alarms that mostly come outside floods and often: they open floods by accident."""
    inside = np.zeros(len(activations) + 1, np.int64)
    for flood in floods:
        inside[flood.first] += 1
        inside[flood.last] -= 1
    outside = np.cumsum(inside)[:-1] == 0
    size = int(activations.alarm.max(initial=0)) + 1
    total = np.bincount(activations.alarm, minlength=size)
    quiet = np.bincount(activations.alarm[outside], minlength=size)
    return set(np.flatnonzero((quiet >= 2) & (quiet * 2 > total)).tolist())


def first_out(activations: Activations, flood: Flood, everyday: set[int]) -> FirstOut:
    """Order evidence for one flood. What came repeatedly in the hour before it is background, too."""
    hour_before = int(activations.start.searchsorted(flood.start_ms - HOUR_MS))
    before = Counter(activations.alarm[max(hour_before, flood.first - MAX_BEFORE) : flood.first].tolist())
    part = slice(flood.first, min(flood.last, flood.first + MAX_FOLLOWED))
    alarms, opening = activations.alarm[part].tolist(), _dense_from(activations.start[part])
    unusual = (i for i, alarm in enumerate(alarms) if i >= opening and alarm not in everyday and before[alarm] < 2)
    at = next(unusual, opening)
    return FirstOut(
        alarm=alarms[at],
        at_ms=int(activations.start[flood.first + at]),
        row=int(activations.row[flood.first + at]),
        skipped=tuple(dict.fromkeys(alarms[:at])),
        then=tuple(dict.fromkeys(alarm for alarm in alarms[at + 1 :] if alarm != alarms[at]))[:5],
    )


def _dense_from(time: Times) -> int:
    """Which activation opens the flood proper: stragglers that a long pause parts from it are left out."""
    gaps = np.diff(time[:OPENING])
    if not len(gaps):
        return 0
    pauses = np.flatnonzero(gaps[: OPENING // 2] >= max(PAUSE_MS, PAUSE_FACTOR * float(np.median(gaps))))
    return int(pauses[-1]) + 1 if len(pauses) else 0


@dataclass(frozen=True, kw_only=True)
class Burst:
    """Many different alarms within two seconds; `shared` is what their names or conditions have in common."""

    start_ms: int
    first_row: int
    last_row: int
    alarms: tuple[int, ...]
    communication: bool
    shared: str
    returned_together: bool


def bursts(activations: Activations, names: list[str], texts: list[str]) -> list[Burst]:
    """Instants at which one thing seems to have set off many alarms at once, as a lost connection does.

    Only bursts that stand out are told: those that speak of communication, or share a name and go together.
    """
    spoken = np.array([bool(COMMUNICATION.search(f"{n} {t}")) for n, t in zip(names, texts, strict=True)], bool)
    starts = [re.split(r"[./:_\- ]", name)[0] for name in names]
    time, alarm = activations.start, activations.alarm
    found: list[Burst] = []
    free_from = 0
    places = _burst_openings(activations, spoken, starts)
    reach = np.searchsorted(time, time[places] + BURST_MS, side="right") - places
    for at, length in zip(places.tolist(), reach.tolist(), strict=True):
        if at < free_from:
            continue
        last = at + length
        alarms = tuple(dict.fromkeys(alarm[at:last].tolist()))
        if len(alarms) < BURST_ALARMS:
            continue
        free_from = last
        shared = _shared([starts[one] for one in alarms])
        talks = int(spoken[list(alarms)].sum()) * 2 >= len(alarms)
        if talks or shared:
            found.append(_burst(activations, at, last, alarms, talks, shared))
    return found


def _burst_openings(activations: Activations, spoken: Flags, starts: list[str]) -> Positions:
    """Where five activations follow within two seconds, most of which speak of communication or share a name."""
    time, ahead = activations.start, BURST_ALARMS - 1
    places = np.flatnonzero(time[ahead:] - time[:-ahead] <= BURST_MS) if len(time) > ahead else np.zeros(0, np.int64)
    numbers = {start: number for number, start in enumerate(dict.fromkeys(starts))}
    code = np.array([numbers[start] for start in starts], np.int32)
    five = activations.alarm[places[:, None] + np.arange(BURST_ALARMS)]
    named = code[five]
    alike = np.maximum((named == named[:, :1]).sum(axis=1), (named == named[:, 1:2]).sum(axis=1))
    chosen: Positions = places[(alike >= 0.8 * BURST_ALARMS) | (spoken[five].sum(axis=1) * 2 >= BURST_ALARMS)]
    return chosen


def _burst(activations: Activations, at: int, last: int, alarms: tuple[int, ...], talks: bool, shared: str) -> Burst:
    ends = activations.end[at:last]
    returned = bool((activations.ending[at:last] == Ending.RETURNED).all())
    return Burst(
        start_ms=int(activations.start[at]),
        first_row=int(activations.row[at]),
        last_row=int(activations.row[last - 1]),
        alarms=alarms,
        communication=talks,
        shared=shared,
        returned_together=returned and int(ends.max() - ends.min()) <= BURST_MS,
    )


def _shared(starts: list[str]) -> str:
    """The beginning that at least 80 % of the names share: a device, an area, a station."""
    start, count = Counter(starts).most_common(1)[0]
    return start if count >= 0.8 * len(starts) else ""
