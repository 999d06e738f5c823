"""The chance that an answer is right, and what asking further is worth: small linear models over shared
features.

Stage k knows k cheap answers. For each stage the verifier holds the chance that each of them, and
premium's, is
right; for stages 1 and 2 also what the best continuation after one more cheap answer is worth. Values are
in right
answers: a cost is compared after division by what a right answer is worth (one lambda, in money)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from factorylm_router.errors import ConfigError
from factorylm_router.features import Observation, Question, agreements, question_features, shape_features

STAGES = (1, 2, 3)
PREMIUM = "premium"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Linear:
    weights: tuple[float, ...]
    bias: float

    def score(self, features: Sequence[float]) -> float:
        return self.bias + sum(w * x for w, x in zip(self.weights, features, strict=True))

    def chance(self, features: Sequence[float]) -> float:
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, self.score(features)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """`right[stage][who]`: who is the position of a cheap answer, or "premium".

    `value[stage]`: what going on with one more cheap answer is worth, its own cost not yet taken off."""

    right: Mapping[int, Mapping[str, Linear]]
    value: Mapping[int, Linear]
    premium_calls_per_right_answer: float
    fitted_on: str

    def as_json(self) -> bytes:
        told = {
            "format": FORMAT,
            "fitted_on": self.fitted_on,
            "premium_calls_per_right_answer": self.premium_calls_per_right_answer,
            "right": {str(k): {who: _told(m) for who, m in models.items()} for k, models in self.right.items()},
            "value": {str(k): _told(m) for k, m in self.value.items()},
        }
        return orjson.dumps(told, option=orjson.OPT_INDENT_2)


def _told(model: Linear) -> dict[str, Any]:
    return {"bias": round(model.bias, 6), "weights": [round(w, 6) for w in model.weights]}


def _linear(told: Mapping[str, Any]) -> Linear:
    return Linear(tuple(map(float, told["weights"])), float(told["bias"]))


def load_verifier(path: Path | None = None) -> Verifier:
    """The one in this file, or the one that ships."""
    where = path or Path(__file__).with_name("verifier.json")
    try:
        told = orjson.loads(where.read_bytes())
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}, not {FORMAT}")  # noqa: TRY301 -- told with the file
        return Verifier(
            right={int(k): {who: _linear(m) for who, m in models.items()} for k, models in told["right"].items()},
            value={int(k): _linear(m) for k, m in told["value"].items()},
            premium_calls_per_right_answer=float(told["premium_calls_per_right_answer"]),
            fitted_on=str(told["fitted_on"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{where} is no verifier: {error}", hint="fit one with factorylm-router eval --fit"
        ) from error


def features_of(question: Question, seen: Sequence[Observation]) -> list[float]:
    shapes = [value for observation in seen for value in shape_features(question, observation)]
    return [*question_features(question), *shapes, *agreements(seen)]
