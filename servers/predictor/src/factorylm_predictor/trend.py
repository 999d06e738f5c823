"""A health indicator on its way to a limit, where no failure was ever seen: how long, how sure, or 'it is flat'."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.means import run_means

TrendCode = Literal["flat", "away_from_limit", "too_far", "too_short", "passed", "levels_off"]
Bend = Literal["steepens", "levels_off"]
_POINTS = 120
FEWEST_POINTS = 20
_SIGNIFICANCE = 0.003
_RESAMPLES = 400
_STRETCHES = (1.0, 0.5, 0.25)
# A straight record is called bent once in some 400
_BENT_Z = 3.0
# A line through the past says little about more than three times as much future
_FURTHEST = 3.0


@dataclass(frozen=True, kw_only=True)
class TrendAnswer:
    """Time from the last row until the limit, as 5/50/95 % quantiles, or the reason there is none.

    `bend` where the record is no straight line; the quantiles then span lines and curves through its latest parts.
    """

    slope: float
    p_value: float
    level_now: float
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    bend: Bend | None = None
    refused: TrendCode | None = None
    reason: str = ""


def time_to_limit(times: Floats, values: Floats, limit: float, *, rng: np.random.Generator) -> TrendAnswer:
    """Significance-tested trend over the longest straight stretch, extrapolated with blocks of its residuals.

    Where a stretch bends, how it goes on is as uncertain as the shape: line and parabolas are pooled.
    """
    known = np.isfinite(times) & np.isfinite(values)
    times, values = times[known], values[known]
    if len(times) < FEWEST_POINTS:
        return _refuse(np.nan, 1.0, np.nan, "too_short", f"{len(times)} values; {FEWEST_POINTS} are the least")
    if not times[-1] > times[0]:
        raise DataError("all values have the same time", hint="name the column that advances")
    stretches = _stretches(times, values)
    line = _straightest(stretches)
    bent = [stretch for stretch in stretches if stretch.bend]
    bend = bent[0].bend if bent else None
    if refused := _refusal(line, limit, bend):
        return _refuse(line.slope, line.p_value, line.now, *refused)
    until = [_crossings(line, limit, rng), *(_curved_crossings(stretch, limit, rng) for stretch in bent)]
    p5, p50, p95 = (float(v) for v in np.quantile(np.concatenate(until), [0.05, 0.5, 0.95]))
    if bend == "levels_off" and p50 >= _FURTHEST * line.span:
        reason = f"the trend levels off; whether it reaches {limit:g} cannot be said"
        return _refuse(line.slope, line.p_value, line.now, "levels_off", reason)
    return TrendAnswer(slope=line.slope, p_value=line.p_value, level_now=line.now, p5=p5, p50=p50, p95=p95, bend=bend)


def _refusal(line: "_Stretch", limit: float, bend: Bend | None) -> tuple[TrendCode, str] | None:
    if not line.clear:
        return "flat", f"no trend: one this strong appears by chance in {line.p_value:.0%} of flat records"
    now, values = line.now, line.values
    started = float(np.median(values[: max(3, len(values) // 10)]))
    if (now - limit) * (started - limit) <= 0:
        return "passed", f"the limit {limit:g} has been reached: now {now:.6g}"
    if line.slope * (limit - now) <= 0:
        return "away_from_limit", f"the trend leads away from the limit {limit:g}"
    ahead = (limit - now) / line.slope / line.span
    if ahead > _FURTHEST:
        sooner = "; it steepens, so it comes sooner, and when cannot be said" if bend == "steepens" else ""
        most = f"{_FURTHEST:g} is the most a line can say{sooner}"
        return "too_far", f"on a line the limit lies {ahead:.1f} times the record ahead; {most}"
    return None


def _refuse(slope: float, p_value: float, now: float, code: TrendCode, reason: str) -> TrendAnswer:
    return TrendAnswer(slope=slope, p_value=p_value, level_now=now, refused=code, reason=reason)


@dataclass(frozen=True, kw_only=True)
class _Stretch:
    """The latest part of a record, and the straight line through it."""

    times: Floats
    values: Floats
    slope: float
    p_value: float
    bend: Bend | None

    @property
    def clear(self) -> bool:
        return self.p_value <= _SIGNIFICANCE

    @property
    def fitted(self) -> Floats:
        return self.slope * self.times + float(np.median(self.values - self.slope * self.times))

    @property
    def now(self) -> float:
        return float(self.fitted[-1])

    @property
    def span(self) -> float:
        return float(self.times[-1] - self.times[0])

    @property
    def furthest(self) -> float:
        return 2 * _FURTHEST * self.span


def _stretches(times: Floats, values: Floats) -> list[_Stretch]:
    """The whole record, its latest half and quarter; looking three times finds chance three times as often, so the
    p-value is tripled.
    """
    found = []
    for share in _STRETCHES:
        rows = times >= times[-1] - share * (times[-1] - times[0])
        if rows.sum() >= FEWEST_POINTS:
            some_times, some_values = _thinned(times[rows], values[rows])
            slope = theil_sen(some_times, some_values)
            p_value = trend_p_value(some_values, some_values - slope * some_times)
            found.append(
                _Stretch(
                    times=some_times,
                    values=some_values,
                    slope=slope,
                    p_value=min(1.0, len(_STRETCHES) * p_value),
                    bend=_bend(some_times, some_values, slope),
                )
            )
    return found


def _straightest(stretches: Sequence[_Stretch]) -> _Stretch:
    """The longest that trends and does not bend: wear rarely starts on day one. Where all bend, the latest that
    trends; where none trends, the clearest.
    """
    clear = [stretch for stretch in stretches if stretch.clear]
    if not clear:
        return min(stretches, key=lambda stretch: stretch.p_value)
    return next((stretch for stretch in clear if stretch.bend is None), clear[-1])


def _bend(times: Floats, values: Floats, slope: float) -> Bend | None:
    """Whether a parabola fits better than chance, its doubt widened by how long the residuals remember."""
    x = (times - times.mean()) / times.std()
    design = np.column_stack([np.ones_like(x), x, x**2])
    weights, *_ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ weights
    variance = float((residuals**2).sum()) / (len(x) - 3)
    if variance <= 0.0:
        return None
    memory = min(max(float((residuals[1:] * residuals[:-1]).sum() / (residuals**2).sum()), 0.0), 0.95)
    doubt = np.sqrt(variance * (1 + memory) / (1 - memory) * np.linalg.inv(design.T @ design)[2, 2])
    if abs(weights[2]) <= _BENT_Z * doubt:
        return None
    return "steepens" if weights[2] * slope > 0 else "levels_off"


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


def _resampled(residuals: Floats, rng: np.random.Generator) -> Floats:
    """Residuals in another order, in blocks, so that they keep their memory."""
    count = len(residuals)
    block = max(3, round(2 * np.sqrt(count)))
    starts = rng.integers(0, count - block + 1, count // block + 1)
    return np.concatenate([residuals[s : s + block] for s in starts])[:count]


def _crossings(line: _Stretch, limit: float, rng: np.random.Generator) -> Floats:
    """Times until the limit over resampled records; a record that never gets there counts as the furthest."""
    times, fitted, furthest = line.times, line.fitted, line.furthest
    residuals = line.values - fitted
    until = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        record = fitted + _resampled(residuals, rng)
        slope = theil_sen(times[::2], record[::2])
        now = slope * times[-1] + float(np.median(record - slope * times))
        # the machine itself wanders about the line, so the first touch varies by the residuals too
        ahead = (limit - now - rng.choice(residuals)) / slope if slope != 0 else furthest
        until[k] = furthest if ahead < 0 and slope * (limit - now) < 0 else min(max(ahead, 0.0), furthest)
    return until


def _curved_crossings(stretch: _Stretch, limit: float, rng: np.random.Generator) -> Floats:
    """The same along a parabola: what grows faster and faster reaches the limit sooner than any line says."""
    ago = stretch.times - stretch.times[-1]
    fitted = np.polyval(np.polyfit(ago, stretch.values, 2), ago)
    residuals = stretch.values - fitted
    until = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        a, b, c = np.polyfit(ago, fitted + _resampled(residuals, rng), 2)
        roots = np.roots([a, b, c + rng.choice(residuals) - limit])
        ahead = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
        until[k] = min([*ahead, stretch.furthest])
    return until
