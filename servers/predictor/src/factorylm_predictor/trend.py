"""A health indicator on its way to a limit, where no failure was ever seen: how long, how sure, or 'it is flat'."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.means import run_means

TrendCode = Literal["flat", "away_from_limit", "too_far", "too_short", "passed"]
_POINTS = 120
FEWEST_POINTS = 20
_SIGNIFICANCE = 0.003
_RESAMPLES = 400
_STRETCHES = (1.0, 0.5, 0.25)
# A line through the past says little about more than three times as much future
_FURTHEST = 3.0


@dataclass(frozen=True, kw_only=True)
class TrendAnswer:
    """Time from the last row until the limit, as 5/50/95 % quantiles, or the reason there is none."""

    slope: float
    p_value: float
    level_now: float
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    refused: TrendCode | None = None
    reason: str = ""


def time_to_limit(times: Floats, values: Floats, limit: float, *, rng: np.random.Generator) -> TrendAnswer:
    """Significance-tested straight trend, extrapolated with bootstrapped blocks of its residuals."""
    known = np.isfinite(times) & np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) < FEWEST_POINTS:
        return _refuse(np.nan, 1.0, np.nan, "too_short", f"{len(times)} values; {FEWEST_POINTS} are the least")
    if not times[-1] > times[0]:
        raise DataError("all values have the same time", hint="name the column that advances")
    times, values, slope, p_value = _clearest_stretch(times, values)
    fitted = slope * times + float(np.median(values - slope * times))
    now = float(fitted[-1])
    span = float(times[-1] - times[0])
    if refused := _refusal(slope, p_value, now, values, limit, span):
        return _refuse(slope, p_value, now, *refused)
    until = _crossings(times, fitted, values - fitted, limit, rng)
    p5, p50, p95 = (float(v) for v in np.quantile(until, [0.05, 0.5, 0.95]))
    return TrendAnswer(slope=slope, p_value=p_value, level_now=now, p5=p5, p50=p50, p95=p95)


def _refusal(
    slope: float, p_value: float, now: float, values: Floats, limit: float, span: float
) -> tuple[TrendCode, str] | None:
    if p_value > _SIGNIFICANCE:
        return "flat", f"no trend: one this strong appears by chance in {p_value:.0%} of flat records"
    started = float(np.median(values[: max(3, len(values) // 10)]))
    if (now - limit) * (started - limit) <= 0:
        return "passed", f"the limit {limit:g} has been reached: now {now:.6g}"
    if slope * (limit - now) <= 0:
        return "away_from_limit", f"the trend leads away from the limit {limit:g}"
    ahead = (limit - now) / slope
    if ahead > _FURTHEST * span:
        return (
            "too_far",
            f"the limit lies {ahead / span:.1f} times the record ahead; {_FURTHEST:g} is the most a line can say",
        )
    return None


def _refuse(slope: float, p_value: float, now: float, code: TrendCode, reason: str) -> TrendAnswer:
    return TrendAnswer(slope=slope, p_value=p_value, level_now=now, refused=code, reason=reason)


def _clearest_stretch(times: Floats, values: Floats) -> tuple[Floats, Floats, float, float]:
    """The whole record or its latest half or quarter, whichever trends most clearly; wear rarely starts on day one.

    Looking three times finds chance three times as often, so the p-value is tripled.
    """
    found = []
    for share in _STRETCHES:
        rows = times >= times[-1] - share * (times[-1] - times[0])
        if rows.sum() >= FEWEST_POINTS:
            some_times, some_values = _thinned(times[rows], values[rows])
            slope = theil_sen(some_times, some_values)
            p_value = trend_p_value(some_values, some_values - slope * some_times)
            found.append((some_times, some_values, slope, min(1.0, len(_STRETCHES) * p_value)))
    return min(found, key=lambda stretch: stretch[3])


def _thinned(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(times, kind="stable")
    run = max(1, len(times) // _POINTS)
    times, means = run_means(times[order], values[order, None], run)
    return times, means[:, 0]


def theil_sen(times: Floats, values: Floats) -> float:
    """The median of all pairwise slopes: outliers do not bend it."""
    i, j = np.triu_indices(len(times), 1)
    ahead = times[j] > times[i]
    return float(np.median((values[j] - values[i])[ahead] / (times[j] - times[i])[ahead]))


def trend_p_value(values: Floats, residuals: Floats) -> float:
    """Two-sided Mann-Kendall, its variance widened for autocorrelation of the ranks (Hamed and Rao 1998)."""
    count = len(values)
    i, j = np.triu_indices(count, 1)
    score = float(np.sign(values[j] - values[i]).sum())
    ranks = np.argsort(np.argsort(residuals)).astype(np.float64)
    ranks -= ranks.mean()
    lags = np.arange(1, count // 4)
    correlation = np.array([(ranks[:-k] * ranks[k:]).sum() for k in lags]) / (ranks**2).sum()
    correlation = np.where(correlation > 1.645 / np.sqrt(count), correlation, 0.0)  # significant ones alone
    weight = (count - lags) * (count - lags - 1) * (count - lags - 2)
    widened = 1 + 2 / (count * (count - 1) * (count - 2)) * float((weight * correlation).sum())
    variance = count * (count - 1) * (2 * count + 5) / 18 * widened
    return _two_sided(max(0.0, abs(score) - 1) / np.sqrt(variance))


def _two_sided(z: float) -> float:
    from math import erfc, sqrt

    return erfc(z / sqrt(2))


def _crossings(times: Floats, fitted: Floats, residuals: Floats, limit: float, rng: np.random.Generator) -> Floats:
    """Times until the limit over resampled records; a record that never gets there counts as the furthest."""
    count = len(times)
    block = max(3, round(2 * np.sqrt(count)))
    furthest = 2 * _FURTHEST * float(times[-1] - times[0])
    until = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        starts = rng.integers(0, count - block + 1, count // block + 1)
        noise = np.concatenate([residuals[s : s + block] for s in starts])[:count]
        record = fitted + noise
        slope = theil_sen(times[::2], record[::2])
        now = slope * times[-1] + float(np.median(record - slope * times))
        # the machine itself wanders about the line, so the first touch varies by the residuals too
        ahead = (limit - now - rng.choice(residuals)) / slope if slope != 0 else furthest
        until[k] = furthest if ahead < 0 and slope * (limit - now) < 0 else min(max(ahead, 0.0), furthest)
    return until
