"""How the predictor's benchmark scores: written from the definitions, each beside its trivial baseline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def rmse(error: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt((error**2).mean()))


def nasa_score(predicted: Floats, truth: Floats) -> float:
    """PHM 2008: late predictions cost more than early ones."""
    late = predicted - truth
    return float(np.where(late < 0, np.exp(-late / 13), np.exp(late / 10)).sum() - len(late))


def bootstrap_interval(error: Floats, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the RMSE over test assets."""
    rng = np.random.default_rng(seed)
    values = [rmse(error[rng.integers(0, len(error), len(error))]) for _ in range(1000)]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def alarm_rates(flags: Sequence[Flags], truths: Sequence[Flags]) -> tuple[float, float]:
    """False-alarm and missed-alarm rate over all rows together, in percent."""
    flag, truth = np.concatenate(flags), np.concatenate(truths)
    return 100 * float(flag[~truth].mean()), 100 * float((~flag[truth]).mean())


def change_points(flags: Flags) -> Flags:
    """Rows where the alarm goes on or off."""
    before = np.r_[False, flags[:-1]]
    return np.asarray(flags != before)


def nab_score(found: Sequence[Flags], truth: Sequence[Flags], false_cost: float, window: int = 60) -> float:
    """Numenta score of change points: 100 is perfect, 0 finds nothing.

    The first detection within `window` rows after a change earns from 1 down to -false_cost along a sigmoid, a missed
    change costs 1, each detection outside all windows `false_cost` (0.11 standard, 0.22 low false positives).
    """
    score, changes = 0.0, 0
    for guess, true in zip(found, truth, strict=True):
        covered = np.zeros(len(true), dtype=bool)
        places = np.flatnonzero(true)
        for place, following in zip(places, [*places[1:], len(true) + window], strict=True):
            end = min(place + window, len(true) - 1, following - 1)
            covered[place : end + 1] = True
            hits = np.flatnonzero(guess[place : end + 1])
            score += _earned(hits[0], end - place + 1, false_cost) if len(hits) else -1.0
            changes += 1
        score -= false_cost * float((guess & ~covered).sum())
    return 100 * (score + changes) / (2 * changes)


def _earned(place: int, length: int, false_cost: float) -> float:
    at = np.pi * (place / max(1, length - 1) - 0.5)
    return float((1 + false_cost) / 2 * -np.tanh(at) / np.tanh(np.pi / 2) + (1 - false_cost) / 2)


def f1(named: Flags, truth: Flags) -> float:
    """Harmonic mean of precision and recall."""
    return 2 * float((named & truth).sum()) / float(named.sum() + truth.sum())
