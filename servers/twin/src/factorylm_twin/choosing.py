"""Which model: by its free run on a later stretch of the estimation rows, never by one-step error.

The record in time:   | fit here 50 % | choose here 25 % | judge here 25 % |

The judged quarter takes no part in the choice. For grade and band the record is cut into eight stretches; each is
simulated by a model fitted on the other seven, so that these models know nearly as much as the one that is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Floats
from factorylm_twin.equations import EQUATIONS, Law, equations_of, fit_law
from factorylm_twin.equations import TEMPLATES as LAWS
from factorylm_twin.lag import Lag, LagShape, fit_lag
from factorylm_twin.narx import Narx, Shape, fit_narx, with_delays
from factorylm_twin.tables import filled
from factorylm_twin.tanks import Tanks, fit_tanks

START_ROWS = 50
_FIT_SHARE, _CHOOSE_SHARE = 0.5, 0.75
BLOCKS = tuple(n / 8 for n in range(9))
_JUDGED = 2
_MOST_FITTED, _MOST_RUN = 20_000, 4_000
_MOST_TERMS = 250
_LONGEST_DELAY = 40
_SIMPLER_IS_BETTER, _CLOSE = 1.03, 1.1
_WELL_ENOUGH = 0.1  # of the output's spread: the slow search of a grey box is spared then
_LEVELS, _REST_ROWS = (0.05, 0.3, 0.5, 0.7, 0.95), 400
_RIDGES = (1e-8, 1e-4, 1e-2)
TEMPLATES = ("tanks", *LAWS)

Part = Narx | Lag | Tanks | Law
Form = Shape | LagShape | str
Say = Callable[[str], None]
Signs = Sequence[int]
"""Per input: 1 where it can only raise the output, -1 where it can only lower it, 0 where nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A chosen model with what free runs on stretches kept apart said."""

    part: Part
    siblings: tuple[Part, ...]
    rivals: tuple[Part, ...]
    words: str
    fit_percent: float
    rmse: float
    remembers: float
    against: int | None
    horizons: tuple[int, ...]
    band: Floats


def choose(u: Floats, y: Floats, template: str, say: Say, signs: Signs = ()) -> Judged:
    """The best model of one output; `u` has no gaps, `y` may have."""
    form, rivals = _best_form(u, y, template, say, signs)
    say(f"judging {words_of(form)}")
    part = fit_form(u, y, form)
    siblings, misses = zip(*(_block(u, y, form, part, n) for n in range(len(BLOCKS) - 1)), strict=True)
    judged = [m[0] for m in misses[-_JUDGED:]]
    rmse = float(np.sqrt(np.nanmean(np.concatenate(judged) ** 2)))
    horizons, band = _band([m[0] for m in misses], [run for m in misses for run in m[1:]])
    return Judged(
        part=part,
        siblings=siblings,
        rivals=tuple(fit_form(u, y, other) for other in rivals),
        words=words_of(form),
        fit_percent=100.0 * (1.0 - rmse / _spread(y)),
        rmse=rmse,
        remembers=_remembered(part, u, y),
        against=_against(part, u, y, signs),
        horizons=horizons,
        band=band,
    )


def fit_form(u: Floats, y: Floats, form: Form, near: Part | None = None) -> Part:
    """Fit what was chosen; a model `near` by saves the search for a start."""
    if isinstance(form, Shape):
        return fit_narx(u, y, form)
    if isinstance(form, LagShape):
        return fit_lag(u, y, form, near.times.tolist() if isinstance(near, Lag) else ())
    if form in EQUATIONS:
        return fit_law(u, y, form, near if isinstance(near, Law) else None)
    return fit_tanks(u, y, near if isinstance(near, Tanks) else None)


def words_of(form: Form) -> str:
    """The form for people."""
    if not isinstance(form, str):
        return form.words()
    if form in EQUATIONS:
        return f"{EQUATIONS[form].words} (grey box)"
    return "two tanks (grey box) with a correction on simulated states"


def free_run(part: Part, u: Floats, y: Floats, begin: int, end: int) -> Floats:
    """Actual minus simulated from `begin`, started on the rows before it."""
    start = max(0, min(begin - START_ROWS, len(y) - 1))
    given = filled(y[start:begin, None])[:, 0] if begin > start else np.array([np.nanmean(y)])
    found = part.run(u[start:end], given)
    return np.asarray(y[begin:end] - found[begin - start :])


def _spread(y: Floats) -> float:
    """Of the judged stretches, unless they happen to be quiet."""
    edge = int(BLOCKS[-1 - _JUDGED] * len(y))
    return max(float(np.nanstd(y[edge:])), 0.5 * float(np.nanstd(y)))


def _against(part: Part, u: Floats, y: Floats, signs: Signs) -> int | None:
    """The first input whose known sign the steady values break somewhere between its usual ends."""
    start = np.full(START_ROWS, float(np.nanmean(y)))
    for column, sign in enumerate(signs):
        ends = []
        for value in np.quantile(u[:, column], _LEVELS) if sign else ():
            place = np.median(u, axis=0)
            place[column] = value
            ends.append(float(part.run(np.repeat(place[None], _REST_ROWS, axis=0), start)[-1]))
        if ends and (sign * np.diff(ends) < -1e-6 * float(np.nanstd(y))).any():
            return column
    return None


def _remembered(part: Part, u: Floats, y: Floats) -> float:
    """Which share of another start is still there after a stretch: near 1 where the output adds up its inputs."""
    rows, away = int(BLOCKS[1] * len(u)), 0.25 * float(np.nanstd(y))
    start = np.full(START_ROWS, float(np.nanmean(y)))
    drive = np.repeat(u.mean(axis=0)[None], rows + START_ROWS, axis=0)
    return abs(float(part.run(drive, start + away)[-1] - part.run(drive, start)[-1])) / away


def _best_form(u: Floats, y: Floats, template: str, say: Say, signs: Signs) -> tuple[Form, list[Form]]:
    """The form, and the best forms of other families that come close to it."""
    cut, end = int(_FIT_SHARE * len(u)), int(_CHOOSE_SHARE * len(u))
    end = min(end, cut + _MOST_RUN)
    first = max(0, cut - _MOST_FITTED)
    u, y, cut = u[first:end], y[first:end], cut - first

    def error(form: Form) -> float:
        miss = free_run(fit_form(u[:cut], y[:cut], form), u, y, cut, len(u))
        return float(np.sqrt(np.nanmean(miss**2)))

    scored: list[tuple[float, int, Form]] = []
    if template in LAWS:
        return min(equations_of(template, u.shape[1]), key=error), []
    if template:
        return template, []
    say("searching dead times")
    delays = _dead_times(u, error)
    for form in _forms(u, cut, delays):
        scored.append((error(form), form.terms(), form))
        say(f"{form.words()}: {scored[-1][0]:.4g}")
    missed = min(s[0] for s in scored) > _WELL_ENOUGH * float(np.nanstd(y))
    if missed and _looks_like_tanks(u, y):
        say("trying two tanks")
        scored.append((error("tanks"), 100, "tanks"))
    if any(signs):
        lawful = [s for s in scored if _against(fit_form(u[:cut], y[:cut], s[2]), u, y, signs) is None]
        scored = lawful or scored
    best = min(s[0] for s in scored)
    good = [s for s in scored if s[0] <= best * _SIMPLER_IS_BETTER]
    _, _, chosen = min(good, key=lambda s: (s[1], s[0]))
    leaders = {_family(form): form for found, _, form in sorted(scored, key=lambda s: -s[0]) if found <= best * _CLOSE}
    rivals = [form for family, form in leaders.items() if family != _family(chosen)]
    return chosen, rivals


def _family(form: Form) -> str:
    return form if isinstance(form, str) else f"{type(form).__name__} {min(form.degree, 2)}"


def _dead_times(u: Floats, error: Callable[[Form], float]) -> tuple[int, ...]:
    """One input after the other, coarse then fine, twice, by the free run of a linear model."""
    longest = min(_LONGEST_DELAY, len(u) // 30)
    columns = u.shape[1]
    shape = Shape(na=1, nb=2, delays=(0,) * columns, degree=1, ridge=1e-8)
    best = error(shape)
    for step in (4, 1):
        for i in range(columns):
            here = shape.delays[i]
            tried = range(0, longest + 1, step) if step > 1 else range(max(0, here - 3), here + 4)
            for delay in tried:
                other = with_delays(shape, (*shape.delays[:i], delay, *shape.delays[i + 1 :]))
                if (found := error(other)) < best * 0.999:
                    shape, best = other, found
    return shape.delays


def _forms(u: Floats, rows: int, delays: tuple[int, ...]) -> Iterator[Shape | LagShape]:
    # noise makes the linear search take part of a lag for dead time, hence shorter ones are tried too
    for places in dict.fromkeys(tuple(int(max(0, d - 1) * share) for d in delays) for share in (0.0, 0.5, 1.0)):
        for degree in (1, 2):
            for order in (1, 2):
                yield LagShape(delays=places, degree=degree, order=order)
    for places in dict.fromkeys([delays, (0,) * u.shape[1]]):
        for degree, na, nb in _ORDERS:
            for ridge in _RIDGES if degree > 1 else _RIDGES[:1]:
                shape = Shape(na=na, nb=nb, delays=places, degree=degree, ridge=ridge)
                if shape.terms() <= min(_MOST_TERMS, rows // 5):
                    yield shape


_ORDERS = [(1, na, nb) for na in (1, 2, 4) for nb in (1, 2, 4, 8)]
_ORDERS += [(2, na, nb) for na in (1, 2, 4) for nb in (1, 2, 4, 8)]
_ORDERS += [(3, 1, 2), (3, 2, 2), (3, 3, 3), (3, 4, 4)]


def _looks_like_tanks(u: Floats, y: Floats) -> bool:
    """One pump and one level, neither negative, in a record short enough to search."""
    return u.shape[1] == 1 and len(y) <= _MOST_RUN and float(u.min()) >= 0 and float(np.nanmin(y)) >= 0


def _block(u: Floats, y: Floats, form: Form, near: Part, number: int) -> tuple[Part, list[Floats]]:
    """A model fitted without one stretch, and its errors there from several starts; the first is the whole stretch."""
    begin, end = (int(share * len(y)) for share in BLOCKS[number : number + 2])
    seen = y.copy()
    seen[begin:end] = np.nan
    part = fit_form(u, seen, form, near)
    end = min(end, begin + _MOST_RUN)
    first = max(begin, min(START_ROWS, end - 4))  # every start has its rows, as a simulation of new data has
    starts = [first + int(share * (end - first)) for share in (0.0, 0.25, 0.5, 0.75)]
    return part, [free_run(part, u, y, start, end) for start in starts]


def _band(whole: list[Floats], later: Sequence[Floats] = (), coverage: float = 0.9) -> tuple[tuple[int, ...], Floats]:
    """Split conformal half widths by horizon: up to each listed number of rows ahead; never wider nearer by.

    Runs that start `later` in a stretch count near by only: far out each row of the record counts once.
    """
    longest = max(len(m) for m in whole)
    # the last width, which holds for all later rows, is counted on three quarters of each stretch or more
    ends = [e for e in (2, 5, 10, 20, 50) if e <= longest / 4] + [longest]
    widths, begin = [], 0
    for end in ends:
        runs = whole if end == longest else [*whole, *later]
        pooled = np.concatenate([np.abs(m[begin:end]) for m in runs])
        pooled = np.sort(pooled[np.isfinite(pooled)])
        place = min(int(np.ceil((len(pooled) + 1) * coverage)), len(pooled)) - 1
        widths.append(float(pooled[place]) if len(pooled) else 0.0)
        begin = end
    # from the far end, where most errors were counted: a handful of early ones must not widen everything after them
    return tuple(ends), np.minimum.accumulate(np.array(widths)[::-1])[::-1].copy()


def free_run_band(part: Part, u: Floats, y: Floats) -> tuple[float, float, tuple[int, ...], Floats]:
    """Fit percent, RMSE and band of a model that was not chosen here, from free runs on eight stretches."""
    size = min(len(y) // 8, _MOST_RUN)
    misses = [free_run(part, u, y, begin, begin + size) for begin in range(START_ROWS, len(y) - size + 1, size)]
    rmse = float(np.sqrt(np.nanmean(np.concatenate(misses) ** 2)))
    horizons, band = _band(misses)
    return 100.0 * (1.0 - rmse / float(np.nanstd(y))), rmse, horizons, band
