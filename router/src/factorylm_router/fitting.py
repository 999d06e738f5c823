"""Fit a verifier on compared answers. Needs numpy (extra `learn`) and never runs inside a serving process."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from factorylm_router.cascade import caution
from factorylm_router.errors import ConfigError
from factorylm_router.features import Observation, Question
from factorylm_router.verifier import PREMIUM, STAGES, Linear, Verifier, features_of

RIDGE = 10.0
STEPS = 25
DEFAULT_RATE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One question answered by three cheap models and premium, in the order they are asked, with scores."""

    question: Question
    cheap: tuple[Observation, ...]
    scores: tuple[float, ...]
    premium_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Compared answers of one choice of models, and what its calls cost beside one of premium."""

    name: str
    rows: Sequence[Compared]
    costs: tuple[float, ...]


def _numpy() -> Any:
    # These matrices are narrow: several BLAS threads only wait for each other, minutes long on a busy
    # machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import numpy as np
    except ImportError as error:
        raise ConfigError("fitting needs numpy", hint="pip install 'factorylm-router[learn]'") from error
    return np


def fit_verifier(batches: Sequence[Batch], target_costs: Sequence[float], rate: float = DEFAULT_RATE) -> Verifier:
    """`target_costs`: what the cheap calls will cost where the verifier is used, as shares of a premium call.

    Every batch weighs the same: a large set must not decide for all others."""
    np = _numpy()
    if not batches or not any(batch.rows for batch in batches):
        raise ConfigError(
            "there are no compared answers to fit on", hint="rows need a score of every model of the case"
        )
    weights = np.concatenate([np.full(len(b.rows), 1.0 / len(b.rows)) for b in batches if b.rows])
    weights *= len(weights) / weights.sum()
    rows = [row for batch in batches for row in batch.rows]
    features = {k: np.array([features_of(r.question, r.cheap[:k]) for r in rows]) for k in STAGES}
    right: dict[int, dict[str, Linear]] = {}
    chances: dict[int, dict[str, Any]] = {}
    for stage in STAGES:
        told = {str(n): np.array([r.scores[n] for r in rows]) for n in range(stage)}
        told[PREMIUM] = np.array([r.premium_score for r in rows])
        right[stage] = {who: _logistic(np, features[stage], scores, weights) for who, scores in told.items()}
        chances[stage] = {who: _chances(np, model, features[stage]) for who, model in right[stage].items()}
    value = _values(np, features, chances, weights, target_costs, rate * caution(target_costs))
    names = ", ".join(batch.name for batch in batches)
    return Verifier(
        right=right, value=value, premium_calls_per_right_answer=rate, fitted_on=f"{names}: {len(rows)} rows"
    )


def _values(
    np: Any, features: Any, chances: Any, weights: Any, costs: Sequence[float], rate: float
) -> dict[int, Linear]:
    """Backwards from the last stage: what an optimal continuation is worth, as a linear function of what
    is known."""
    value: dict[int, Linear] = {}
    after = np.max([*(chances[3][str(n)] for n in range(3)), chances[3][PREMIUM] - 1 / rate], axis=0)
    for stage in (2, 1):
        value[stage] = _ridge(np, features[stage], after, weights)
        further = features[stage] @ np.array(value[stage].weights) + value[stage].bias - costs[stage] / rate
        own = [chances[stage][str(n)] for n in range(stage)]
        after = np.max([*own, further, chances[stage][PREMIUM] - 1 / rate], axis=0)
    return value


def _scaled(np: Any, features: Any, weights: Any) -> tuple[Any, Any, Any]:
    mean = np.average(features, axis=0, weights=weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    scale[scale < 1e-9] = 1.0
    return (features - mean) / scale, mean, scale


def _unscaled(solved: Any, mean: Any, scale: Any) -> Linear:
    weights = solved[1:] / scale
    return Linear(tuple(map(float, weights)), float(solved[0] - weights @ mean))


def _logistic(np: Any, features: Any, scores: Any, weights: Any) -> Linear:
    """Newton's method with a ridge; the bias is not held back."""
    scaled, mean, scale = _scaled(np, features, weights)
    x = np.hstack([np.ones((len(scaled), 1)), scaled])
    ridge = np.diag([1e-6, *[RIDGE] * scaled.shape[1]])
    solved = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ solved, -30, 30)))
        gradient = x.T @ (weights * (scores - p)) - ridge @ solved
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + ridge
        step = np.linalg.solve(hessian, gradient)
        solved = solved + step
        if float(np.abs(step).max()) < 1e-8:
            break
    return _unscaled(solved, mean, scale)


def _ridge(np: Any, features: Any, values: Any, weights: Any) -> Linear:
    scaled, mean, scale = _scaled(np, features, weights)
    x = np.hstack([np.ones((len(scaled), 1)), scaled])
    ridge = np.diag([1e-6, *[RIDGE] * scaled.shape[1]])
    solved = np.linalg.solve((x * weights[:, None]).T @ x + ridge, x.T @ (weights * values))
    return _unscaled(solved, mean, scale)


def _chances(np: Any, model: Linear, features: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(features @ np.array(model.weights) + model.bias, -30, 30)))
