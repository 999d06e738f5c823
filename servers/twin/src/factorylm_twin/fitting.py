"""From a record to a graded twin, or to one that refuses and says why."""

import numpy as np

from factorylm_twin.arrays import Floats
from factorylm_twin.choosing import TEMPLATES, Judged, Say, Signs, choose, free_run_band
from factorylm_twin.datacheck import unfit, unfit_inputs
from factorylm_twin.equations import equations_of, wanted_inputs
from factorylm_twin.moves import Gain, gain_by_moves, lag_of, passing
from factorylm_twin.tables import Record, filled
from factorylm_twin.twin import REFUSED, OutputModel, Twin, envelope_of

_GRADES = ((80.0, "A"), (60.0, "B"), (40.0, "C"))
_SURE_GAIN = 0.3
_KEPT_ROWS = 200
_MOST_REMEMBERED = 0.3


def learn(record: Record, template: str = "", say: Say = lambda _: None, signs: Signs = ()) -> Twin:
    """The twin of this record; never raises over data that can be read.

    `signs` is what physics says of each input's effect on all outputs: 1 raises, -1 lowers, 0 unknown.
    """
    controlled = bool(record.wanted.setpoint or record.wanted.mode)
    reason = unfit(record) or ("" if controlled else unfit_inputs(record)) or _template_misfit(record, template)
    u, y = filled(record.u), np.where(np.isfinite(record.u).all(axis=1, keepdims=True), record.y, np.nan)
    outputs = []
    for j, name in enumerate(record.wanted.outputs):
        if reason:
            outputs.append(_refused(name, reason))
        elif controlled:
            outputs.append(_by_moves(record, j, signs))
        else:
            outputs.append(_by_free_run(name, choose(u, y[:, j], template, say, signs), record.wanted.inputs))
    return Twin(
        wanted=record.wanted,
        step=record.step,
        time_unit=record.time_unit,
        rows=len(u),
        outputs=tuple(outputs),
        envelope=envelope_of(record.u),
        last_u=u[-_KEPT_ROWS:],
        last_y=filled(record.y)[-_KEPT_ROWS:],
        reason=reason,
    )


def _template_misfit(record: Record, template: str) -> str:
    if template and template not in TEMPLATES:
        return f"unknown_template: {template}; there is {', '.join(TEMPLATES)}"
    if template == "tanks" and (record.u.shape[1] != 1 or float(np.nanmin(record.y)) < 0):
        return f"template_misfit: {template} has one input (the pump) and levels that are never negative"
    if template and template != "tanks" and not equations_of(template, record.u.shape[1]):
        return f"template_misfit: {template} takes the inputs {wanted_inputs(template)}, in this order"
    return ""


def _refused(name: str, reason: str, words: str = "none") -> OutputModel:
    return OutputModel(
        name=name,
        part=None,
        siblings=(),
        rivals=(),
        words=words,
        grade=REFUSED,
        reason=reason,
        fit_percent=float("-inf"),
        rmse=float("inf"),
        horizons=(1,),
        band=np.array([np.inf]),
        input_refusals=(),
        gain_low=np.array([]),
        gain_high=np.array([]),
    )


def _by_free_run(name: str, judged: Judged, inputs: tuple[str, ...]) -> OutputModel:
    grade = next((letter for least, letter in _GRADES if judged.fit_percent >= least), REFUSED)
    reason = ""
    if grade == REFUSED:
        reason = (
            f"poor_free_run: left alone on held-out rows the best model ({judged.words}) explains "
            f"{max(judged.fit_percent, 0):.0f} % of {name}; 40 % are needed. "
            "Add an input that moves it, or more excited rows"
        )
    if grade != REFUSED and judged.remembers > _MOST_REMEMBERED:
        grade = REFUSED
        reason = (
            f"adds_up: where {name} starts from is not forgotten within an eighth of the record, as for a level or a "
            "count that adds up what flows in; such an output has no steady value. Fit its change per time, or give a "
            "longer record of a slow one"
        )
    if grade != REFUSED and judged.against is not None:
        grade, reason = REFUSED, _lawless(name, inputs[judged.against])
    return OutputModel(
        name=name,
        part=judged.part,
        siblings=judged.siblings,
        rivals=judged.rivals,
        words=judged.words,
        grade=grade,
        reason=reason,
        fit_percent=judged.fit_percent,
        rmse=judged.rmse,
        horizons=judged.horizons,
        band=judged.band,
        input_refusals=(),
        gain_low=np.array([]),
        gain_high=np.array([]),
    )


def _lawless(output: str, name: str) -> str:
    return (
        f"against_physics: what was learned moves {output} the other way than {name} can; did a controller or "
        "something that is not named move both?"
    )


def _by_moves(record: Record, output: int, signs: Signs) -> OutputModel:
    """Gains from the operator's moves; a free run over a disturbed loop is no fair judge of them."""
    name = record.wanted.outputs[output]
    gains = [gain_by_moves(record, i, output) for i in range(len(record.wanted.inputs))]
    told = [g for g in gains if not g.refused]
    if not told:
        return _refused(name, gains[0].refused)
    for gain, sign, column in zip(gains, signs, record.wanted.inputs, strict=False):
        if not gain.refused and gain.value * sign < 0:
            return _refused(name, _lawless(name, column))
    # a disturbance of the start stays or passes: whichever the record's own stretches say
    steady = lag_of(record, gains, output)
    judged = [(part, free_run_band(part, filled(record.u), record.y[:, output])) for part in (steady, passing(steady))]
    part, (fit, rmse, horizons, band) = min(judged, key=lambda one: one[1][1])
    return OutputModel(
        name=name,
        part=part,
        siblings=(),
        rivals=(),
        words=f"gain by moves of the set-point or by hand, lag {part.times.max():.3g} rows",
        grade="B" if all(_half(g) <= _SURE_GAIN for g in told) else "C",
        reason="",
        fit_percent=fit,
        rmse=rmse,
        horizons=horizons,
        band=band,
        input_refusals=tuple(g.refused for g in gains),
        gain_low=_array([g.low for g in gains]),
        gain_high=_array([g.high for g in gains]),
    )


def _half(gain: Gain) -> float:
    return (gain.high - gain.low) / 2 / abs(gain.value)


def _array(values: list[float]) -> Floats:
    return np.array(values, dtype=np.float64)
