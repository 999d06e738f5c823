"""The package's jobs on files, as the command and the server both do them."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from factorylm_schema.errors import BadRequestError, UnknownNameError
from numpy.typing import NDArray

from factorylm_predictor.anomaly import Detector, Events, Judgement, Method, StreamJudge, learn_detector
from factorylm_predictor.arrays import Floats
from factorylm_predictor.boosting import Progress
from factorylm_predictor.clocks import clock_kind, guess_time_column
from factorylm_predictor.conditions import at_usual_settings
from factorylm_predictor.costs import CostFile
from factorylm_predictor.errors import DataError, ModelError
from factorylm_predictor.fitting import FitOptions, fit_remaining_life
from factorylm_predictor.histories import Histories, read_histories
from factorylm_predictor.life_model import LifeModel
from factorylm_predictor.model_file import load_model, save_model
from factorylm_predictor.remaining_life import Assessment, assess_units
from factorylm_predictor.retraining import Comparison, compare
from factorylm_predictor.tables import Chunk, Table, first_chunk, pick
from factorylm_predictor.trend import TrendAnswer, time_to_limit
from factorylm_predictor.weibull import Lives
from factorylm_predictor.window import AgePlan, WindowPlan, even_slots, plan_by_age, rank_slots

PREDICTION_COLUMNS = ("unit", "rul", "lo", "hi", "refused", "reason")
FLAG_COLUMNS = ("time", "score", "flag", "top_tags")
_MOST_BASELINE_ROWS = 200_000
_MOST_MISSING = 0.05
_LEAST_KNOWN = 0.5


def _quiet(_: str) -> None:
    """Nobody listens to the progress."""


@dataclass(frozen=True, kw_only=True)
class FitJob:
    """What to fit from."""

    data: Table
    unit: str
    time: str
    censored: Table | None = None
    options: FitOptions = field(default_factory=FitOptions)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model written, and how it compares with the one it replaced."""

    model: LifeModel
    id: str
    comparison: Comparison | None


def fit(job: FitJob, say: Progress = _quiet) -> tuple[LifeModel, Histories]:
    """Fit; also returns the histories, for comparing with an older model."""
    failed = read_histories(job.data, unit=job.unit, time=job.time)
    censored = None
    if job.censored is not None:
        censored = read_histories(job.censored, unit=job.unit, time=job.time, columns=failed.columns)
    model = fit_remaining_life(
        failed, job.options, unit_column=job.unit, time_column=job.time, censored=censored, say=say
    )
    return model, failed


def fit_file(job: FitJob, out: Path, *, replace: bool = False, say: Progress = _quiet) -> Fitted:
    """Fit, compare with the model already there, write."""
    old = _old_model(out, replace=replace) if out.exists() else None
    model, failed = fit(job, say)
    comparison = compare(old, model, failed)
    if comparison is not None and comparison.worse and not replace:
        raise ModelError(
            f"the new model is worse than {out.name}: {comparison.text}; nothing was replaced",
            hint="give more or better histories, or --replace to replace it all the same",
        )
    return Fitted(model=model, id=save_model(model, out), comparison=comparison)


def _old_model(path: Path, *, replace: bool) -> LifeModel | None:
    try:
        return load_model(path, LifeModel).model
    except ModelError as error:
        if replace:
            return None
        raise ModelError(
            f"{path.name} exists and is no model that could be compared ({error.message})",
            hint="name another file with --out, or give --replace",
        ) from error


def predict(
    fitted: LifeModel, data: Table, *, unit: str | None = None, time: str | None = None, now: float | None = None
) -> tuple[Histories, list[Assessment]]:
    """Answer for every unit at its last row."""
    histories = read_histories(
        data,
        unit=unit or fitted.unit_column,
        time=time or fitted.time_column,
        columns=(*fitted.settings, *fitted.sensors),
    )
    return histories, assess_units(fitted, histories, now=now)


