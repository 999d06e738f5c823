"""Fitting a remaining-life model from histories that ran to failure, and from those still alive."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Flags, Floats, Ints
from factorylm_predictor.boosting import Bag, Progress, Recipe, out_of_bag, train_bag
from factorylm_predictor.card import life_card
from factorylm_predictor.conditions import Conditions, learn_conditions
from factorylm_predictor.conformal import calibrate, reliability
from factorylm_predictor.errors import DataError
from factorylm_predictor.features import BLOCKS, features_at
from factorylm_predictor.fleet import Fleet, Run, assemble, without_failure
from factorylm_predictor.histories import Histories
from factorylm_predictor.life_model import FEWEST_FAILURES, Cases, Evidence, LifeModel
from factorylm_predictor.novelty import Gate, learn_gate

_ROWS_TO_FIT = 12_000
_MOST_COMMON_SHARE = 0.95
_CASES_PER_UNIT = 12
_CASE_FEATURES = 12
_SKILL = 0.95
_LEAST_USUAL = 0.5
# What knows so few values (under one condition) switches; its steps are no sign of a fault in the data
_VALUES_OF_A_SWITCH = 5


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What a person may choose; `cap` in the data's time unit, None: from the shortest lives."""

    settings: tuple[str, ...] = ()
    cap: float | None = None
    coverage: float = 0.9
    seed: int = 1
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows a training sees: features, true remaining steps (NaN unknown), age in steps, asset number."""

    features: NDArray[np.float32]
    remaining: Floats
    age: Floats
    asset: Ints


def fit_remaining_life(
    failed: Histories,
    options: FitOptions,
    *,
    unit_column: str,
    time_column: str,
    censored: Histories | None = None,
    say: Progress = lambda _: None,
) -> LifeModel:
    """Fit. With too few failures the model says so at every prediction instead of guessing."""
    fleet = assemble(failed, censored, options.settings)
    say(f"{len(fleet.failed())} failures, {len(fleet.sensors)} sensors, step {fleet.step:.6g}")
    fleet, conditions, jump_limit = _sound(fleet, options.seed)
    cap = _cap(fleet, options.cap)
    say("computing features")
    rows = fitting_rows(fleet, conditions, cap)
    fleet, rows, suspects = _without_suspects(fleet, rows, cap)
    gate = learn_gate(rows.features)
    refusal, evidence, metrics = _evidence(fleet, rows, cap, gate, options, say)
    model = LifeModel(
        time_column=time_column,
        unit_column=unit_column,
        clock=failed.clock,
        settings=fleet.settings,
        sensors=fleet.sensors,
        step=fleet.step,
        cap=cap,
        conditions=conditions,
        gate=gate,
        change_interval=_change_intervals(fleet),
        jump_limit=jump_limit,
        failures=len(fleet.failed()),
        censored=len(fleet.runs) - len(fleet.failed()),
        evidence=evidence,
        refusal=refusal,
        card={},
    )
    card = life_card(model, fleet, failed, metrics, suspects, options.coverage, options.seed)
    return replace(model, card=card)


def fleet_and_rows(failed: Histories, settings: tuple[str, ...], cap: float | None, seed: int) -> tuple[Fleet, Rows]:
    """What a training would see of these histories."""
    fleet, conditions, _ = _sound(assemble(failed, None, settings), seed)
    return fleet, fitting_rows(fleet, conditions, _cap(fleet, cap))


def _conditions(fleet: Fleet, seed: int) -> tuple[Fleet, Conditions]:
    """Conditions, and the fleet without sensors that say nothing once conditions are taken out."""
    settings = np.concatenate([r.settings for r in fleet.runs])
    sensors = np.concatenate([r.sensors for r in fleet.runs])
    until = np.concatenate([r.times[-1] - r.times for r in fleet.runs])
    conditions = learn_conditions(settings, sensors, until, seed)
    away = conditions.deviations(settings, sensors)
    keep = np.array([_most_common_share(column) <= _MOST_COMMON_SHARE for column in away.T])
    if not keep.any():
        raise DataError("every sensor is constant once the settings are taken into account")
    if keep.all():
        return fleet, conditions
    lost = [f"'{n}' is left out: it (nearly) never changes" for n, k in zip(fleet.sensors, keep, strict=True) if not k]
    runs = tuple(replace(r, sensors=r.sensors[:, keep], missing=r.missing[:, keep]) for r in fleet.runs)
    names = tuple(n for n, k in zip(fleet.sensors, keep, strict=True) if k)
    slimmer = replace(fleet, runs=runs, sensors=names, notes=(*fleet.notes, *lost))
    kept = replace(
        conditions,
        level=conditions.level[:, keep],
        spread=conditions.spread[:, keep],
        direction=conditions.direction[keep],
    )
    return slimmer, kept


def _most_common_share(values: Floats) -> float:
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / len(values))


def _sound(fleet: Fleet, seed: int) -> tuple[Fleet, Conditions, Floats]:
    """The fleet without units that jump, the conditions learned from it, and how far a unit may jump."""
    fleet, conditions = _conditions(fleet, seed)
    odd, limit = _jumping(fleet, conditions)
    if odd:
        if len(odd) > 0.1 * len(fleet.runs) + 1:
            text = next(iter(odd.values()))
            raise DataError(f"{len(odd)} of {len(fleet.runs)} units have a jump in a sensor: {text}", hint=_JUMP_HINT)
        kept = tuple(r for i, r in enumerate(fleet.runs) if i not in odd)
        said = tuple(f"{text}; the unit is left out" for text in odd.values())
        fleet, conditions = _conditions(replace(fleet, runs=kept, notes=(*fleet.notes, *said)), seed)
        _, limit = _jumping(fleet, conditions)
    return fleet, conditions, limit


def _jumping(fleet: Fleet, conditions: Conditions) -> tuple[dict[int, str], Floats]:
    """Units whose sensors jump as no other unit's do (a change of unit of measure, a swapped wire), and the limit."""
    away = [conditions.deviations(r.settings, r.sensors) for r in fleet.runs]
    jumps = np.stack([largest_jumps(a) for a in away])
    together = np.concatenate(away)
    # the odd unit widens the fleet's spread, but hardly its median deviation
    usual = np.maximum(1.4826 * np.median(np.abs(together), axis=0), _LEAST_USUAL)
    limit = (5.0 * np.maximum(np.median(jumps / usual, axis=0), 0.6) + 4.0) * usual
    most = _VALUES_OF_A_SWITCH * len(conditions.centres)
    limit[[len(np.unique(column)) <= most for column in together.T]] = np.inf
    places = np.flatnonzero((jumps > limit).any(axis=1)).tolist()
    return {i: _jump_text(fleet, i, jumps[i] / limit) for i in places}, limit


