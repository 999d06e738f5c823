"""FactoryLM's maintenance predictor.

- `SKILL`: what a host serves
- remaining life: `fit_remaining_life`, `assess_units`; files: `save_model`, `load_model`
- anomalies: `learn_detector`, `TagCharts`; a trend: `time_to_limit`
- service: `fit_weibull`, `best_age`, `rank_slots`

Names are loaded when first used: a host that lists skills pays for no numpy, a prediction for no MCP.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factorylm_predictor.anomaly import learn_detector
    from factorylm_predictor.charts import TagCharts
    from factorylm_predictor.fitting import fit_remaining_life
    from factorylm_predictor.model_file import load_model, save_model
    from factorylm_predictor.remaining_life import assess_units
    from factorylm_predictor.server import SKILL
    from factorylm_predictor.trend import time_to_limit
    from factorylm_predictor.weibull import best_age, fit_weibull
    from factorylm_predictor.window import rank_slots

__all__ = [
    "SKILL",
    "TagCharts",
    "assess_units",
    "best_age",
    "fit_remaining_life",
    "fit_weibull",
    "learn_detector",
    "load_model",
    "rank_slots",
    "save_model",
    "time_to_limit",
]

_HOMES = {
    "SKILL": "server",
    "TagCharts": "charts",
    "assess_units": "remaining_life",
    "best_age": "weibull",
    "fit_remaining_life": "fitting",
    "fit_weibull": "weibull",
    "learn_detector": "anomaly",
    "load_model": "model_file",
    "rank_slots": "window",
    "save_model": "model_file",
    "time_to_limit": "trend",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'factorylm_predictor' has no attribute {name!r}")
    return getattr(import_module(f"factorylm_predictor.{_HOMES[name]}"), name)
