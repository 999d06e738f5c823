"""Lives as a Weibull distribution, from failures and from machines still running; age replacement in closed form."""

import math
from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Flags, Floats
from factorylm_predictor.errors import DataError

_SHAPE_LOW, _SHAPE_HIGH = 0.05, 50.0
_GRID = 20_001
_RESAMPLES = 200


@dataclass(frozen=True, kw_only=True)
class Lives:
    """Lives and whether each ended in a failure (else the machine still runs)."""

    life: Floats
    failed: Flags


@dataclass(frozen=True, kw_only=True)
class Weibull:
    """Shape above 1 wears out; scale is the life that 63 % do not reach."""

    shape: float
    scale: float

    def reliability(self, age: Floats) -> Floats:
        """Share still running at this age."""
        return np.asarray(np.exp(-((age / self.scale) ** self.shape)))

    def mean(self) -> float:
        """Mean life."""
        return self.scale * math.gamma(1 + 1 / self.shape)

    def remaining(self, age: float, count: int = 2000) -> Floats:
        """Evenly spread quantiles of the life left to a machine of this age."""
        share = (np.arange(count) + 0.5) / count
        used = (age / self.scale) ** self.shape
        return np.asarray(self.scale * (used - np.log1p(-share)) ** (1 / self.shape) - age)


@dataclass(frozen=True, kw_only=True)
class AgeReplacement:
    """The age to replace at; infinite where running to failure is cheapest."""

    age: float
    cost_rate: float
    run_to_failure_rate: float

    @property
    def saving(self) -> float:
        """Share of the run-to-failure cost saved."""
        return 1 - self.cost_rate / self.run_to_failure_rate


_MOST_APART = 1e6


def fit_weibull(lives: Lives) -> Weibull:
    """Maximum likelihood with censoring."""
    if not lives.failed.any():
        raise DataError("none of the lives ended in a failure", hint="a life distribution needs failures")
    if not (np.isfinite(lives.life).all() and (lives.life > 0).all()):
        raise DataError("a life is not a positive number", hint="lives are running times from start to failure")
    if lives.life.max() > _MOST_APART * lives.life.min():
        raise DataError(
            f"lives from {lives.life.min():g} to {lives.life.max():g} are of no one kind of machine",
            hint="are they all in one unit of time?",
        )
    scale = float(lives.life.max())
    shape = _shape(lives.life / scale, lives.failed)
    level = ((lives.life / scale) ** shape).sum() / lives.failed.sum()
    return Weibull(shape=shape, scale=scale * float(level) ** (1 / shape))


def _shape(life: Floats, failed: Flags) -> float:
    """The root of the profile likelihood's derivative, which only falls with the shape."""
    logs = np.log(life)
    mean_log = float(logs[failed].mean())
    low, high = _SHAPE_LOW, _SHAPE_HIGH
    for _ in range(60):
        middle = math.sqrt(low * high)
        powers = life**middle
        slope = 1 / middle + mean_log - float((powers * logs).sum() / powers.sum())
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.sqrt(low * high)


def shape_interval(lives: Lives, rng: np.random.Generator, coverage: float = 0.9) -> tuple[float, float]:
    """Bootstrap interval of the shape."""
    shapes = []
    for _ in range(_RESAMPLES):
        rows = rng.integers(0, len(lives.life), len(lives.life))
        if lives.failed[rows].any():
            shapes.append(_shape(lives.life[rows] / lives.life.max(), lives.failed[rows]))
    low, high = np.quantile(shapes, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def best_age(law: Weibull, planned: float, unplanned: float) -> AgeReplacement:
    """The age with the smallest long-run cost per unit of running time."""
    never = unplanned / law.mean()
    if law.shape <= 1:
        return AgeReplacement(age=math.inf, cost_rate=never, run_to_failure_rate=never)
    # Past this age almost everything has failed, and replacing on age is the same as running to failure
    horizon = law.scale * max(3.0, (-math.log(1e-9)) ** (1 / law.shape))
    ages = np.linspace(0, horizon, _GRID)
    alive = law.reliability(ages)
    run = np.concatenate([[0.0], np.cumsum((alive[1:] + alive[:-1]) / 2 * np.diff(ages))])
    rates = (planned * alive[1:] + unplanned * (1 - alive[1:])) / run[1:]
    best = int(rates.argmin())
    if best >= len(rates) - 2 or rates[best] >= never:
        return AgeReplacement(age=math.inf, cost_rate=never, run_to_failure_rate=never)
    return AgeReplacement(age=float(ages[best + 1]), cost_rate=float(rates[best]), run_to_failure_rate=never)
