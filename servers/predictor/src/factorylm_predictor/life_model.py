"""What a training leaves behind for remaining life: everything a prediction needs, as arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorylm_predictor.arrays import Floats, Ints
from factorylm_predictor.clocks import ClockKind
from factorylm_predictor.conditions import Conditions
from factorylm_predictor.conformal import Calibration
from factorylm_predictor.novelty import Gate
from factorylm_predictor.trees import Forest

# Fewer complete failures than this: no number at all; see the sufficiency table in the README
FEWEST_FAILURES = 5
FEWEST_FOR_INTERVAL = 9
ENOUGH_FAILURES = 20


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Moments of past failures, to show what a machine of today resembles.

    `place` is where a moment stands along the features the trees gained most from, each in its own spread and
    weighed by that gain.
    """

    units: tuple[str, ...]
    unit: NDArray[np.uint16]
    remaining: NDArray[np.float32]
    features: Ints
    weights: Floats
    place: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What makes numbers possible; absent when too few failures were seen."""

    forest: Forest
    calibration: Calibration
    cases: Cases
    importance: Floats


@dataclass(frozen=True, kw_only=True)
class LifeModel:
    """A fitted remaining-life model. Times are in the data's own unit, spans in steps."""

    time_column: str
    unit_column: str
    clock: ClockKind
    settings: tuple[str, ...]
    sensors: tuple[str, ...]
    step: float
    cap: float
    conditions: Conditions
    gate: Gate
    change_interval: Floats
    jump_limit: Floats
    failures: int
    censored: int
    evidence: Evidence | None
    refusal: str
    card: dict[str, Any]

    def time_unit(self) -> str:
        """What one unit of the time column is called."""
        return "h" if self.clock == "timestamp" else self.time_column
