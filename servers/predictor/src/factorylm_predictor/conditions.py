"""Operating conditions: what a sensor should read where the machine is being run.

A machine at full load is not a worn machine. Sensors are expressed as deviations, in spreads, from what the fleet
shows under the same settings: one condition, a few clear clusters of settings, or a smooth surface over them.
Each deviation is turned so that up is towards failure. All of it is unchanged by renaming columns or changing units.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Flags, Floats, Ints

ConditionKind = Literal["one", "clusters", "surface"]
_MAX_CLUSTERS = 10
# Six flight conditions explain 99.99 % of the settings' variance, pure noise in two settings about 75 %
_CLEAR_CLUSTERS = 0.98
_ONE_MORE_IS_WORTH = 3.0
_SURFACE_WORTH = 0.2
_DECIMALS = 6


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How to turn settings and sensor values into deviations."""

    kind: ConditionKind
    setting_mean: Floats
    setting_scale: Floats
    setting_low: Floats
    setting_high: Floats
    centres: Floats
    reach: float
    level: Floats
    spread: Floats
    direction: Floats

    def deviations(self, settings: Floats, sensors: Floats) -> Floats:
        """Sensor values as spreads away from what the settings make normal; up is towards failure."""
        if self.kind == "surface":
            level, spread = _surface_terms(self._standardised(settings)) @ self.level, self.spread[0]
        else:
            regime = self.regimes(settings)
            level, spread = self.level[regime], self.spread[regime]
        away = np.divide(sensors - level, spread, out=np.zeros_like(sensors), where=spread > 0)
        away[np.isnan(sensors)] = np.nan
        return np.asarray(np.round(away * self.direction, _DECIMALS))

    def regimes(self, settings: Floats) -> Ints:
        """The cluster of each row."""
        if self.kind != "clusters":
            return np.zeros(len(settings), dtype=np.int64)
        return np.asarray(_distances(self._standardised(settings), self.centres).argmin(axis=1))

    def unseen(self, settings: Floats) -> Flags:
        """Rows whose settings lie outside everything the training saw."""
        if settings.shape[1] == 0:
            return np.zeros(len(settings), dtype=bool)
        margin = 0.1 * (self.setting_high - self.setting_low)
        outside = (settings < self.setting_low - margin) | (settings > self.setting_high + margin)
        far = np.any(outside | np.isnan(settings), axis=1)
        if self.kind == "clusters":
            nearest = _distances(self._standardised(settings), self.centres).min(axis=1)
            far |= ~(nearest <= 1.2 * self.reach)
        return np.asarray(far)

    def _standardised(self, settings: Floats) -> Floats:
        return (settings - self.setting_mean) / self.setting_scale


def learn_conditions(settings: Floats, sensors: Floats, until_failure: Floats, seed: int) -> Conditions:
    """Learn from all training rows. `until_failure` only decides which way is up."""
    scale = settings.std(axis=0)
    varies = scale > 1e-9 * np.abs(settings).max(axis=0, initial=0)
    scale = np.where(varies, scale, 1.0)
    standard = np.where(varies, (settings - settings.mean(axis=0)) / scale, 0.0)
    kind, centres = _kind_of(standard, varies, sensors, seed)
    level, spread = _levels(kind, standard, centres, sensors)
    regime = _distances(standard, centres).argmin(axis=1)
    fitted = _surface_terms(standard) @ level if kind == "surface" else level[regime]
    spreads = spread[0] if kind == "surface" else spread[regime]
    away = np.divide(sensors - fitted, spreads, out=np.zeros_like(sensors), where=spreads > 0)
    return Conditions(
        kind=kind,
        setting_mean=settings.mean(axis=0),
        setting_scale=scale,
        setting_low=settings.min(axis=0, initial=np.inf),
        setting_high=settings.max(axis=0, initial=-np.inf),
        centres=centres,
        reach=float(_distances(standard, centres).min(axis=1).max()),
        level=level,
        spread=spread,
        direction=_towards_failure(away, until_failure),
    )


