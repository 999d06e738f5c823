"""Polynomials of past outputs and inputs, fitted by ridge, run free on their own outputs.

    y[k] = polynomial(y[k-1] .. y[k-na], u[k-d] .. u[k-d-nb+1])

Degree 1 is ARX. Lags are standardised, so that one penalty suits every unit of measure.
"""

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from factorylm_twin.arrays import Floats, Ints

_CHUNK = 8_192


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is chosen before fitting: lags, delays per input, degree, penalty."""

    na: int
    nb: int
    delays: tuple[int, ...]
    degree: int
    ridge: float

    def terms(self) -> int:
        """How many monomials it has."""
        return len(_monomials(self.na + self.nb * len(self.delays), self.degree))

    def memory(self) -> int:
        """Rows needed before the first simulated one."""
        return max(self.na, *(d + self.nb - 1 for d in self.delays))

    def words(self) -> str:
        """For people."""
        name = "linear ARX" if self.degree == 1 else f"polynomial NARX of degree {self.degree}"
        return f"{name}, {self.na} output and {self.nb} input lags, delay {', '.join(map(str, self.delays))} rows"


@dataclass(frozen=True, kw_only=True)
class Narx:
    """One fitted output."""

    shape: Shape
    weights: Floats
    middle: Floats
    spread: Floats
    low: float
    high: float

    def run(self, u: Floats, start: Floats) -> Floats:
        """Free run over `u`, given the first outputs; these come back as they were given."""
        shape, rows, given = self.shape, len(u), len(start)
        pad = shape.memory()
        outputs = np.concatenate([np.full(pad, start[0]), start, np.zeros(rows - given)])
        drivers = _input_lags(np.concatenate([np.repeat(u[:1], pad, axis=0), u]), shape)
        drivers = (drivers - self.middle[shape.na :]) / self.spread[shape.na :]
        own_middle, own_spread = self.middle[: shape.na], self.spread[: shape.na]
        powers = _monomials(len(self.middle), shape.degree)
        values = np.ones(len(self.middle) + 1)
        for k in range(pad + given, pad + rows):
            values[: shape.na] = (outputs[k - shape.na : k][::-1] - own_middle) / own_spread
            values[shape.na : -1] = drivers[k]
            found = float(self.weights @ np.multiply.reduce(values[powers], axis=1))
            outputs[k] = min(max(found, self.low), self.high) if found == found else self.high
        return outputs[pad:]


def fit_narx(u: Floats, y: Floats, shape: Shape) -> Narx:
    """Least squares with a penalty on all but the constant; rows with a gap among their lags do not count."""
    lags = _lags(u, y, shape)
    usable = np.flatnonzero(np.isfinite(lags).all(axis=1) & np.isfinite(y))
    middle, spread = lags[usable].mean(axis=0), lags[usable].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    powers = _monomials(lags.shape[1], shape.degree)
    gram, right = np.zeros((len(powers), len(powers))), np.zeros(len(powers))
    for begin in range(0, len(usable), _CHUNK):
        rows = usable[begin : begin + _CHUNK]
        terms = _terms((lags[rows] - middle) / spread, powers)
        gram += terms.T @ terms
        right += terms.T @ y[rows]
    penalty = np.full(len(powers), shape.ridge * len(usable))
    penalty[-1] = 0.0
    weights = np.linalg.lstsq(gram + np.diag(penalty), right, rcond=None)[0]
    return Narx(shape=shape, weights=np.asarray(weights, dtype=np.float64), middle=middle, spread=spread, **_range(y))


def gain_of(model: Narx, column: int) -> float:
    """Steady gain of a linear model: sum(b) / (1 - sum(a))."""
    shape = model.shape
    scaled = model.weights[:-1] / model.spread
    begin = shape.na + column * shape.nb
    return float(scaled[begin : begin + shape.nb].sum() / (1.0 - scaled[: shape.na].sum()))


def with_delays(shape: Shape, delays: tuple[int, ...]) -> Shape:
    """The same with other dead times."""
    return replace(shape, delays=delays)


def _range(y: Floats) -> dict[str, float]:
    """Half a span beyond what was seen: keeps a polynomial from running away, and touches nothing else."""
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    room = 0.5 * (high - low)
    return {"low": 0.0 if 0.0 <= low < room else low - room, "high": high + room}


def _lags(u: Floats, y: Floats, shape: Shape) -> Floats:
    own = np.column_stack([_shifted(y, lag) for lag in range(1, shape.na + 1)])
    return np.column_stack([own, _input_lags(u, shape)])


def _input_lags(u: Floats, shape: Shape) -> Floats:
    columns = [_shifted(u[:, i], d + lag) for i, d in enumerate(shape.delays) for lag in range(shape.nb)]
    return np.column_stack(columns)


def _shifted(values: Floats, lag: int) -> Floats:
    return np.concatenate([np.full(lag, np.nan), values[: len(values) - lag]]) if lag else values


def _monomials(variables: int, degree: int) -> Ints:
    """Index rows; the last variable is the constant one, so lower degrees are among them. The constant comes last."""
    return np.array(list(combinations_with_replacement(range(variables + 1), degree)), dtype=np.int64)


def _terms(lags: Floats, powers: Ints) -> Floats:
    extended = np.column_stack([lags, np.ones(len(lags))])
    result = extended[:, powers[:, 0]].copy()
    for factor in range(1, powers.shape[1]):
        result *= extended[:, powers[:, factor]]
    return result