def prediction_row(answer: Assessment) -> dict[str, Any]:
    """One line of the predictions file. `hi` at the model's horizon is open; the reason says so."""
    if answer.estimate is None:
        empty = {"rul": "", "lo": "", "hi": "", "refused": 1}
        return {"unit": answer.unit, **empty, "reason": str(answer.refusal)}
    estimate = answer.estimate
    said = [f"more than {estimate.high:.6g}: the upper end is open"] if estimate.high_open else []
    if estimate.confidence != "calibrated":
        said.append(
            "too few failures to calibrate the interval" if estimate.confidence == "uncalibrated" else "few failures"
        )
    numbers = {"rul": estimate.life, "lo": estimate.low, "hi": estimate.high}
    return {
        "unit": answer.unit,
        **{name: f"{value:.6g}" for name, value in numbers.items()},
        "refused": 0,
        "reason": "; ".join([*said, *answer.notes]),
    }


@dataclass(frozen=True, kw_only=True)
class DetectJob:
    """What to judge against what."""

    baseline: Table
    data: Table
    time: str | None = None
    settings: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    method: Method = "auto"
    false_alarm_rate: float = 0.01
    persist: int = 1


@dataclass(frozen=True, kw_only=True)
class JudgedRows:
    """Rows judged, with their times as the file has them.

    `missing`: too few values to judge the row; `known`: how many values each tag has.
    """

    times: list[str]
    judgement: Judgement
    flags: list[bool]
    missing: list[bool]
    known: NDArray[np.int64]


def detect(job: DetectJob) -> tuple[Detector, Iterator[JudgedRows]]:
    """Learn from the baseline; the iterator reads and judges the data block by block."""
    tags, time, notes = _chosen_tags(job)
    settings, values = _baseline(job, tags)
    detector = learn_detector(
        settings, values, tags, method=job.method, false_alarm_rate=job.false_alarm_rate, notes=notes
    )
    return detector, _judged(job, detector, time)


def _chosen_tags(job: DetectJob) -> tuple[tuple[str, ...], str | None, list[str]]:
    baseline, data = job.baseline, job.data
    first, header = first_chunk(baseline), data.header()
    for name in (*job.settings, *job.tags, *filter(None, [job.time])):
        pick(name, baseline.header(), "tag, setting or time", baseline.name)
        pick(name, header, "tag, setting or time", data.name)
    time = job.time or guess_time_column(baseline.header(), first.columns)
    if job.tags:
        return job.tags, time, []
    shared = [n for n in baseline.header() if n in header and n != time and n not in job.settings]
    tags = tuple(n for n in shared if np.isfinite(first.numbers(n)).mean() > 0.5)
    alone = sorted(set(baseline.header()) ^ set(header))
    notes = [f"only one of the files has {', '.join(alone[:5])}: not judged"] if alone else []
    if not tags:
        raise DataError(
            f"{job.baseline.name} and {job.data.name} share no column of numbers",
            hint="name them with --tags",
        )
    return tags, time, notes


def _matrix(chunk: Chunk, names: Sequence[str]) -> Floats:
    return np.column_stack([chunk.numbers(n) for n in names]) if names else np.empty((len(chunk), 0))


def _baseline(job: DetectJob, tags: tuple[str, ...]) -> tuple[Floats, Floats]:
    """The healthy rows; of a very long file the latest."""
    kept: list[tuple[Floats, Floats]] = []
    for chunk in job.baseline.chunks():
        kept.append((_matrix(chunk, job.settings), _matrix(chunk, tags)))
        while sum(len(v) for _, v in kept[1:]) > _MOST_BASELINE_ROWS:
            kept.pop(0)
    return np.concatenate([s for s, _ in kept]), np.concatenate([v for _, v in kept])


