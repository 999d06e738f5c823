"""The twin of one machine: a graded model per output, the envelope of what was seen, and how it simulates."""

from dataclasses import dataclass

import numpy as np

from factorylm_twin.arrays import Flags, Floats
from factorylm_twin.choosing import START_ROWS, Part
from factorylm_twin.tables import Wanted, filled

REFUSED = "refuse"
_WIDER = 1.2


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """Where the inputs were: each alone (1-99 %, widened), and all together."""

    low: Floats
    high: Floats
    middle: Floats
    inverse: Floats
    farthest: float

    def outside(self, names: tuple[str, ...], place: Floats) -> str:
        """Which bound this place breaks; empty when it lies inside."""
        for name, value, low, high in zip(names, place, self.low, self.high, strict=True):
            if not low <= value <= high:
                return f"outside_envelope: {name} = {value:.4g}; the record covers {low:.4g} to {high:.4g}"
        apart = place - self.middle
        if float(apart @ self.inverse @ apart) > self.farthest:
            return f"outside_envelope: {', '.join(names)} were never near this combination"
        return ""


@dataclass(frozen=True, kw_only=True)
class OutputModel:
    """One output: the model, its grade and its band by horizon.

    `siblings` are the same model fitted without one stretch each; `rivals` are other kinds of model that did nearly
    as well: what they disagree about is not known.
    `input_refusals` says per input why its effect is not told; `gain_low` and `gain_high` stand where a closed loop
    gave gains instead of free runs.
    """

    name: str
    part: Part | None
    siblings: tuple[Part, ...]
    rivals: tuple[Part, ...]
    words: str
    grade: str
    reason: str
    fit_percent: float
    rmse: float
    horizons: tuple[int, ...]
    band: Floats
    input_refusals: tuple[str, ...]
    gain_low: Floats
    gain_high: Floats

    def band_at(self, rows_ahead: Floats) -> Floats:
        """Half width of the 90 % band so many rows after the last given output."""
        place = np.searchsorted(np.array(self.horizons), np.maximum(rows_ahead, 1.0))
        return np.asarray(self.band[np.minimum(place, len(self.band) - 1)])


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Everything that a model file holds."""

    wanted: Wanted
    step: float
    time_unit: str
    rows: int
    outputs: tuple[OutputModel, ...]
    envelope: Envelope
    last_u: Floats
    last_y: Floats
    reason: str

    @property
    def grade(self) -> str:
        """The worst of the outputs'."""
        order = ["A", "B", "C", REFUSED]
        return max((o.grade for o in self.outputs), key=order.index)


def envelope_of(u: Floats) -> Envelope:
    """What the record covers."""
    filled_u = filled(u)
    low, high = np.quantile(filled_u, [0.01, 0.99], axis=0)
    centre, half = (low + high) / 2, (high - low) / 2 * _WIDER
    middle, spread = filled_u.mean(axis=0), filled_u.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (filled_u - middle) / spread
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(scaled.T)) + 1e-6 * np.eye(len(middle))) / np.outer(spread, spread)
    apart = filled_u - middle
    distances = np.einsum("ij,jk,ik->i", apart, inverse, apart)
    farthest = float(np.quantile(distances, 0.999)) * _WIDER**2 + 1e-9
    if len(middle) == 1:
        farthest = float("inf")  # one input alone is judged by its own range
    return Envelope(low=centre - half, high=centre + half, middle=middle, inverse=inverse, farthest=farthest)


def given_rows(y: Floats) -> int:
    """How many first rows start the simulation: those with outputs, at most 50 when all rows have them."""
    known: Flags = np.asarray(np.isfinite(y).all(axis=1))
    leading = len(known) if known.all() else int(np.argmin(known))
    later = known[leading:].any()
    return leading if leading < len(known) and not later else min(leading, START_ROWS)


def simulated(twin: Twin, u: Floats, y: Floats, given: int) -> list[tuple[Floats, Floats, Floats]]:
    """Each output with its band over all rows; the given rows come back as they are, without a band."""
    ahead: Floats = np.arange(len(u), dtype=np.float64) - given + 1.0
    found = []
    for j, output in enumerate(twin.outputs):
        assert output.part is not None
        values = output.part.run(u, y[:given, j])
        half = np.where(ahead > 0, output.band_at(ahead), 0.0)
        found.append((values, values - half, values + half))
    return found
