"""Flood families: which floods of a journal are the same thing happening again, how many such things there are.

A flood is described by the share of each tenth of it in which each alarm is active. Reactivations within a minute count
as one stretch, so that chatter adds nothing. Floods that share neighbours form a family; nobody says how many.
"""

from dataclasses import dataclass, replace

import numpy as np

from factorylm_alarms.alignment import Sequence, sequence_of
from factorylm_alarms.arrays import Flags, Floats, Positions, Times
from factorylm_alarms.communities import group_by_neighbours
from factorylm_alarms.floods import Flood
from factorylm_alarms.journal import Journal
from factorylm_alarms.pairing import Ending

SLICES = 10
LEAST_ACTIVE_MS = 60_000
RELATED = 0.25
"""Floods that share less than a quarter of their alarms are no kin, however few neighbours there are."""
COMMON = 0.5
ORDER_LENGTH = 6
MAX_ACTIVATIONS = 2000
"""A flood of days is told by its beginning; a family is about how floods develop."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """`common`: alarms in at least half of the floods with their share; `order`: their usual order, and how many
    floods follow it in full; `example`: the flood nearest to the middle. Floods are numbers in the list analysed."""

    floods: tuple[int, ...]
    common: tuple[tuple[int, float], ...]
    order: tuple[int, ...]
    order_share: float
    first: tuple[int, float]
    duration_s: tuple[float, float, float]
    example: int


@dataclass(frozen=True, kw_only=True)
class FamilyResult:
    """`chosen` are the floods looked at, `family_of` the family of each; `likeness` is for a picture of the largest."""

    chosen: tuple[int, ...]
    total: int
    family_of: tuple[int, ...]
    families: tuple[Family, ...]
    likeness: Floats


def families_of(journal: Journal, floods: list[Flood], *, limit: int) -> FamilyResult:
    """The families among the `limit` largest floods."""
    largest = sorted(range(len(floods)), key=lambda number: -floods[number].alarms)[:limit]
    chosen = sorted(largest)
    beginnings = [_beginning(journal, floods[number]) for number in chosen]
    features, ever = flood_features(journal, beginnings)
    distance = distances(features)
    groups = group_by_neighbours(distance, related(ever))
    sequences = flood_sequences(journal, beginnings)
    families = [
        _family(np.flatnonzero(groups == group), chosen, floods, sequences, distance)
        for group in range(int(groups.max(initial=-1)) + 1)
    ]
    return FamilyResult(
        chosen=tuple(chosen),
        total=len(floods),
        family_of=tuple(groups.tolist()),
        families=tuple(families),
        likeness=_likeness(distance),
    )


def _beginning(journal: Journal, flood: Flood) -> Flood:
    """The flood, or its first MAX_ACTIVATIONS activations."""
    if flood.alarms <= MAX_ACTIVATIONS:
        return flood
    last = flood.first + MAX_ACTIVATIONS
    end_ms = int(journal.activations.start[last])
    return replace(flood, last=last, end_ms=max(end_ms, flood.start_ms + 1), alarms=MAX_ACTIVATIONS)


def flood_features(journal: Journal, floods: list[Flood]) -> tuple[Floats, Flags]:
    """(active share by alarm and tenth, alarm ever active) of each flood; only alarms that occur in one count."""
    rows = np.concatenate([np.arange(flood.first, flood.last) for flood in floods])
    flood_of = np.repeat(np.arange(len(floods)), [flood.last - flood.first for flood in floods])
    activations = journal.activations
    _, alarm = np.unique(activations.alarm[rows], return_inverse=True)
    begin, end = activations.start[rows], activations.end[rows].copy()
    starts = np.array([flood.start_ms for flood in floods])[flood_of]
    ends = np.array([flood.end_ms for flood in floods])[flood_of]
    end[activations.ending[rows] != Ending.RETURNED] = 2**62
    order = np.lexsort((begin, alarm, flood_of))
    who, where = alarm[order], flood_of[order]
    next_begin = np.full(len(rows), 2**62)
    same = (who[1:] == who[:-1]) & (where[1:] == where[:-1])
    next_begin[order[:-1][same]] = begin[order[1:][same]]
    end = np.maximum(end, begin + LEAST_ACTIVE_MS)
    end = np.where(next_begin - end < LEAST_ACTIVE_MS, next_begin, end)
    return _shares(alarm, flood_of, begin - starts, np.minimum(end, ends) - starts, ends - starts, len(floods))


def _shares(
    alarm: Positions, flood_of: Positions, begin: Times, end: Times, length: Times, count: int
) -> tuple[Floats, Flags]:
    alarms = int(alarm.max(initial=-1)) + 1
    shares = np.zeros((count, alarms, SLICES), np.float32)
    for piece in range(SLICES):
        low, high = length * (piece / SLICES), length * ((piece + 1) / SLICES)
        inside = np.clip(np.minimum(end, high) - np.maximum(begin, low), 0, None) / np.maximum(high - low, 1)
        np.add.at(shares[:, :, piece], (flood_of, alarm), inside.astype(np.float32))
    ever = np.zeros((count, alarms), bool)
    ever[flood_of, alarm] = True
    return np.minimum(shares, 1).reshape(count, -1), ever


def distances(features: Floats) -> Floats:
    """Euclidean, between each two rows."""
    squares = (features**2).sum(axis=1)
    apart: Floats = np.sqrt(np.maximum(0, squares[:, None] + squares[None, :] - 2 * features @ features.T))
    return apart


def related(ever: Flags) -> Flags:
    """Whether two floods share enough alarms to be of one family at all."""
    members = ever.astype(np.float32)
    both = members @ members.T
    sizes = members.sum(axis=1)
    shared: Flags = both >= RELATED * (sizes[:, None] + sizes[None, :] - both)
    return shared


def flood_sequences(journal: Journal, floods: list[Flood]) -> list[Sequence]:
    """The order of alarms of each flood, by the journal's alarm numbers."""
    activations = journal.activations
    return [
        sequence_of(activations.alarm[flood.first : flood.last], activations.start[flood.first : flood.last])
        for flood in floods
    ]