_JUMP_HINT = "did the unit of measure change in the file, or were two columns swapped? Correct the data and fit again"


def _jump_text(fleet: Fleet, unit: int, ratios: Floats) -> str:
    return f"'{fleet.sensors[int(ratios.argmax())]}' of unit {fleet.runs[unit].unit} jumps and stays there"


def largest_jumps(deviations: Floats, side: int = 5) -> Floats:
    """Per sensor: the largest lasting step between neighbouring stretches, in fleet spreads."""
    rows = len(deviations)
    if rows < 2 * side:
        return np.zeros(deviations.shape[1])
    sums = np.vstack([np.zeros(deviations.shape[1]), np.cumsum(deviations, axis=0)])
    means = (sums[side:] - sums[:-side]) / side
    return np.asarray(np.abs(means[side:] - means[:-side]).max(axis=0))


def _cap(fleet: Fleet, asked: float | None) -> float:
    """The horizon, in steps.

    Beyond the shortest life only long-lived units have rows, so a larger number would be learned from survivors.
    One early death must not set the horizon for all: it is at least half the median life.
    """
    if asked is not None:
        return asked / fleet.step
    lives = np.array([(r.times[-1] - r.times[0]) / fleet.step for r in fleet.failed()])
    if len(lives) == 0:
        raise DataError("no unit ran to failure", hint="use detect or trend: they need no failures")
    horizon = max(float(lives.min()), 0.5 * float(np.median(lives)), 10.0)
    grain = 0.25 * 10 ** np.floor(np.log10(horizon))
    return float(np.floor(horizon / grain) * grain)