def _judged(job: DetectJob, detector: Detector, time: str | None) -> Iterator[JudgedRows]:
    judge, events = StreamJudge(detector), Events(job.persist)
    for chunk in job.data.chunks():
        values = _matrix(chunk, detector.tags)
        first = chunk.first_row - 1
        judgement = judge.next(_matrix(chunk, job.settings), values)
        missing = np.isfinite(values).mean(axis=1) < _LEAST_KNOWN
        yield JudgedRows(
            times=list(chunk.texts(time)) if time else [str(first + i) for i in range(len(chunk))],
            judgement=judgement,
            flags=events.next(judgement.flags & ~missing).tolist(),
            missing=missing.tolist(),
            known=np.isfinite(values).sum(axis=0),
        )


def gaps_noted(tags: Sequence[str], known: NDArray[np.int64], rows: int) -> list[str]:
    """A tag without values counts as usual, so it must be said."""
    if not rows:
        raise DataError("there is no row to judge", hint="export the data again")
    shares = zip(tags, (1 - known / rows).tolist(), strict=True)
    return [f"'{tag}' has no value in {share:.0%} of the rows, and is not judged there" for tag, share in shares
            if share > _MOST_MISSING]  # fmt: skip


def flag_rows(tags: Sequence[str], rows: JudgedRows) -> Iterator[dict[str, Any]]:
    """Lines of the flags file; a row without enough values has no score."""
    judged = zip(rows.times, rows.judgement.score, rows.flags, rows.judgement.carriers, rows.missing, strict=True)
    for time, score, flag, carriers, missing in judged:
        yield {
            "time": time,
            "score": "" if missing else f"{score:.4g}",
            "flag": int(flag),
            "top_tags": "" if missing else ";".join(tags[i] for i in carriers),
        }


@contextmanager
def csv_writer(path: Path, columns: Sequence[str], *sources: Path) -> Iterator["csv.DictWriter[str]"]:
    """Write a file that appears only when it is complete, and never over one of its sources."""
    if any(path.resolve() == source.resolve() for source in sources):
        raise BadRequestError(f"{path} is the data itself", hint="name another file with --out")
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n")
            writer.writeheader()
            yield writer
        part.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def plan_for_lives(lives: Lives, file: CostFile) -> tuple[WindowPlan, AgePlan]:
    """Slots ranked by what lives alone say."""
    ages = plan_by_age(lives, file.costs)
    horizon = min(2 * ages.age, 3 * ages.law.mean()) if np.isfinite(ages.age) else 2 * ages.law.mean()
    slots = file.slots or tuple(even_slots(max(horizon - file.age, horizon / 10), file.costs.lead_time))
    return rank_slots(ages.law.remaining(file.age), slots, file.costs, ages.cost_rate), ages


def answer_for_unit(answers: Sequence[Assessment], unit: str) -> Assessment:
    """One unit's answer."""
    found = next((a for a in answers if a.unit == unit), None)
    if found is None:
        raise UnknownNameError("unit", unit, [a.unit for a in answers])
    return found


def plan_for_answer(model: LifeModel, answer: Assessment, file: CostFile) -> WindowPlan:
    """Slots ranked by an estimate; the long-run cost is that of planned service at the mean life."""
    if answer.estimate is None:
        raise DataError(f"there is no plan for unit {answer.unit}: {answer.refusal}")
    slots = file.slots or tuple(even_slots(model.cap * model.step, file.costs.lead_time))
    cost_rate = file.costs.planned / float(model.card["data"]["median_life"])
    return rank_slots(answer.estimate.samples, slots, file.costs, cost_rate)


def trend_to_limit(data: Table, time: str, tag: str, limit: float, settings: Sequence[str] = ()) -> TrendAnswer:
    """Time until `tag` reaches `limit`; with settings, the tag as it would be under the usual ones."""
    histories = read_histories(data, unit=None, time=time, columns=(*settings, tag))
    history = histories.units[0]
    values = history.values[:, -1]
    if settings:
        values = at_usual_settings(history.values[:, :-1], values)
    return time_to_limit(history.times, values, limit, rng=np.random.default_rng(1))


def clock_unit(table: Table, time: str) -> str:
    """What one unit of a time column is called."""
    return "h" if clock_kind(first_chunk(table).columns[time]) == "timestamp" else time