def _family(
    members: Positions,
    chosen: list[int],
    floods: list[Flood],
    sequences: list[Sequence],
    distance: Floats,
) -> Family:
    orders = [list(dict.fromkeys(sequences[member].alarm.tolist())) for member in members.tolist()]
    counts: dict[int, int] = {}
    for order in orders:
        for alarm in order:
            counts[alarm] = counts.get(alarm, 0) + 1
    common = sorted(((a, n / len(orders)) for a, n in counts.items() if n >= COMMON * len(orders)), key=lambda c: -c[1])
    usual = _usual_order([alarm for alarm, _ in common], orders)
    firsts = [order[0] for order in orders if order]
    leader = max(dict.fromkeys(firsts), key=firsts.count)
    durations = np.array([(floods[chosen[i]].end_ms - floods[chosen[i]].start_ms) / 1000 for i in members.tolist()])
    middle = members[distance[np.ix_(members, members)].sum(axis=1).argmin()]
    return Family(
        floods=tuple(chosen[i] for i in members.tolist()),
        common=tuple(common),
        order=tuple(usual),
        order_share=sum(_follows(order, usual) for order in orders) / len(orders),
        first=(leader, firsts.count(leader) / len(firsts)),
        duration_s=tuple(float(value) for value in np.quantile(durations, (0, 0.5, 1))),  # type: ignore[arg-type]
        example=chosen[int(middle)],
    )


def _usual_order(common: list[int], orders: list[list[int]]) -> list[int]:
    """The most common alarms by their median place."""
    places = {alarm: [order.index(alarm) for order in orders if alarm in order] for alarm in common[:ORDER_LENGTH]}
    return sorted(places, key=lambda alarm: (float(np.median(places[alarm])), alarm))


def _follows(order: list[int], usual: list[int]) -> bool:
    """Whether all alarms of the usual order that came, came in that order, and most of them came."""
    places = [order.index(alarm) for alarm in usual if alarm in order]
    return places == sorted(places) and len(places) * 2 >= len(usual)


MAX_PICTURED = 80


def _likeness(distance: Floats) -> Floats:
    """1 for equal floods, 0 for the two most different; the first MAX_PICTURED only."""
    part = distance[:MAX_PICTURED, :MAX_PICTURED]
    return 1 - part / max(float(part.max(initial=0)), 1e-9)