def fitting_rows(fleet: Fleet, conditions: Conditions, cap: float) -> Rows:
    """Evenly thinned rows of all runs; of censored runs only those known to be healthy for at least the cap."""
    total = sum(len(r) for r in fleet.runs)
    stride = max(1, round(total / _ROWS_TO_FIT))
    parts = [_rows_of(run, number, conditions, fleet.step, cap, stride) for number, run in enumerate(fleet.runs)]
    return Rows(
        features=np.concatenate([p.features for p in parts]),
        remaining=np.concatenate([p.remaining for p in parts]),
        age=np.concatenate([p.age for p in parts]),
        asset=np.concatenate([p.asset for p in parts]),
    )


def _rows_of(run: Run, number: int, conditions: Conditions, step: float, cap: float, stride: int) -> Rows:
    remaining = (run.times[-1] - run.times) / step
    chosen = np.arange((len(run) - 1) % stride, len(run), stride)  # the last row is always among them
    if not run.failed:
        chosen = chosen[remaining[chosen] >= cap]
    away = conditions.deviations(run.settings, run.sensors)
    age = (run.times - run.times[0]) / step + 1
    width = len(BLOCKS) * away.shape[1] + 1
    features = [features_at(away, int(i) + 1, float(age[i])) for i in chosen]
    return Rows(
        features=np.array(features, dtype=np.float32).reshape(len(chosen), width),
        remaining=remaining[chosen],
        age=age[chosen],
        asset=np.full(len(chosen), number),
    )


def _without_suspects(fleet: Fleet, rows: Rows, cap: float) -> tuple[Fleet, Rows, list[str]]:
    """Units given as failed whose last rows look healthy beside everyone else's are taken as still alive."""
    if len(fleet.failed()) < FEWEST_FAILURES:
        return fleet, rows, []
    ends = _ends_by_ridge(fleet, rows, cap)
    names = [r.unit for r in fleet.runs]
    failed = np.array([r.failed for r in fleet.runs])
    middle = float(np.median(ends[failed]))
    spread = 1.4826 * float(np.median(np.abs(ends[failed] - middle)))
    odd = failed & (ends > 0.5 * cap) & (ends > middle + 6 * spread)
    suspects = [names[i] for i in np.flatnonzero(odd)]
    if not suspects:
        return fleet, rows, []
    known = ~np.isin(rows.asset, np.flatnonzero(odd)) | (rows.remaining >= cap)
    kept = Rows(
        features=rows.features[known],
        remaining=rows.remaining[known],
        age=rows.age[known],
        asset=rows.asset[known],
    )
    return without_failure(fleet, suspects), kept, suspects


def _ends_by_ridge(fleet: Fleet, rows: Rows, cap: float) -> Floats:
    """Remaining steps at each unit's last row, from the sensors alone, by a linear model that never saw the unit."""
    count = len(fleet.sensors)
    blocks = [BLOCKS.index(b) for b in ("ewma10", "deviation", "slope40")]
    columns = np.concatenate([np.arange(b * count, (b + 1) * count) for b in blocks])
    terms = rows.features[:, columns].astype(np.float64)
    terms = (terms - terms.mean(axis=0)) / np.maximum(terms.std(axis=0), 1e-9)
    terms = np.column_stack([terms, np.ones(len(terms))])
    target = np.minimum(rows.remaining, cap)
    ends = np.zeros(len(fleet.runs))
    for fold in range(5):
        seen = rows.asset % 5 != fold
        penalty = 1e-2 * seen.sum() * np.eye(terms.shape[1])
        weights = np.linalg.solve(terms[seen].T @ terms[seen] + penalty, terms[seen].T @ target[seen])
        for asset in np.unique(rows.asset[~seen]):
            ends[asset] = terms[np.flatnonzero(rows.asset == asset)[-1]] @ weights
    return ends


