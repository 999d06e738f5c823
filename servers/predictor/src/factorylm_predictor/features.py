"""What a machine's whole history says about it today, as numbers a tree can split on.

Every block but one is linear in the history, so a row's features are one small matrix product. The same function
serves training and prediction; nothing is kept incrementally and nothing can drift apart.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats

BASELINE_ROWS = 10
_SPANS = (5, 10, 20, 40)
_MEANS = (15, 30)
_SLOPES = (20, 40, 80)
_LAGS = (10, 20, 40)
_SPREAD_ROWS = 20
# Rounding to a millionth of a spread: what differs by less differs by arithmetic, not by the machine
_DECIMALS = 6

BLOCKS = (
    *(f"ewma{s}" for s in _SPANS),
    *(f"mean{w}" for w in _MEANS),
    "mean of all",
    "baseline",
    "deviation",
    *(f"slope{w}" for w in _SLOPES),
    *(f"lag{k}" for k in _LAGS),
    f"spread{_SPREAD_ROWS}",
)


def features_at(deviations: Floats, rows: int, age: float) -> NDArray[np.float32]:
    """Features of the unit after its first `rows` rows of normalised sensor values."""
    seen = deviations[:rows]
    linear = _weights(rows) @ seen
    last = seen[-_SPREAD_ROWS:]
    spread = np.sqrt(np.maximum((last**2).mean(axis=0) - last.mean(axis=0) ** 2, 0.0))
    return np.asarray(np.round(np.concatenate([linear.ravel(), spread, [age]]), _DECIMALS), dtype=np.float32)


def deviation_from_baseline(deviations: Floats) -> Floats:
    """Per sensor: where the unit stands now against its own first rows, in fleet spreads."""
    return np.asarray(_weights(len(deviations))[BLOCKS.index("deviation")] @ deviations)


@lru_cache(maxsize=512)
def _weights(rows: int) -> Floats:
    baseline = np.zeros(rows)
    baseline[: min(rows, BASELINE_ROWS)] = 1 / min(rows, BASELINE_ROWS)
    return np.stack(
        [
            *(_ewma(rows, span) for span in _SPANS),
            *(_mean(rows, window) for window in _MEANS),
            np.full(rows, 1 / rows),
            baseline,
            _ewma(rows, 10) - baseline,
            *(_slope(rows, window) for window in _SLOPES),
            *(_padded(_ewma(max(rows - lag, 1), 10), rows) for lag in _LAGS),
        ]
    )


def _ewma(rows: int, span: int) -> Floats:
    decay = (1 - 2 / (span + 1)) ** np.arange(rows - 1, -1, -1)
    return np.asarray(decay / decay.sum(), dtype=np.float64)


def _mean(rows: int, window: int) -> Floats:
    count = min(rows, window)
    return np.concatenate([np.zeros(rows - count), np.full(count, 1 / count)])


def _slope(rows: int, window: int) -> Floats:
    """Least-squares slope per row; 0 until five rows are there."""
    count = min(rows, window)
    if count < 5:
        return np.zeros(rows)
    steps = np.arange(count) - (count - 1) / 2
    return np.concatenate([np.zeros(rows - count), steps / (count * (count**2 - 1) / 12)])


def _padded(weights: Floats, rows: int) -> Floats:
    return np.concatenate([weights, np.zeros(rows - len(weights))])
