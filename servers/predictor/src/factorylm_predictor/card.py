"""The model card: written by the training itself, kept inside the model file."""

from typing import TYPE_CHECKING, Any

import numpy as np

from factorylm_predictor.fleet import Fleet
from factorylm_predictor.histories import Histories
from factorylm_predictor.life_model import FEWEST_FOR_INTERVAL

if TYPE_CHECKING:
    from factorylm_predictor.life_model import LifeModel


def life_card(
    model: "LifeModel",
    fleet: Fleet,
    data: Histories,
    metrics: dict[str, Any],
    suspects: list[str],
    coverage: float,
    seed: int,
) -> dict[str, Any]:
    """Purpose, data, split, errors, coverage, domain and limits, in plain words and numbers."""
    return {
        "purpose": "remaining life until the failure these histories ended in; a candidate for review, not a command",
        "data": _data(model, fleet, data) | {"taken_as_still_alive": suspects},
        "split": "by asset: every error below is from members that never saw the asset",
        "errors_in_steps": metrics,
        "interval": {
            "declared_coverage": coverage,
            "calibrated": model.failures >= FEWEST_FOR_INTERVAL,
            "assets_behind_it": model.failures,
        },
        "horizon": {"cap": model.cap * model.step, "meaning": "larger lives are told as 'more than'"},
        "domain": {
            "conditions": model.conditions.kind,
            "clusters": len(model.conditions.centres),
            "settings_low": [float(v) for v in model.conditions.setting_low],
            "settings_high": [float(v) for v in model.conditions.setting_high],
            "novelty_limit": "99.9 % of training rows",
        },
        "drift": {"novel_share_limit": 0.02, "meaning": "above it in a fleet, fit again"},
        "sensors": list(model.sensors),
        "seed": seed,
    }


def _data(model: "LifeModel", fleet: Fleet, data: Histories) -> dict[str, Any]:
    lives = [r.times[-1] - r.times[0] for r in fleet.failed()]
    return {
        "source": data.source,
        "rows": data.rows_read,
        "failures": model.failures,
        "still_alive": model.censored,
        "units": [r.unit for r in fleet.runs],
        "shortest_life": float(min(lives)),
        "median_life": float(np.median(lives)),
        "time_unit": model.time_unit(),
        "notes": list(fleet.notes),
    }
