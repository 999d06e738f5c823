"""Naming a flood by the families of the floods before it, from its first minutes alone."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from factorylm_alarms.families import Family, distances, families_of, flood_features, related
from factorylm_alarms.floods import Flood
from factorylm_alarms.journal import Journal

MAX_EARLIER = 1000
NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True)
class EarlyName:
    """`family` is None where nothing before was alike. `votes` of `asked` alike floods are of this family; `nearest` is
    the flood most like it. Floods are numbers in the list given."""

    flood: int
    alarms: int
    earlier: int
    family: Family | None
    votes: int = 0
    asked: int = 0
    nearest: int | None = None


def name_early(journal: Journal, floods: list[Flood], number: int, *, within_ms: int) -> EarlyName:
    """What the first `within_ms` of a flood say, compared with the same stretch of the floods before it.

    Nothing later is looked at: neither the rest of this flood nor the floods after it.
    """
    earlier = floods[max(0, number - MAX_EARLIER) : number]
    offset = number - len(earlier)
    now = _first_of(journal, floods[number], within_ms)
    seen = EarlyName(flood=number, alarms=now.alarms, earlier=len(earlier), family=None)
    if len(earlier) < 2:
        return seen
    known = families_of(journal, earlier, limit=MAX_EARLIER)
    features, ever = flood_features(journal, [*(_first_of(journal, one, within_ms) for one in earlier), now])
    alike = np.flatnonzero(related(ever)[-1, :-1])
    if not len(alike):
        return seen
    near = alike[np.argsort(distances(features)[-1, alike], kind="stable")][:NEIGHBOURS].tolist()
    votes = Counter(known.family_of[place] for place in near)
    family, count = votes.most_common(1)[0]
    found = known.families[family]
    moved = replace(found, floods=tuple(one + offset for one in found.floods), example=found.example + offset)
    return replace(seen, family=moved, votes=count, asked=len(near), nearest=near[0] + offset)


def _first_of(journal: Journal, flood: Flood, within_ms: int) -> Flood:
    """The flood as it looked `within_ms` after its start."""
    end_ms = flood.start_ms + within_ms
    last = min(flood.last, int(np.searchsorted(journal.activations.start, end_ms)))
    return replace(flood, end_ms=end_ms, last=last, alarms=last - flood.first)