def at_usual_settings(settings: Floats, values: Floats) -> Floats:
    """One tag as it would read if the machine were always run the same way, in its own unit."""
    conditions = learn_conditions(settings, values[:, None], np.zeros(len(values)), seed=0)
    away = conditions.deviations(settings, values[:, None])[:, 0] * conditions.direction[0]
    return np.asarray(values.mean() + away * float(np.median(conditions.spread)))


def _kind_of(standard: Floats, varies: Flags, sensors: Floats, seed: int) -> tuple[ConditionKind, Floats]:
    one = standard.mean(axis=0, keepdims=True)
    if not varies.any():
        return "one", one
    total = float((standard**2).sum())
    sample = standard[:: max(1, len(standard) // 5000)]
    found: list[tuple[float, Floats]] = []
    for count in range(2, _MAX_CLUSTERS + 2):
        centres = cluster(sample, count, np.random.default_rng(seed))
        left = float(_distances(standard, centres).min(axis=1).sum())
        if found and found[-1][0] < (1 - _CLEAR_CLUSTERS) * total and left > found[-1][0] / _ONE_MORE_IS_WORTH:
            return "clusters", found[-1][1]
        found.append((left, centres))
    return ("surface" if _surface_explains(standard, sensors) else "one"), one


def _surface_explains(standard: Floats, sensors: Floats) -> bool:
    terms = _surface_terms(standard)
    fitted = terms @ _ridge(terms, sensors)
    variance = sensors.var(axis=0)
    left = np.divide((sensors - fitted).var(axis=0), variance, out=np.ones_like(variance), where=variance > 0)
    return bool((left < 1 - _SURFACE_WORTH).any())


def _levels(kind: ConditionKind, standard: Floats, centres: Floats, sensors: Floats) -> tuple[Floats, Floats]:
    if kind == "surface":
        terms = _surface_terms(standard)
        weights = _ridge(terms, sensors)
        return weights, _spread(sensors - terms @ weights, sensors)[None, :]
    regime = _distances(standard, centres).argmin(axis=1)
    groups = [sensors[regime == r] for r in range(len(centres))]
    return np.stack([g.mean(axis=0) for g in groups]), np.stack([_spread(g, g) for g in groups])


def _spread(residuals: Floats, values: Floats) -> Floats:
    """Standard deviation; 0 for a constant, whatever rounding made of it."""
    spread = residuals.std(axis=0)
    return np.where(spread > 1e-9 * np.abs(values).max(axis=0), spread, 0.0)


def _surface_terms(standard: Floats) -> Floats:
    pairs = combinations_with_replacement(range(standard.shape[1]), 2)
    squares = [standard[:, i] * standard[:, j] for i, j in pairs]
    return np.asarray(np.column_stack([np.ones(len(standard)), standard, *squares]))


def _ridge(terms: Floats, sensors: Floats) -> Floats:
    penalty = 1e-6 * len(terms) * np.eye(terms.shape[1])
    penalty[0, 0] = 0.0
    return np.asarray(np.linalg.solve(terms.T @ terms + penalty, terms.T @ sensors))


def _towards_failure(away: Floats, until_failure: Floats) -> Floats:
    tendency = (away * (until_failure - until_failure.mean())[:, None]).mean(axis=0)
    return np.where(tendency > 0, -1.0, 1.0)


def _distances(points: Floats, centres: Floats) -> Floats:
    """Squared distances, a row per point, a column per centre."""
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))


def cluster(points: Floats, count: int, rng: np.random.Generator, tries: int = 5) -> Floats:
    """k-means with spread-out starts; the best of a few tries."""
    results = [_one_clustering(points, count, rng) for _ in range(tries)]
    return min(results, key=lambda centres: float(_distances(points, centres).min(axis=1).sum()))


def _one_clustering(points: Floats, count: int, rng: np.random.Generator) -> Floats:
    centres = points[rng.integers(len(points))][None, :]
    while len(centres) < count:
        weight = _distances(points, centres).min(axis=1)
        chosen = rng.choice(len(points), p=weight / weight.sum()) if weight.sum() > 0 else 0
        centres = np.vstack([centres, points[chosen]])
    for _ in range(50):
        nearest = _distances(points, centres).argmin(axis=1)
        moved = np.stack(
            [points[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k] for k in range(count)]
        )
        if np.allclose(moved, centres):
            break
        centres = moved
    return np.asarray(centres)
