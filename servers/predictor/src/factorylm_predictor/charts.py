"""Control charts: statistics that judge rows against a healthy baseline, each with the tags that carry it.

All work on deviations (spreads away from healthy), look back over a bounded context, and are written for whole
blocks of rows. `TagCharts` is the same exponentially weighted chart kept row by row, for thousands of live tags.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats
from factorylm_predictor.novelty import principal_axes

SPAN = 30
LAGS = 2
# Beyond six spans a row weighs less than a hundred-thousandth
CONTEXT_ROWS = 6 * SPAN
_KEPT_VARIANCE = 0.9
_MOST_TAGS_TOGETHER = 300
_MOST_MEMORIES = 200
_CUSUM_SLACK = 0.5


class Statistic(Protocol):
    """One way to look at rows. `parts` says how much each tag carries of the score."""

    def score(self, away: Floats) -> Floats:
        """A number per row; larger is stranger."""
        ...

    def parts(self, away: Floats) -> Floats:
        """A number per row and tag."""
        ...


@dataclass(frozen=True)
class Ewma:
    """Each tag's exponentially weighted mean: slow shifts of single tags."""

    def score(self, away: Floats) -> Floats:
        """The largest shift of any tag."""
        return np.asarray(self.parts(away).max(axis=1))

    def parts(self, away: Floats) -> Floats:
        """The size of each tag's shift."""
        return np.asarray(np.abs(weighted_mean(away, SPAN)))


@dataclass(frozen=True)
class Cusum:
    """Each tag's cumulated excess over half a spread, both ways: small lasting shifts."""

    def score(self, away: Floats) -> Floats:
        """The largest sum of any tag."""
        return np.asarray(self.parts(away).max(axis=1))

    def parts(self, away: Floats) -> Floats:
        """The larger of each tag's two sums."""
        up = down = np.zeros(away.shape[1])
        sums = np.empty_like(away)
        for i, row in enumerate(away):
            up, down = np.maximum(up + row - _CUSUM_SLACK, 0.0), np.maximum(down - row - _CUSUM_SLACK, 0.0)
            sums[i] = np.maximum(up, down)
        return sums


@dataclass(frozen=True, kw_only=True)
class Principal:
    """T² within the principal components of the last three rows, or Q: what these components cannot explain."""

    axes: Floats
    variances: Floats
    outside: bool

    def score(self, away: Floats) -> Floats:
        """T² or Q per row."""
        stacked = with_lags(away)
        coordinates = stacked @ self.axes
        if self.outside:
            return np.asarray(np.maximum((stacked**2).sum(axis=1) - (coordinates**2).sum(axis=1), 0.0))
        return np.asarray((coordinates**2 / self.variances).sum(axis=1))

    def parts(self, away: Floats) -> Floats:
        """Each tag's share, over the stacked rows."""
        stacked = with_lags(away)
        coordinates = stacked @ self.axes
        if self.outside:
            shares = (stacked - coordinates @ self.axes.T) ** 2
        else:
            shares = np.abs(stacked * (coordinates / self.variances @ self.axes.T))
        return np.asarray(shares.reshape(len(away), LAGS + 1, -1).sum(axis=1))


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Auto-associative kernel regression: the distance to what similar healthy moments predict."""

    memory: Floats
    width: float

    def score(self, away: Floats) -> Floats:
        """Squared distance to the prediction."""
        return np.asarray(self.parts(away).sum(axis=1))

    def parts(self, away: Floats) -> Floats:
        """Each tag's squared distance."""
        squared = (away**2).sum(axis=1)[:, None] + (self.memory**2).sum(axis=1) - 2 * away @ self.memory.T
        squared -= squared.min(axis=1, keepdims=True)  # the nearest weighs 1, however far everything is
        weights = np.exp(-squared / (2 * self.width**2))
        return np.asarray((away - weights @ self.memory / weights.sum(axis=1, keepdims=True)) ** 2)


def principal_pair(away: Floats) -> tuple[Principal, Principal] | None:
    """T² and Q learned from healthy rows; None for one tag, or for more tags than should be judged together."""
    if not 2 <= away.shape[1] <= _MOST_TAGS_TOGETHER:
        return None
    axes, variances = principal_axes(with_lags(away)[LAGS:], _KEPT_VARIANCE)
    return tuple(Principal(axes=axes, variances=variances, outside=o) for o in (False, True))  # type: ignore[return-value]


def kernel_of(away: Floats) -> Kernel:
    """Memories spread over the healthy rows; the width is their usual distance to the next one."""
    memory = away[np.linspace(0, len(away) - 1, min(_MOST_MEMORIES, len(away))).astype(int)]
    squared = ((memory[:, None, :] - memory[None, :, :]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    return Kernel(memory=memory, width=max(float(np.sqrt(np.median(squared.min(axis=1)))), 1e-6))


def with_lags(away: Floats) -> Floats:
    """Each row beside the rows before it; the first rows repeat the first."""
    padded = np.vstack([np.repeat(away[:1], LAGS, axis=0), away])
    return np.hstack([padded[LAGS - lag : len(padded) - lag] for lag in range(LAGS + 1)])


def weighted_mean(away: Floats, span: int) -> Floats:
    """Exponentially weighted mean that starts at the healthy level, 0."""
    share = 2 / (span + 1)
    mean = np.zeros(away.shape[1])
    means = np.empty_like(away)
    for i, row in enumerate(away):
        mean = mean + share * (row - mean)
        means[i] = mean
    return means


class TagCharts:
    """The exponentially weighted chart of many live tags, a row at a time in fixed tag order."""

    def __init__(self, baseline: Floats, *, false_alarm_rate: float = 0.01, span: int = SPAN) -> None:
        self._share = np.float32(2 / (span + 1))
        self._centre = np.nanmean(baseline, axis=0).astype(np.float32)
        spread = np.nanstd(baseline, axis=0)
        self._inverse = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0).astype(np.float32)
        charted = np.abs(weighted_mean(np.nan_to_num((baseline - self._centre) * self._inverse), span))
        limit = np.maximum(np.quantile(charted, 1 - false_alarm_rate, axis=0), 1e-6)
        self._inverse_limit = (1 / limit).astype(np.float32)
        self._mean = np.zeros(baseline.shape[1], dtype=np.float32)
        self._row = np.zeros_like(self._mean)

    def score(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each tag's chart as a share of its limit; a missing value (NaN) leaves its chart where it was."""
        row = np.subtract(values, self._centre, out=self._row)
        row *= self._inverse
        row -= self._mean
        if np.isnan(row.sum()):
            np.nan_to_num(row, copy=False)
        row *= self._share
        self._mean += row
        return np.asarray(np.abs(self._mean) * self._inverse_limit, dtype=np.float32)
