"""Before a model replaces another: which of the two is better, on assets the old one has not seen."""

from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.features import features_at
from factorylm_predictor.fleet import run_of
from factorylm_predictor.histories import Histories, History
from factorylm_predictor.life_model import LifeModel

_FEWEST_NEW = 5
_WORSE = 1.1
_MOMENTS = 12


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Errors of both models in the data's time unit, and on what."""

    worse: bool
    text: str


def compare(old: LifeModel | None, new: LifeModel, data: Histories) -> Comparison | None:
    """None where nothing can be compared: no old model, or one that only refuses."""
    if old is None or old.evidence is None:
        return None
    if new.evidence is None or (new.refusal and not old.refusal):
        return Comparison(worse=True, text=f"it gives no number ({new.refusal}), the old one does")
    after = new.card["errors_in_steps"]["rmse"] * new.step
    fresh = [h for h in data.units if h.unit not in set(old.card["data"]["units"])]
    fits = set(old.settings + old.sensors) <= set(data.columns)
    if len(fresh) >= _FEWEST_NEW and fits:
        before = _error(old, fresh, data.columns)
        where = f"on {len(fresh)} units the old model never saw"
    else:
        before = old.card["errors_in_steps"]["rmse"] * old.step
        where = "each on its own units left out"
    text = f"error {after:.4g} against {before:.4g}, {where}"
    return Comparison(worse=after > _WORSE * before, text=text)


def _error(model: LifeModel, units: list[History], columns: tuple[str, ...]) -> float:
    """The old model's error over evenly spread moments of lives it has not seen."""
    errors = np.concatenate([_errors(model, unit, columns) for unit in units])
    return float(np.sqrt((errors**2).mean())) * model.step


def _errors(model: LifeModel, history: History, columns: tuple[str, ...]) -> Floats:
    assert model.evidence is not None
    run = run_of(history, columns, model.settings, model.sensors, model.step, ended=True)
    away = np.nan_to_num(model.conditions.deviations(run.settings, run.sensors))
    moments = np.unique(np.linspace(0, len(run) - 1, _MOMENTS).astype(int))
    age = (run.times - run.times[0]) / model.step + 1
    features = np.array([features_at(away, int(i) + 1, float(age[i])) for i in moments], dtype=np.float32)
    members = np.clip(model.evidence.forest.by_member(features)[:, :, 0], 0, model.cap)
    remaining = (run.times[-1] - run.times[moments]) / model.step
    return np.asarray(members.mean(axis=1) - np.minimum(remaining, model.cap))
