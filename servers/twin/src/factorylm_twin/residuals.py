"""Does the machine still behave like its twin: CUSUM on measured minus simulated, and which columns explain it."""

import numpy as np

from factorylm_twin.arrays import Floats

_SLACK, _LIMIT = 1.0, 15.0
_LASTING = 5
_FEWEST_ROWS, _MOST_CAUSES, _STRETCHES = 100, 2, 10
_WORTH_EXPLAINING, _WORTH_TAKING, _SLOW = 1.5, 0.15, 0.05


def departure(rest: Floats, usual: float) -> int | None:
    """First row of a lasting departure, in rows of `rest`; None when there is none. Gaps do not count as evidence.

    A slack of one usual error on each side, since a free run's errors last: they are not independent.
    """
    if not (np.isfinite(usual) and usual > 0):
        return None
    for side in (1.0, -1.0):
        total, since = 0.0, 0
        for row, value in enumerate((side * rest / usual).tolist()):
            if value != value:
                continue
            raised = total + min(value, 5.0) - _SLACK
            if raised <= 0:
                total, since = 0.0, row + 1
                continue
            total = raised
            if total > _LIMIT and row - since >= _LASTING:
                return since
    return None


def explained_by(rest: Floats, candidates: dict[str, Floats], usual: float) -> list[tuple[str, float]]:
    """The smallest set of columns that explains the residual, each with the share it brings; empty when none does.

    Taken up one by one, each as level, square and slow average, and only on rows where all is known; a share counts
    where it holds on stretches that the regression has not seen.
    """
    known = np.isfinite(rest)
    chosen: list[tuple[str, float]] = []
    explained = 0.0
    if known.sum() < _FEWEST_ROWS or float(np.nanmean(rest**2)) < usual**2 * _WORTH_EXPLAINING:
        return []
    while len(chosen) < _MOST_CAUSES:
        taken = [name for name, _ in chosen]
        shares = {
            name: _share(rest[known], [candidates[n][known] for n in (*taken, name)])
            for name in candidates
            if name not in taken
        }
        name = max(shares, key=lambda n: shares[n], default="")
        if not name or shares[name] < explained + _WORTH_TAKING:
            break
        chosen.append((name, shares[name] - explained))
        explained = shares[name]
    return chosen


def _share(rest: Floats, columns: list[Floats]) -> float:
    """What a regression on every other stretch explains of the stretches between."""
    terms = np.column_stack([np.ones(len(rest)), *(term for column in columns for term in _terms(column))])
    fit = (np.arange(len(rest)) * _STRETCHES // len(rest)) % 2 == 0
    weights = np.linalg.lstsq(terms[fit], rest[fit], rcond=None)[0]
    left = rest[~fit] - terms[~fit] @ weights
    about = rest[~fit] - rest[fit].mean()
    return 1.0 - float(left @ left) / max(float(about @ about), 1e-300)


def _terms(column: Floats) -> list[Floats]:
    scaled = (column - column.mean()) / (column.std() or 1.0)
    slow = np.empty(len(scaled))
    state = float(scaled[0])
    for row, value in enumerate(scaled.tolist()):
        state += _SLOW * (value - state)
        slow[row] = state
    return [scaled, scaled**2, slow]