def _evidence(
    fleet: Fleet, rows: Rows, cap: float, gate: Gate, options: FitOptions, say: Progress
) -> tuple[str, Evidence | None, dict[str, Any]]:
    failures = len(fleet.failed())
    if failures < FEWEST_FAILURES:
        return f"too_few_failures: {failures} seen, {FEWEST_FAILURES} are the least for any number", None, {}
    target = np.minimum(rows.remaining, cap)
    bag = train_bag(rows.features, target, rows.asset, options.recipe, options.seed, say)
    predicted = out_of_bag(bag, rows.features, rows.asset, cap)
    known = np.array([r.failed for r in fleet.runs])[rows.asset]
    metrics = _metrics(predicted, rows, known, cap)
    inside = known & (rows.age >= 0.2 * cap) & (rows.remaining >= 0.04 * cap) & (rows.remaining <= 1.2 * cap)
    rng = np.random.default_rng(options.seed)
    outside = predicted[inside], rows.remaining[inside], rows.asset[inside]
    calibration = calibrate(*outside, cap=cap, coverage=options.coverage, rng=rng)
    metrics["reliability"] = reliability(*outside, cap=cap, rng=rng)
    evidence = Evidence(
        forest=bag.forest,
        calibration=calibration,
        cases=_cases(fleet, rows, gate, bag.gain, known),
        importance=_importance(bag, len(fleet.sensors)),
    )
    refusal = ""
    if metrics["rmse"] > _SKILL * metrics["rmse_of_the_clock"]:
        refusal = (
            f"no_trend: the sensors add nothing to age (error {metrics['rmse']:.3g} steps, by age alone "
            f"{metrics['rmse_of_the_clock']:.3g})"
        )
    return refusal, evidence, metrics


def _metrics(predicted: Floats, rows: Rows, known: Flags, cap: float) -> dict[str, Any]:
    """Errors on assets the predicting members never saw, in steps."""
    truth = np.minimum(rows.remaining, cap)[known]
    error, age = predicted[known] - truth, rows.age[known]
    late = rows.remaining[known] <= 0.4 * cap
    clock = _clock_prediction(age, truth, rows.asset[known])
    return {
        "rmse": _rms(error),
        "rmse_late": _rms(error[late]),
        "rmse_of_the_clock": _rms(clock - truth),
        "rmse_of_a_constant": float(truth.std()),
        "rows": len(truth),
    }


def _clock_prediction(age: Floats, truth: Floats, asset: Ints) -> Floats:
    """What age alone says: the mean over other assets of the same age, to the nearest of forty ages."""
    groups = np.digitize(age, np.quantile(age, np.linspace(0, 1, 41)[1:-1]))
    predicted = np.full(len(age), truth.mean())
    for fold in range(5):
        mine = asset % 5 == fold
        for group in np.unique(groups[mine]):
            others = (groups == group) & ~mine
            if others.any():
                predicted[mine & (groups == group)] = truth[others].mean()
    return predicted


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _importance(bag: Bag, sensors: int) -> Floats:
    """Each sensor's share of what the trees gained, age left aside."""
    gain = bag.gain[:-1].reshape(len(BLOCKS), sensors).sum(axis=0)
    return np.asarray(gain / max(float(gain.sum()), 1e-12))


def _cases(fleet: Fleet, rows: Rows, gate: Gate, gain: Floats, known: Flags) -> Cases:
    chosen = []
    for asset in np.unique(rows.asset[known]):
        mine = np.flatnonzero(rows.asset == asset)
        chosen.append(mine[np.linspace(0, len(mine) - 1, min(_CASES_PER_UNIT, len(mine))).astype(int)])
    moments = np.concatenate(chosen)
    features = np.argsort(-gain)[:_CASE_FEATURES]
    weights = np.sqrt(gain[features] / max(float(gain.sum()), 1e-12))
    return Cases(
        units=tuple(r.unit for r in fleet.runs),
        unit=rows.asset[moments].astype(np.uint16),
        remaining=rows.remaining[moments].astype(np.float32),
        features=features,
        weights=weights,
        place=(gate.standardised(rows.features[moments])[:, features] * weights).astype(np.float32),
    )


def _change_intervals(fleet: Fleet) -> Floats:
    """How many rows a sensor usually keeps one value."""
    rows = sum(len(r) for r in fleet.runs)
    changes = np.sum([(np.diff(r.sensors, axis=0) != 0).sum(axis=0) for r in fleet.runs], axis=0)
    return np.asarray(rows / np.maximum(changes, 1.0))
