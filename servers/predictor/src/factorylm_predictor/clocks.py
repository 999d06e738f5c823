"""Time columns: plain numbers in any unit, or ISO timestamps taken as UTC hours."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.tables import Cells, numbers_from

ClockKind = Literal["number", "timestamp"]
HOUR_S = 3600.0


def clock_kind(cells: Cells | Floats) -> ClockKind | None:
    """How a column tells time; None if it does not."""
    if not isinstance(cells, tuple):
        return "number"
    sample = [c for c in cells[:200] if c.strip()]
    if not sample:
        return None
    if np.isfinite(numbers_from(sample)).mean() > 0.9:
        return "number"
    read = sum(_hours(c) is not None for c in sample)
    return "timestamp" if read > 0.9 * len(sample) else None


def times_from(cells: Cells | Floats, kind: ClockKind) -> Floats:
    """Times as numbers; timestamps become hours since 1970 UTC. NaN where unreadable."""
    if not isinstance(cells, tuple):
        return cells
    if kind == "number":
        return numbers_from(cells)
    return np.array([np.nan if (h := _hours(c)) is None else h for c in cells])


def _hours(cell: str) -> float | None:
    try:
        moment = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp() / HOUR_S


def guess_time_column(header: Sequence[str], columns: dict[str, Cells | Floats]) -> str | None:
    """A timestamp column, or a column named like a clock that only rises."""
    for name in header:
        if clock_kind(columns[name]) == "timestamp":
            return name
    for name in header:
        words = name.lower().replace("_", " ").split()
        if words and words[0] in {
            "time",
            "t",
            "timestamp",
            "datetime",
            "date",
            "cycle",
            "cycles",
            "hours",
            "hour",
        }:
            times = times_from(columns[name], "number")
            if len(times) > 1 and bool(np.all(np.diff(times) > 0)):
                return name
    return None
