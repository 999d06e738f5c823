"""Answers as plain data, the same for scripts, assistants and reports."""

from typing import Any

from factorylm_predictor.life_model import ENOUGH_FAILURES, LifeModel
from factorylm_predictor.remaining_life import Assessment, Estimate
from factorylm_predictor.window import AgePlan, RankedSlot, WindowPlan

_SURE = {
    "calibrated": "calibrated on assets left out",
    "low": f"low confidence: fewer than {ENOUGH_FAILURES} failures",
    "uncalibrated": "uncalibrated: the range of past errors, too few failures for a stated coverage",
}


def estimate_answer(model: LifeModel, answer: Assessment) -> dict[str, Any]:
    """One unit's answer: an interval with its evidence, or a refusal."""
    told: dict[str, Any] = {
        "unit": answer.unit,
        "at": answer.at,
        "status": "refused" if answer.refusal else "estimate",
        "novelty": round(answer.novelty, 3),
        "notes": list(answer.notes),
    }
    if answer.refusal:
        refusal = answer.refusal
        return told | {"refusal": {"code": refusal.code, "found": refusal.found, "remedy": refusal.remedy}}
    assert answer.estimate is not None
    return told | _numbers(model, answer.estimate)


def _numbers(model: LifeModel, estimate: Estimate) -> dict[str, Any]:
    metrics = model.card["errors_in_steps"]
    return {
        "remaining": _rounded(estimate.life),
        "low": _rounded(estimate.low),
        "high": _rounded(estimate.high),
        "high_is_open": estimate.high_open,
        "time_unit": model.time_unit(),
        "coverage": {
            "declared": model.card["interval"]["declared_coverage"],
            "measured": _measured(metrics, model.card["interval"]["declared_coverage"]),
            "assets_behind_it": model.failures,
            "confidence": _SURE[estimate.confidence],
        },
        "drivers": [
            {"tag": d.tag, "spreads_from_own_baseline": round(d.deviation, 2), "share": round(d.share, 2)}
            for d in estimate.drivers
        ],
        "similar_cases": [{"unit": c.unit, "ran_on_for": _rounded(c.ran_on)} for c in estimate.similar],
        "supports": "planning a service slot with window; a candidate for review, not a command",
    }


def _measured(metrics: dict[str, Any], declared: float) -> float | None:
    rows = metrics.get("reliability", [])
    return next((row["measured"] for row in rows if abs(row["declared"] - declared) < 1e-9), None)


def age_plan_answer(plan: AgePlan) -> dict[str, Any]:
    """What lives alone say."""
    if plan.worth_it:
        advice = f"replace at an age of {plan.age:.6g}: saves {plan.saving:.0%} of what running to failure costs"
    else:
        advice = f"age replacement is not worth it here (saves {max(plan.saving, 0):.0%}): run to failure, or watch it"
    return {
        "shape": plan.law.shape,
        "scale": plan.law.scale,
        "failures": plan.failures,
        "still_running": plan.still_running,
        "best_age": plan.age if plan.worth_it else None,
        "cost_rate": plan.cost_rate,
        "saving": plan.saving,
        "advice": advice,
        "warning": plan.warning,
    }


_HALF = 0.5
_TOO_LATE = "failure is likelier than not before the first slot: look at the machine now"


def slot_plan_answer(plan: WindowPlan) -> dict[str, Any]:
    """The three best slots and what waiting costs."""
    return {
        "best": [_slot(s) for s in plan.best],
        "act_now": plan.act_now,
        "warning": _TOO_LATE if plan.curve[0].risk_until_then > _HALF else "",
        "doing_nothing_above_best": plan.do_nothing_regret,
        "curve": [[s.slot.after, s.expected_cost, s.risk_until_then, s.regret] for s in plan.curve],
        "curve_columns": ["after", "expected_cost", "risk_until_then", "above_best"],
    }


def _slot(ranked: RankedSlot) -> dict[str, Any]:
    return {
        "name": ranked.slot.name,
        "after": ranked.slot.after,
        "expected_cost": ranked.expected_cost,
        "risk_until_then": ranked.risk_until_then,
        "above_best": ranked.regret,
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
