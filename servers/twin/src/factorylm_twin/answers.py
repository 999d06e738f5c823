"""Answers as plain data, the same for scripts, assistants and pages."""

import hashlib
import json
import math
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """New set-points for a person and the write gate to decide on; it writes nothing.

    `reason` is one line that a request to write can cite; `evidence` is the simulation's id, the same whenever the
    same twin is asked the same question.
    """

    values: dict[str, float]
    evidence: str
    reason: str


def proposal_of(answer: Answer, evidence: str) -> Proposal | None:
    """None where the twin refused: a refusal proposes nothing."""
    told = [e for e in answer.effects if e.change is not None]
    if answer.refused or not told or not answer.inputs:
        return None
    words = [f"{e.output} {e.baseline:.4g} -> {e.new:.4g} ({e.low:.4g} to {e.high:.4g}), grade {e.grade}" for e in told]
    return Proposal(
        values={name: float(f"{then:.6g}") for name, _, then in answer.inputs},
        evidence=evidence,
        reason=f"{evidence}: {'; '.join(words[:3])}",
    )


def change_answer(twin: Twin, answer: Answer, identity: str) -> dict[str, Any]:
    """The contract's keys for the first output, all outputs below them."""
    first = answer.effects[0]
    found = _change(twin, answer, identity, first)
    content = json.dumps(found, sort_keys=True)
    simulation = "simulation:" + hashlib.sha256(content.encode()).hexdigest()[:12]
    proposal = proposal_of(answer, simulation)
    told = None if proposal is None else {"values": proposal.values, "evidence": simulation, "reason": proposal.reason}
    return found | {"simulation": simulation, "proposal": told}


def _change(twin: Twin, answer: Answer, identity: str, first: Effect) -> dict[str, Any]:
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
        **_totals(effect),
        "limits_crossed": [{"side": side, "after": short(after)} for side, after in effect.crossed],
    }


def _totals(effect: Effect) -> dict[str, Any]:
    if effect.totals is None:
        return {}
    still, moved = effect.totals
    return {"total_held": short(still, 6), "total_changed": short(moved, 6), "total_change": short(moved - still)}


def short(value: float | None, digits: int = 4) -> float | None:
    """More digits would claim more than is known."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")
