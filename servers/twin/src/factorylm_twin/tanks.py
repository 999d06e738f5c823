"""Grey-box template: a pump fills an upper tank that drains into a lower one; the lower level is measured.

    upper' = pump (u - u0) - drain_1 sqrt(upper)            at most `rim`; what spills partly reaches the lower tank
    lower' = inlet sqrt(upper) - drain_2 sqrt(lower) + reach spill

Constants are per row. A ridge on products of the simulated states then learns what the equations leave out; it never
sees a measured output, so it can run free. `rim` and `reach` may end at their bounds: they are not to be interpreted.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import sqrt

import numpy as np

from factorylm_twin.arrays import Floats

_STARTS = (0.03, 0.08, 0.015)
_RIDGE = 0.03
_LAGS = (0, 3, 8, 15, 30)  # rows; a slow tank's recent past
_MOST_CALLS = 60


@dataclass(frozen=True, kw_only=True)
class Tanks:
    """Fitted constants, and the correction on simulated states."""

    constants: Floats
    weights: Floats
    middle: Floats
    spread: Floats
    low: float
    high: float
    scale: float

    def run(self, u: Floats, start: Floats) -> Floats:
        """Free run; the unseen upper level is found from the given outputs."""
        states = _states(
            self.constants, u[:, 0], _first_upper(self.constants, u[:, 0], start / self.scale), start[0] / self.scale
        )
        levels = states[:, 1] * self.scale
        if len(self.weights):
            levels = levels + _products((_features(states, u[:, 0]) - self.middle) / self.spread) @ self.weights
        levels = np.clip(levels, self.low, self.high)
        levels[: len(start)] = start
        return levels


def fit_tanks(u: Floats, y: Floats, near: "Tanks | None" = None) -> Tanks:
    """Least squares on the simulation error from several starts, or from the constants of a fit `near` by."""
    from scipy.optimize import least_squares

    known = np.isfinite(y)
    scale = float(np.nanmax(np.abs(y)))
    level, pump = y / scale, u[:, 0]
    first = float(level[known][0])

    def error(constants: Floats) -> Floats:
        return (_states(constants, pump, constants[7], first)[:, 1] - level)[known]

    best = None
    for guess in [near.constants] if near else _guesses(level, pump, first):
        low = np.array([0, 1e-5, 1e-5, 1e-5, 0.2, 0, float(pump.min()) - np.ptp(pump), 0])
        high = np.array([np.inf, 1, 1, 1, 5, 1, float(pump.min()) + 0.5 * np.ptp(pump), 2])
        found = least_squares(
            error,
            np.clip(guess, low + 1e-9, high - 1e-9),
            bounds=(low, high),
            x_scale=np.maximum(np.abs(guess), 0.01),
            max_nfev=_MOST_CALLS,
        )
        best = found if best is None or found.cost < best.cost else best
    assert best is not None
    return _corrected(best.x, u, y, scale, first)


def _guesses(level: Floats, pump: Floats, first: float) -> list[Floats]:
    height = sqrt(max(float(np.nanmean(level)), 1e-3)) / max(float(np.mean(pump)), 1e-9)
    return [np.array([drain * height, drain, drain, drain, 1.2, 0.2, 0.0, first]) for drain in _STARTS]


def _corrected(constants: Floats, u: Floats, y: Floats, scale: float, first: float) -> Tanks:
    states = _states(constants, u[:, 0], constants[7], first)
    features = _features(states, u[:, 0])
    middle, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    known = np.isfinite(y)
    terms = _products((features - middle) / spread)[known]
    rest = (y - states[:, 1] * scale)[known]
    weights = np.linalg.solve(terms.T @ terms + _RIDGE * len(rest) * np.eye(terms.shape[1]), terms.T @ rest)
    high = float(np.nanmax(y))
    return Tanks(
        constants=constants,
        weights=np.asarray(weights, dtype=np.float64),
        middle=middle,
        spread=spread,
        low=0.0,
        high=high,
        scale=scale,
    )


def _states(constants: Floats, pump: Floats, upper: float, lower: float) -> Floats:
    fill, out, inlet, drain, rim, reach, offset, _ = (float(c) for c in constants)
    found = np.empty((len(pump), 2))
    for k, drive in enumerate(pump.tolist()):
        found[k] = upper, lower
        root = sqrt(upper)
        upper += fill * max(drive - offset, 0.0) - out * root
        spill = max(upper - rim, 0.0)
        upper = min(max(upper, 0.0), rim)
        lower = min(max(lower + inlet * root - drain * sqrt(lower) + reach * spill, 0.0), 1.0)
    return found


def _first_upper(constants: Floats, pump: Floats, start: Floats) -> float:
    """The upper level that explains the given outputs best, among a grid."""
    grid = np.linspace(0.0, float(constants[4]), 41)
    rows = len(start)
    errors = [np.sum((_states(constants, pump[:rows], g, float(start[0]))[:, 1] - start) ** 2) for g in grid]
    return float(grid[int(np.argmin(errors))])


def _features(states: Floats, pump: Floats) -> Floats:
    columns = [_held(states[:, 0], lag) for lag in _LAGS] + [_held(states[:, 1], lag) for lag in _LAGS]
    return np.column_stack([*columns, *(_held(pump, lag) for lag in _LAGS)])


def _held(values: Floats, lag: int) -> Floats:
    return np.concatenate([np.full(lag, values[0]), values[: len(values) - lag]]) if lag else values


def _products(features: Floats) -> Floats:
    extended = np.column_stack([features, np.ones(len(features))])
    pairs = list(combinations_with_replacement(range(extended.shape[1]), 2))
    return np.column_stack([extended[:, a] * extended[:, b] for a, b in pairs])
