"""From raw histories to runs a model can learn from: which columns are sensors, how long a step is, gaps filled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from factorylm_predictor.arrays import Flags, Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.histories import Histories, History
from factorylm_predictor.means import run_means

# Feature spans were chosen on lives of about 200 rows; longer records are averaged down to that
_STEPS_PER_LIFE = 200
_LONGEST_LIFE_IN_STEPS = 400
_MOSTLY_MISSING = 0.5
_LEAK = 0.98


@dataclass(frozen=True, kw_only=True)
class Run:
    """One unit's rows at the model's step, without gaps; `missing` marks what was filled in."""

    unit: str
    times: Floats
    settings: Floats
    sensors: Floats
    missing: Flags
    failed: bool

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """All runs a training uses."""

    runs: tuple[Run, ...]
    settings: tuple[str, ...]
    sensors: tuple[str, ...]
    step: float
    notes: tuple[str, ...]

    def failed(self) -> tuple[Run, ...]:
        """The runs that end in a failure."""
        return tuple(r for r in self.runs if r.failed)


def assemble(failed: Histories, censored: Histories | None, settings: Sequence[str]) -> Fleet:
    """Choose sensors and step from the failed units; censored ones follow."""
    for name in settings:
        if name not in failed.columns:
            raise DataError(f"the setting '{name}' is not a column of numbers in {failed.source}")
    _refuse_swapped_clock(failed)
    sensors, notes = _sensors(failed, settings)
    lengths = [len(h) for h in failed.units]
    typical = float(np.median(lengths))
    run = int(np.ceil(typical / _STEPS_PER_LIFE)) if typical > _LONGEST_LIFE_IN_STEPS else 1
    step = failed.interval() * run
    if not step > 0:
        raise DataError("most rows of a unit share one time", hint="--time must name the column that advances")
    if run > 1:
        notes.append(f"{run} rows are averaged into one step of {step:.6g}")
    runs = [run_of(h, failed.columns, settings, sensors, step, ended=True) for h in failed.units]
    if censored is not None:
        runs += [run_of(h, censored.columns, settings, sensors, step, ended=False) for h in censored.units]
        notes += _doubled_units(failed, censored)
    return Fleet(
        runs=tuple(runs),
        settings=tuple(settings),
        sensors=tuple(sensors),
        step=step,
        notes=(*failed.notes, *notes),
    )


def run_of(
    history: History,
    columns: Sequence[str],
    settings: Sequence[str],
    sensors: Sequence[str],
    step: float,
    *,
    ended: bool,
) -> Run:
    """One history at the model's step."""
    places = [list(columns).index(n) for n in (*settings, *sensors)]
    values, times = history.values[:, places], history.times
    interval = float(np.median(np.diff(times))) if len(times) > 1 else step
    rows = max(1, round(step / interval)) if interval > 0 else 1
    if rows > 1:
        times, values = run_means(times, values, rows)
    missing = np.isnan(values)
    filled = fill_gaps(values)
    split = len(settings)
    return Run(
        unit=history.unit,
        times=times,
        settings=filled[:, :split],
        sensors=filled[:, split:],
        missing=missing[:, split:],
        failed=ended,
    )


def fill_gaps(values: Floats) -> Floats:
    """The last known value carried forward; before the first one, the first one."""
    present = np.isfinite(values)
    if present.all():
        return values
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(present, rows, -1), axis=0)
    first = np.where(present.any(axis=0), present.argmax(axis=0), 0)
    return np.take_along_axis(values, np.where(last < 0, first[None, :], last), axis=0)


def without_failure(fleet: Fleet, units: Sequence[str]) -> Fleet:
    """The same fleet with these units taken as still alive at their last row."""
    runs = tuple(replace(r, failed=False) if r.unit in units else r for r in fleet.runs)
    return replace(fleet, runs=runs)


def unfit_columns(histories: Histories) -> list[str]:
    """Columns nothing should be learned from, and why."""
    everything, until_end = _stacked(histories)
    faults = {n: _unfit(histories, everything[:, i], until_end, i) for i, n in enumerate(histories.columns)}
    return [f"'{name}': {fault}" for name, fault in faults.items() if fault]


def _stacked(histories: Histories) -> tuple[Floats, Floats]:
    until_end = np.concatenate([h.times[-1] - h.times for h in histories.units])
    return np.concatenate([h.values for h in histories.units]), until_end


def _sensors(histories: Histories, settings: Sequence[str]) -> tuple[list[str], list[str]]:
    kept, notes = [], []
    everything, until_end = _stacked(histories)
    for place, name in enumerate(histories.columns):
        if name in settings:
            continue
        if fault := _unfit(histories, everything[:, place], until_end, place):
            notes.append(f"'{name}' is left out: {fault}")
        else:
            kept.append(name)
    if not kept:
        raise DataError("no column is left to learn from", hint="; ".join([*notes, *histories.notes]))
    return kept, notes


def _unfit(histories: Histories, values: Floats, until_end: Floats, place: int) -> str | None:
    present = np.isfinite(values)
    if present.mean() < 1 - _MOSTLY_MISSING:
        return f"{1 - present.mean():.0%} of its values are missing"
    known = values[present]
    if known.max() - known.min() <= 1e-9 * np.abs(known).max(initial=0):
        return "it never changes"
    per_unit = [h.values[:, place][np.isfinite(h.values[:, place])] for h in histories.units]
    if len(per_unit) > 1 and all(len(v) == 0 or v.max() == v.min() for v in per_unit):
        return "it is constant within every unit, so it names the unit instead of its wear"
    if all(_is_clock(h.times, h.values[:, place]) for h in histories.units):
        return "it is the clock under another name"
    if abs(_correlation(known, until_end[present])) > _LEAK:
        return "it follows the time to failure too closely to be a measurement (leakage)"
    return None


def _is_clock(times: Floats, values: Floats) -> bool:
    return len(times) > 2 and not np.isnan(values).any() and abs(_correlation(times, values)) > 1 - 1e-9


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _refuse_swapped_clock(histories: Histories) -> None:
    doubled = sum(int((np.diff(h.times) == 0).sum()) for h in histories.units)
    rows = sum(len(h) for h in histories.units)
    if rows >= 20 and doubled > 0.2 * rows:
        raise DataError(
            f"{doubled} of {rows} rows repeat the time before them within their unit",
            hint="--unit names the machine, --time its clock: they may be swapped, or the unit is not unique",
        )


def _doubled_units(failed: Histories, censored: Histories) -> list[str]:
    both = {h.unit for h in failed.units} & {h.unit for h in censored.units}
    if both:
        raise DataError(
            f"these units are given both as failed and as still alive: {', '.join(sorted(both)[:5])}",
            hint="a machine that was repaired needs a new unit name for each life",
        )
    return [f"{len(censored.units)} units are still alive (censored)"]
