"""Answers as plain data, the same for scripts, assistants and pages."""

import math
from typing import Any

from factorylm_twin.twin import OutputModel, Twin
from factorylm_twin.whatif import Answer, Effect


def twin_card(twin: Twin) -> dict[str, Any]:
    """What the model is, how it was judged, and where it may be asked."""
    return {
        "grade": twin.grade,
        "reason": next((o.reason for o in twin.outputs if o.reason), ""),
        "rows": twin.rows,
        "step": twin.step,
        "time_unit": twin.time_unit,
        "outputs": [_output(o) for o in twin.outputs],
        "envelope": {
            name: [float(f"{low:.5g}"), float(f"{high:.5g}")]
            for name, low, high in zip(
                twin.wanted.inputs, twin.envelope.low.tolist(), twin.envelope.high.tolist(), strict=True
            )
        },
    }


def _output(output: OutputModel) -> dict[str, Any]:
    return {
        "name": output.name,
        "grade": output.grade,
        "model": output.words,
        "free_run_fit_percent": short(output.fit_percent),
        "free_run_rmse": short(output.rmse),
        "band_90_at_longest_horizon": short(float(output.band[-1])),
        "reason": output.reason,
    }


def change_answer(twin: Twin, answer: Answer, identity: str) -> dict[str, Any]:
    """The contract's keys for the first output, all outputs below them."""
    first = answer.effects[0]
    return {
        **_effect(first),
        "in_envelope": answer.in_envelope,
        "grade": first.grade,
        "refused": answer.refused,
        "reason": answer.reason,
        "time_unit": twin.time_unit,
        "inputs": {
            name: {"now": float(f"{now:.6g}"), "then": float(f"{then:.6g}")} for name, now, then in answer.inputs
        },
        "outputs": {e.output: {**_effect(e), "grade": e.grade, "reason": e.reason} for e in answer.effects},
        "model": identity,
        "supports": "a proposal for review by a person, never a command",
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "baseline": short(effect.baseline, 6),
        "new": short(effect.new, 6),
        "change": short(effect.change),
        "lo": short(effect.low, 6),
        "hi": short(effect.high, 6),
        "change_lo": short(effect.change_low),
        "change_hi": short(effect.change_high),
        "settling": short(effect.settling),
        "limits_crossed": [{"side": side, "after": short(after)} for side, after in effect.crossed],
    }


def short(value: float | None, digits: int = 4) -> float | None:
    """More digits would claim more than is known."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
