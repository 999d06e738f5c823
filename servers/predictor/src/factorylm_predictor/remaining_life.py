"""When will this machine fail? An interval with what speaks for it, or a refusal with what is missing."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from factorylm_schema.errors import UnknownNameError
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.features import BASELINE_ROWS, BLOCKS, deviation_from_baseline, features_at
from factorylm_predictor.fitting import largest_jumps
from factorylm_predictor.fleet import Run, run_of
from factorylm_predictor.histories import Histories, History
from factorylm_predictor.life_model import (
    ENOUGH_FAILURES,
    FEWEST_FOR_INTERVAL,
    Cases,
    Evidence,
    LifeModel,
)

RefusalCode = Literal[
    "too_few_failures",
    "no_trend",
    "no_baseline",
    "clock",
    "sampling",
    "tags_missing",
    "unseen_conditions",
    "jump",
    "novel",
]
_LOST_EVIDENCE = 0.2
_FROZEN_INTERVALS = 20
_RECENT_ROWS = 10
_CLOCK_SLACK_H = 1.0
_LONGEST_PAUSE = 10
"""No machine stands still for ten whole lives between two rows; a wrong clock does."""
_LEAST_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why there is no number: a stable code, what was measured, and what would lift it."""

    code: RefusalCode
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code}: {self.found}; {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A sensor that carries the answer: where it stands against the unit's own first rows, in fleet spreads."""

    tag: str
    deviation: float
    share: float


@dataclass(frozen=True, kw_only=True)
class SimilarCase:
    """A past unit that once looked like this one, and how long it still ran."""

    unit: str
    ran_on: float
    distance: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Remaining life in the data's own time unit. `high_open`: the upper end is 'more than'."""

    life: float
    low: float
    high: float
    high_open: bool
    median: float
    samples: Floats
    confidence: Literal["calibrated", "low", "uncalibrated"]
    drivers: tuple[Driver, ...]
    similar: tuple[SimilarCase, ...]


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """The answer for one unit: an estimate or a refusal, and what was noticed on the way."""

    unit: str
    at: float
    rows: int
    novelty: float
    notes: tuple[str, ...]
    estimate: Estimate | None
    refusal: Refusal | None


def assess_units(model: LifeModel, histories: Histories, *, now: float | None = None) -> list[Assessment]:
    """Answer for every unit at its last row. `now` (hours since 1970) guards against clocks that run ahead."""
    _refuse_missing_columns(model, histories)
    if histories.clock != model.clock:
        raise DataError(
            f"'{model.time_column}' is a {histories.clock} here and was a {model.clock} in training",
            hint="give the time in the same form",
        )
    return [assess(model, history, histories.columns, now=now) for history in histories.units]


def assess(model: LifeModel, history: History, columns: tuple[str, ...], *, now: float | None = None) -> Assessment:
    """Answer for one unit at its last row."""
    run = run_of(history, columns, model.settings, model.sensors, model.step, ended=False)
    refusal = _refused_by_history(model, history, run, now)
    novelty = 0.0
    estimate = None
    if refusal is None:
        away = model.conditions.deviations(run.settings, run.sensors)
        features = _features(model, run, away)
        novelty = float(model.gate.novelty(features)[0])
        refusal = _refused_by_domain(model, run, away, novelty)
        if refusal is None and model.evidence is not None:
            estimate = _estimate(model, model.evidence, features, away)
    return Assessment(
        unit=history.unit,
        at=float(history.times[-1]),
        rows=len(history),
        novelty=novelty,
        notes=tuple(_notes(model, run)),
        estimate=estimate,
        refusal=refusal,
    )


def _refuse_missing_columns(model: LifeModel, histories: Histories) -> None:
    for name in (*model.settings, *model.sensors):
        if name not in histories.columns:
            raise UnknownNameError(
                f"column in {histories.source} for the model's",
                name,
                histories.columns,
                hint="the file must have every setting and sensor the model was trained on, under the same name",
            )


def _refused_by_history(model: LifeModel, history: History, run: Run, now: float | None) -> Refusal | None:
    if model.refusal:
        code, _, found = model.refusal.partition(": ")
        needs = "collect more complete histories, or use detect and trend, which need no failures"
        return Refusal(code="no_trend" if code == "no_trend" else "too_few_failures", found=found, remedy=needs)
    if model.clock == "timestamp" and now is not None and history.times[-1] > now + _CLOCK_SLACK_H:
        ahead = history.times[-1] - now
        return Refusal(code="clock", found=f"the last row lies {ahead:.1f} h in the future", remedy="correct the clock")
    if len(run) < BASELINE_ROWS:
        return Refusal(
            code="no_baseline",
            found=f"{len(run)} rows since commissioning",
            remedy=f"{BASELINE_ROWS} are needed before anything can be compared",
        )
    interval = float(np.median(np.diff(run.times)))
    if not 0.5 * model.step < interval < 2 * model.step:
        return Refusal(
            code="sampling",
            found=f"a row every {interval:.6g}, the model was trained on {model.step:.6g}",
            remedy="sample at the same rate, or check the time column's unit",
        )
    longest, usual = float(np.diff(run.times).max()), model.card["data"]["median_life"]
    if longest > _LONGEST_PAUSE * usual:
        return Refusal(
            code="clock",
            found=f"{longest:.6g} lie between two rows, and a whole life is {usual:.6g}",
            remedy="correct the time of these rows",
        )
    return _refused_by_tags(model, run)


def _refused_by_tags(model: LifeModel, run: Run) -> Refusal | None:
    lost = lost_tags(model, run)
    if not lost or model.evidence is None:
        return None
    share = sum(float(model.evidence.importance[model.sensors.index(tag)]) for tag in lost)
    if share <= _LOST_EVIDENCE and len(lost) <= _LOST_EVIDENCE * len(model.sensors):
        return None
    return Refusal(
        code="tags_missing",
        found=f"missing or frozen: {', '.join(lost[:5])} ({share:.0%} of the model's evidence)",
        remedy="repair these tags",
    )


def lost_tags(model: LifeModel, run: Run) -> list[str]:
    """Sensors that stopped: no value, or the same value far longer than they ever keep one."""
    lost = []
    for place, tag in enumerate(model.sensors):
        longest = int(np.ceil(_FROZEN_INTERVALS * model.change_interval[place]))
        recent = run.sensors[-longest - 1 :, place]
        frozen = len(recent) > longest and bool((recent == recent[0]).all())
        never_moved = len(run) > 2 * model.change_interval[place] + 8 and bool(np.ptp(run.sensors[:, place]) == 0)
        missing = run.missing[-_RECENT_ROWS:, place].mean() > 0.5 or run.missing[:, place].mean() > 0.5
        if frozen or never_moved or missing:
            lost.append(tag)
    return lost


def _features(model: LifeModel, run: Run, away: Floats) -> NDArray[np.float32]:
    age = (run.times[-1] - run.times[0]) / model.step + 1
    return np.asarray(features_at(away, len(run), float(age))[None, :], dtype=np.float32)


def _refused_by_domain(model: LifeModel, run: Run, away: Floats, novelty: float) -> Refusal | None:
    unseen = model.conditions.unseen(run.settings)
    if unseen[-_RECENT_ROWS:].mean() > 0.2 or unseen.mean() > 0.2:
        return Refusal(
            code="unseen_conditions",
            found=f"{unseen.mean():.0%} of the rows were run under settings the training never saw",
            remedy="add histories run this way",
        )
    if not np.isfinite(away).all():
        return Refusal(code="tags_missing", found="a sensor has no value at all", remedy="repair the tag")
    jumps = largest_jumps(away) / model.jump_limit
    if jumps.max() > 1:
        tag = model.sensors[int(jumps.argmax())]
        return Refusal(
            code="jump",
            found=f"'{tag}' jumps and stays there, {jumps.max():.1f} times further than the training allows",
            remedy="look for a change of unit, a swapped wire or a repair; after a repair start a new unit",
        )
    if novelty > 1:
        return Refusal(
            code="novel",
            found=f"unlike all training data ({novelty:.2f} of the limit){_strangest(model, away)}",
            remedy="if it is another machine type or a new fault, add its histories and fit again",
        )
    return None


def _strangest(model: LifeModel, away: Floats) -> str:
    mean = np.abs(away[-_RECENT_ROWS:].mean(axis=0))
    return f", most of all '{model.sensors[int(mean.argmax())]}' at {mean.max():.1f} spreads"


def _estimate(model: LifeModel, evidence: Evidence, features: NDArray[np.float32], away: Floats) -> Estimate:
    members = np.clip(evidence.forest.by_member(features)[0, :, 0], 0.0, model.cap)
    life = float(members.mean())
    low, high = _interval(model, evidence, life)
    samples = evidence.calibration.samples(life) * model.step
    return Estimate(
        life=life * model.step,
        low=low * model.step,
        high=high * model.step,
        high_open=bool(high >= model.cap),
        median=float(np.median(samples)),
        samples=samples,
        confidence=_confidence(model.failures),
        drivers=_drivers(model, evidence, away),
        similar=_similar(model, evidence.cases, features),
    )


def _interval(model: LifeModel, evidence: Evidence, life: float) -> tuple[float, float]:
    if model.failures >= FEWEST_FOR_INTERVAL:
        return evidence.calibration.interval(life)
    errors = np.concatenate(evidence.calibration.errors)
    return max(0.0, life + min(float(errors.min()), 0.0)), min(model.cap, life + max(float(errors.max()), 0.0))


def _confidence(failures: int) -> Literal["calibrated", "low", "uncalibrated"]:
    if failures < FEWEST_FOR_INTERVAL:
        return "uncalibrated"
    return "low" if failures < ENOUGH_FAILURES else "calibrated"


def _drivers(model: LifeModel, evidence: Evidence, away: Floats) -> tuple[Driver, ...]:
    deviation = deviation_from_baseline(away)
    weight = np.abs(deviation) * evidence.importance
    signed = deviation * model.conditions.direction
    best = np.argsort(-weight)[:3]
    total = max(float(weight.sum()), 1e-12)
    return tuple(
        Driver(tag=model.sensors[i], deviation=float(signed[i]), share=float(weight[i]) / total)
        for i in best.tolist()
        if weight[i] >= _LEAST_SHARE * total
    )


def _similar(model: LifeModel, cases: Cases, features: NDArray[np.float32]) -> tuple[SimilarCase, ...]:
    here = model.gate.standardised(features)[0, cases.features] * cases.weights
    distance = np.sqrt(((cases.place - here) ** 2).sum(axis=1))
    found: dict[str, SimilarCase] = {}
    for i in np.argsort(distance).tolist():
        unit = cases.units[cases.unit[i]]
        case = SimilarCase(unit=unit, ran_on=float(cases.remaining[i]) * model.step, distance=float(distance[i]))
        found.setdefault(unit, case)
        if len(found) == 3:
            break
    return tuple(found.values())


def _notes(model: LifeModel, run: Run) -> list[str]:
    notes = []
    if lost := lost_tags(model, run):
        notes.append(f"missing or frozen: {', '.join(lost[:5])}")
    gaps = np.diff(run.times) > 3 * model.step
    if gaps.any():
        notes.append(f"{int(gaps.sum())} gaps in time, the longest {float(np.diff(run.times).max()):.6g}")
    if len(run) < len(BLOCKS):
        notes.append("a short history")
    return notes


def novel_share(answers: list[Assessment]) -> float:
    """Share of units outside the training's domain: the fleet's drift measure."""
    return float(np.mean([a.novelty > 1 for a in answers])) if answers else 0.0
