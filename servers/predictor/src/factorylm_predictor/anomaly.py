"""Is this machine behaving as usual? Rows judged against a healthy baseline, at a declared false-alarm rate.

The limit comes from blocks of the baseline that the statistics did not see: limits taken from the rows a model was
fitted on raise several times the declared alarms on the next healthy day.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Flags, Floats
from factorylm_predictor.charts import CONTEXT_ROWS, Cusum, Ewma, Statistic, kernel_of, principal_pair
from factorylm_predictor.conditions import Conditions, learn_conditions
from factorylm_predictor.errors import DataError

Method = Literal["auto", "ewma", "cusum", "pca", "aakr"]
METHODS: tuple[Method, ...] = ("auto", "ewma", "cusum", "pca", "aakr")
FEWEST_ROWS = 60
_BLOCKS = 5


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Rows judged: `score` above 1 is an alarm; `carriers` are places of tags, the strongest first."""

    score: Floats
    carriers: list[list[int]]

    @property
    def flags(self) -> Flags:
        """The rows in alarm."""
        return np.asarray(self.score > 1)


@dataclass(frozen=True, kw_only=True)
class Detector:
    """Statistics learned from a healthy baseline, and the limit that keeps to the declared rate."""

    tags: tuple[str, ...]
    conditions: Conditions
    statistics: tuple[Statistic, ...]
    scales: tuple[float, ...]
    limit: float
    false_alarm_rate: float
    baseline_rate: float
    notes: tuple[str, ...]

    def judge(self, settings: Floats, values: Floats, *, skip: int = 0) -> Judgement:
        """Judge rows in time order; the first `skip` are context only."""
        away = _away(self.conditions, settings, values)
        scores = np.stack([s.score(away) / k for s, k in zip(self.statistics, self.scales, strict=True)])
        score = (scores.max(axis=0) / self.limit)[skip:]
        strongest = scores.argmax(axis=0)[skip:]
        flagged = score > 1
        parts = {i: self.statistics[i].parts(away)[skip:] for i in np.unique(strongest[flagged]).tolist()}
        carriers = [_best(parts[s][i]) if f else [] for i, (s, f) in enumerate(zip(strongest, flagged, strict=True))]
        return Judgement(score=score, carriers=carriers)


def learn_detector(
    settings: Floats,
    values: Floats,
    tags: tuple[str, ...],
    *,
    method: Method = "auto",
    false_alarm_rate: float = 0.01,
    notes: Sequence[str] = (),
) -> Detector:
    """Learn from healthy rows in time order."""
    known = np.isfinite(values).all(axis=1) & np.isfinite(settings).all(axis=1)
    settings, values = settings[known], values[known]
    if len(values) < FEWEST_ROWS:
        raise DataError(
            f"{len(values)} complete healthy rows are too few to say what is usual",
            hint=f"give at least {FEWEST_ROWS}, better a week with every way the machine is run",
        )
    moving = _moving(values)
    still = [
        f"'{t}' never changes in the baseline and is not judged" for t, m in zip(tags, moving, strict=True) if not m
    ]
    values = values[:, moving]
    held_out = _held_out_scores(settings, values, method)
    scales = tuple(max(float(np.quantile(s, 0.99)), 1e-12) for s in held_out)
    together = np.max([s / k for s, k in zip(held_out, scales, strict=True)], axis=0)
    limit = _limit(together, false_alarm_rate)
    conditions = _healthy(settings, values)
    return Detector(
        tags=tuple(t for t, m in zip(tags, moving, strict=True) if m),
        conditions=conditions,
        statistics=_statistics(_away(conditions, settings, values), method),
        scales=scales,
        limit=limit,
        false_alarm_rate=false_alarm_rate,
        baseline_rate=float((together > limit).mean()),
        notes=(*notes, *still),
    )


def _moving(values: Floats) -> Flags:
    moving = np.array([np.ptp(v) > 1e-9 * np.abs(v).max() for v in values.T], dtype=bool)
    if not moving.any():
        raise DataError("no tag ever changes in the baseline", hint="is it the right file?")
    return moving


class StreamJudge:
    """Judges blocks of rows as they come, carrying enough context from one to the next."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._context: tuple[Floats, Floats] | None = None

    def next(self, settings: Floats, values: Floats) -> Judgement:
        """Judge the next rows in time order."""
        skip = 0
        if self._context:
            skip = len(self._context[1])
            settings, values = np.vstack([self._context[0], settings]), np.vstack([self._context[1], values])
        self._context = settings[-CONTEXT_ROWS:], values[-CONTEXT_ROWS:]
        return self._detector.judge(settings, values, skip=skip)


class Events:
    """Alarms that last: an event begins and ends after so many rows in a row that agree."""

    def __init__(self, persist: int = 5) -> None:
        self._persist = persist
        self._on = False
        self._against = 0

    def next(self, flags: Flags) -> Flags:
        """Rows that belong to an event."""
        lasting = np.empty(len(flags), dtype=bool)
        for i, flag in enumerate(flags.tolist()):
            self._against = self._against + 1 if flag != self._on else 0
            if self._against >= self._persist:
                self._on, self._against = flag, 0
            lasting[i] = self._on
        return lasting


def _statistics(away: Floats, method: Method) -> tuple[Statistic, ...]:
    makers: dict[Method, Callable[[], tuple[Statistic, ...]]] = {
        "auto": lambda: (Ewma(), *(principal_pair(away) or ())),
        "ewma": lambda: (Ewma(),),
        "cusum": lambda: (Cusum(),),
        "pca": lambda: principal_pair(away) or (Ewma(),),
        "aakr": lambda: (kernel_of(away),),
    }
    return makers[method]()


def _held_out_scores(settings: Floats, values: Floats, method: Method) -> list[Floats]:
    """Scores of every block by statistics learned on the other blocks."""
    edges = np.linspace(0, len(values), _BLOCKS + 1).astype(int)
    parts: list[list[Floats]] = []
    for a, b in pairwise(edges.tolist()):
        others = np.r_[0:a, b : len(values)]
        conditions = _healthy(settings[others], values[others])
        statistics = _statistics(_away(conditions, settings[others], values[others]), method)
        lead = max(0, a - CONTEXT_ROWS)
        away = _away(conditions, settings[lead:b], values[lead:b])
        parts.append([s.score(away)[a - lead :] for s in statistics])
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _limit(scores: Floats, rate: float) -> float:
    """The declared rate held in the worst of the blocks: the next block may be as unlike the others as that one."""
    return max(float(np.quantile(block, 1 - rate)) for block in np.array_split(scores, _BLOCKS))


def _healthy(settings: Floats, values: Floats) -> Conditions:
    return learn_conditions(settings, values, np.zeros(len(values)), seed=0)


def _away(conditions: Conditions, settings: Floats, values: Floats) -> Floats:
    """Deviations; a missing value counts as usual, because nothing is known against it."""
    return np.nan_to_num(conditions.deviations(settings, values), nan=0.0)


def _best(parts: Floats) -> list[int]:
    return [int(i) for i in np.argsort(-parts)[:3] if parts[i] > 0]
