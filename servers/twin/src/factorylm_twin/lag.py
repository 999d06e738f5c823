"""Gain, lag and dead time per input, fitted on the simulation error, so that measuring noise does not bend the gain.

    y = level + sum over inputs of gain_1 f(x) + gain_2 f(x^2),    x standardised, f: one or two lags after a dead time

The square (degree 2) is a Hammerstein model: a gain that changes with the operating point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Floats

_MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class LagShape:
    """What is chosen before fitting."""

    delays: tuple[int, ...]
    degree: int
    order: int

    def terms(self) -> int:
        """Parameters per model, counted as the polynomials' are."""
        return len(self.delays) * (self.degree + 1) + 1

    def memory(self) -> int:
        """Rows needed before the first simulated one."""
        return 1

    def words(self) -> str:
        """For people."""
        bent = ", gain bends with the input" if self.degree > 1 else ""
        return f"gain, lag of order {self.order} and dead time ({', '.join(map(str, self.delays))} rows){bent}"


@dataclass(frozen=True, kw_only=True)
class Lag:
    """One fitted output; `gains` has a row per input and a column per power; times in rows."""

    shape: LagShape
    gains: Floats
    times: Floats
    level: float
    middle: Floats
    spread: Floats
    low: float
    high: float
    holds_offset: bool

    def run(self, u: Floats, start: Floats) -> Floats:
        """Free run; what the start lies beside the model fades with the slowest lag, or is held."""
        found = np.full(len(u), self.level)
        for i in range(u.shape[1]):
            x = (u[:, i] - self.middle[i]) / self.spread[i]
            for power in range(self.shape.degree):
                lagged = _lagged(x ** (power + 1), float(self.times[i]), self.shape.delays[i], self.shape.order)
                found += self.gains[i, power] * lagged
        given = len(start)
        near = slice(max(0, given - 5), given)
        offset = float(np.mean(start[near] - found[near]))
        after = np.arange(len(u)) - given + 1.0
        fade = 1.0 if self.holds_offset else np.exp(-np.maximum(after, 0.0) / float(self.times.max()))
        found = np.clip(found + offset * fade, self.low, self.high)
        found[:given] = start
        return found


def fit_lag(u: Floats, y: Floats, shape: LagShape, guess: Sequence[float] = ()) -> Lag:
    """Times by nonlinear least squares, gains by linear least squares inside it."""
    from scipy.optimize import least_squares

    u, y = u[:_MOST_ROWS], y[:_MOST_ROWS]
    middle, spread = u.mean(axis=0), u.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    x, known = (u - middle) / spread, np.isfinite(y)
    begin = np.log(np.array(guess) if len(guess) else np.full(u.shape[1], max(3.0, len(u) / 200)))
    wide = (np.log(0.05), np.log(len(u) / 2))

    def error(logs: Floats) -> Floats:
        terms = _terms(x, np.exp(logs), shape)[known]
        return np.asarray(terms @ np.linalg.lstsq(terms, y[known], rcond=None)[0] - y[known])

    found = least_squares(error, np.clip(begin, wide[0] + 0.01, wide[1] - 0.01), bounds=wide, max_nfev=25)
    times = np.exp(found.x)
    terms = _terms(x, times, shape)[known]
    weights = np.linalg.lstsq(terms, y[known], rcond=None)[0]
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    room = 0.5 * (high - low)
    return Lag(
        shape=shape,
        gains=np.asarray(
            weights[1 : 1 + u.shape[1] * shape.degree].reshape(u.shape[1], shape.degree), dtype=np.float64
        ),
        times=times,
        level=float(weights[0]),
        middle=middle,
        spread=spread,
        low=0.0 if 0.0 <= low < room else low - room,
        high=high + room,
        holds_offset=False,
    )


def _terms(x: Floats, times: Floats, shape: LagShape) -> Floats:
    rows = np.arange(len(x), dtype=np.float64)
    columns = [np.ones(len(x))]
    for i, delay in enumerate(shape.delays):
        powers = (x[:, i] ** (p + 1) for p in range(shape.degree))
        columns += [_lagged(power, float(times[i]), delay, shape.order) for power in powers]
    columns += [np.exp(-rows / t) for t in times]  # the unknown state at the first row
    return np.column_stack(columns)


def _lagged(x: Floats, time: float, delay: int, order: int) -> Floats:
    from scipy.signal import lfilter

    held = np.concatenate([np.full(delay, x[0]), x[: len(x) - delay]]) if delay else x
    keep = float(np.exp(-1.0 / time))
    for _ in range(order):
        held = lfilter([0.0, 1.0 - keep], [1.0, -keep], held, zi=[held[0]])[0]
    return np.asarray(held)
