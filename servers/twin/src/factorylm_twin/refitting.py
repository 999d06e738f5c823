"""A twin beside its plant: is a newly learned one better, on rows that neither has seen?"""

from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Floats
from factorylm_twin.choosing import Say, free_run
from factorylm_twin.fitting import learn
from factorylm_twin.tables import Record, filled
from factorylm_twin.twin import REFUSED, Twin

_LEARNED_FROM = 0.75
_BETTER = 0.9


@dataclass(frozen=True, kw_only=True)
class Refit:
    """Errors per output on the newest quarter; `twin` is the new one, learned from all rows, where it is better."""

    twin: Twin | None
    before: dict[str, float]
    after: dict[str, float]
    reason: str


def refit(old: Twin, record: Record, template: str = "", say: Say = lambda _: None) -> Refit:
    """Learn from the first three quarters, run both free over the last one, and replace only what is worse."""
    cut = int(_LEARNED_FROM * len(record.u))
    candidate = learn(_first(record, cut), template, say)
    before = _errors(old, record, cut)
    if candidate.grade == REFUSED:
        refused = next(o.reason for o in candidate.outputs if o.reason)
        return Refit(twin=None, before=before, after={}, reason=f"kept: the new data does not carry a twin ({refused})")
    after = _errors(candidate, record, cut)
    if old.grade != REFUSED and any(after[name] > _BETTER * before.get(name, np.inf) for name in after):
        return Refit(twin=None, before=before, after=after, reason="kept: the old twin does as well on the newest rows")
    return Refit(
        twin=learn(record, template, say), before=before, after=after, reason="replaced: the new one is better"
    )


def _first(record: Record, rows: int) -> Record:
    return Record(
        wanted=record.wanted,
        u=record.u[:rows],
        y=record.y[:rows],
        step=record.step,
        time_unit=record.time_unit,
        file_rows=tuple(r for r in record.file_rows if r < rows),
        automatic=record.automatic[:rows],
        setpoint=record.setpoint[:rows],
    )


def _errors(twin: Twin, record: Record, cut: int) -> dict[str, float]:
    u, found = filled(record.u), {}
    for j, output in enumerate(twin.outputs):
        if output.part is not None:
            rest: Floats = free_run(output.part, u, record.y[:, j], cut, len(u))
            found[output.name] = float(np.sqrt(np.nanmean(rest**2)))
    return found
