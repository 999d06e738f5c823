"""Intervals from errors on assets the predicting model never saw."""

from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Floats, Ints

# Shares of the cap; errors shrink near failure, so each band of predictions has its own interval
_EDGES = (0.2, 0.4, 0.6, 0.8, 0.92)
_PER_ASSET = 3
_ENOUGH = 20


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Errors (true minus predicted, in steps, against the capped truth and against the raw one) per band."""

    edges: Floats
    assets: Ints
    errors: tuple[Floats, ...]
    raw_errors: tuple[Floats, ...]
    coverage: float
    cap: float

    def interval(self, predicted: float) -> tuple[float, float]:
        """Lower and upper end; an upper end at the cap is open."""
        low, high = self._ends(self.band(predicted))
        return max(0.0, predicted + low), min(self.cap, predicted + high)

    def intervals(self, predicted: Floats) -> Floats:
        """Many intervals, a row each."""
        ends = np.array([self._ends(band) for band in range(len(self.errors))])
        low, high = ends[np.searchsorted(self.edges, predicted, side="right")].T
        return np.column_stack([np.maximum(0.0, predicted + low), np.minimum(self.cap, predicted + high)])

    def _ends(self, band: int) -> tuple[float, float]:
        low, high = np.quantile(self.errors[band], _tails(self.coverage, int(self.assets[band])))
        return min(float(low), 0.0), max(float(high), 0.0)

    def samples(self, predicted: float) -> Floats:
        """Remaining lives that past errors make plausible."""
        return np.maximum(predicted + self.raw_errors[self.band(predicted)], 0.5)

    def band(self, predicted: float) -> int:
        """The band a prediction falls in."""
        return int(np.searchsorted(self.edges, predicted, side="right"))


def _tails(coverage: float, assets: int) -> tuple[float, float]:
    """The quantiles to take: a little further out the fewer assets there are, as in split conformal prediction."""
    high = min(1.0, (1 + coverage) / 2 * (assets + 1) / assets)
    return 1 - high, high


def calibrate(
    predicted: Floats, truth: Floats, asset: Ints, *, cap: float, coverage: float, rng: np.random.Generator
) -> Calibration:
    """Learn from out-of-bag predictions: at most three rows per asset and band, so that no asset dominates."""
    edges = np.array(_EDGES) * cap
    band = np.searchsorted(edges, predicted, side="right")
    chosen = [_per_asset(np.flatnonzero(band == b), asset, rng) for b in range(len(edges) + 1)]
    chosen = [rows if len(rows) >= _ENOUGH else _widened(b, band, asset, rng) for b, rows in enumerate(chosen)]
    capped = np.minimum(truth, cap)
    return Calibration(
        edges=edges,
        assets=np.array([len(np.unique(asset[rows])) for rows in chosen]),
        errors=tuple(np.sort(capped[rows] - predicted[rows]) for rows in chosen),
        raw_errors=tuple(np.sort(truth[rows] - predicted[rows]) for rows in chosen),
        coverage=coverage,
        cap=cap,
    )


def reliability(
    predicted: Floats, truth: Floats, asset: Ints, *, cap: float, rng: np.random.Generator
) -> list[dict[str, float]]:
    """Declared coverage beside the one measured on assets that neither model nor quantiles have seen."""
    half = asset % 2 == 0
    found = []
    for declared in (0.5, 0.7, 0.8, 0.9, 0.95):
        inside, widths = [], []
        for learn, test in ((half, ~half), (~half, half)):
            if not (learn.any() and test.any()):
                continue
            law = calibrate(predicted[learn], truth[learn], asset[learn], cap=cap, coverage=declared, rng=rng)
            ends = law.intervals(predicted[test])
            capped = np.minimum(truth[test], cap)
            inside.append((capped >= ends[:, 0]) & (capped <= ends[:, 1]))
            widths.append(ends[:, 1] - ends[:, 0])
        if inside:
            measured, width = np.concatenate(inside).mean(), np.concatenate(widths).mean()
            found.append({"declared": declared, "measured": round(float(measured), 3), "width": round(float(width), 2)})
    return found


def _widened(band_wanted: int, band: Ints, asset: Ints, rng: np.random.Generator) -> Ints:
    """Too few cases of its own: take the bands around as well, nearest first, until there are enough."""
    for distance in range(1, len(_EDGES) + 1):
        rows = _per_asset(np.flatnonzero(abs(band - band_wanted) <= distance), asset, rng)
        if len(rows) >= _ENOUGH:
            return rows
    return np.arange(len(band))


def _per_asset(rows: Ints, asset: Ints, rng: np.random.Generator) -> Ints:
    shuffled = rng.permutation(rows)
    order = np.argsort(asset[shuffled], kind="stable")
    shuffled = shuffled[order]
    first = np.r_[True, asset[shuffled][1:] != asset[shuffled][:-1]] if len(rows) else np.empty(0, dtype=bool)
    starts = np.flatnonzero(first)
    place = np.arange(len(shuffled)) - np.repeat(starts, np.diff(np.r_[starts, len(shuffled)]))
    return np.asarray(shuffled[place < _PER_ASSET])
