"""Readings over time, referred to by a handle and never pasted through a model."""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise

from pydantic import AwareDatetime, BaseModel, ConfigDict

from factorylm_schema.reading import Value


class SeriesStatistics(BaseModel):
    """A series in one line. `minimum`, `maximum`, `mean` and `spread` stand only for numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    count: int
    missing: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    spread: float | None = None
    changes: int


class Series(BaseModel):
    """One tag's samples; None where a sample brought no good value."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    tag: str
    unit: str = ""
    times: list[AwareDatetime]
    values: list[Value | None]

    @property
    def handle(self) -> str:
        """The content's hash: the same samples always have the same handle."""
        content = [self.tag, self.unit, [t.isoformat() for t in self.times], self.values]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return "series:" + hashlib.sha256(text.encode()).hexdigest()[:16]

    def statistics(self) -> SeriesStatistics:
        """Count, gaps, range, mean, standard deviation and number of changes."""
        present = [v for v in self.values if v is not None]
        numbers = [float(v) for v in present if not isinstance(v, bool | str)]
        moved = sum(a != b for a, b in pairwise(present))
        low, high, mean, spread = _summary(numbers)
        return SeriesStatistics(
            count=len(present),
            missing=len(self.values) - len(present),
            minimum=low,
            maximum=high,
            mean=mean,
            spread=spread,
            changes=moved,
        )


def _summary(numbers: Sequence[float]) -> tuple[float | None, float | None, float | None, float | None]:
    if not numbers:
        return None, None, None, None
    mean = sum(numbers) / len(numbers)
    variance = sum((n - mean) ** 2 for n in numbers) / len(numbers)
    return min(numbers), max(numbers), mean, variance**0.5
