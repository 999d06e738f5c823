"""An export of factorylm-edge's history, a sample a row, as a table: a column per tag, a row per step."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.clocks import HOUR_S, times_from
from factorylm_predictor.errors import DataError
from factorylm_predictor.histories import MAX_CELLS
from factorylm_predictor.tables import CHUNK_ROWS, Cells, Chunk, Table, TableFile

TIME = "time"
_COLUMNS = {"tag", "time", "value", "quality"}
LEAST_STEP_S = 60.0
"""A gateway keeps changes, and says a value that holds once a minute."""
HELD_STEPS = 1.5
_GOOD = "Good"
Trace = tuple[Floats, Floats]


def table_at(path: Path) -> Table:
    """The file's rows as they are, or an export's samples put side by side."""
    file = TableFile(path)
    return HistoryExport(file) if set(file.header()) - {"text"} == _COLUMNS else file


class HistoryExport:
    """At each step every tag has its last good value, if that is not older than one and a half steps.

    The step is the usual time between two samples of a tag, a minute at least.
    """

    def __init__(self, file: TableFile) -> None:
        self.name = file.name
        self._traces = _traces(file)
        gaps = [np.median(np.diff(times)) for times, _ in self._traces.values() if len(times) > 1]
        self._step_s = max(LEAST_STEP_S, round(float(np.median(gaps)))) if gaps else LEAST_STEP_S

    def header(self) -> list[str]:
        """Time and tags."""
        return [TIME, *self._traces]

    def chunks(self) -> Iterator[Chunk]:
        """The steps from the first sample to the last."""
        ends = [(times[0], times[-1]) for times, _ in self._traces.values()]
        first, last = min(a for a, _ in ends), max(b for _, b in ends)
        steps = np.arange(np.ceil(first / self._step_s), np.floor(last / self._step_s) + 1) * self._step_s
        if len(steps) * len(ends) > MAX_CELLS:
            raise DataError(
                f"{self.name} spans {len(steps)} steps of {len(ends)} tags", hint="export fewer tags or fewer hours"
            )
        for at in range(0, len(steps), CHUNK_ROWS):
            part = steps[at : at + CHUNK_ROWS]
            columns: dict[str, Cells | Floats] = {TIME: tuple(map(_stamp, part.tolist()))}
            columns |= {tag: _held(trace, part, HELD_STEPS * self._step_s) for tag, trace in self._traces.items()}
            yield Chunk(first_row=at + 1, columns=columns)


def _traces(file: TableFile) -> dict[str, Trace]:
    """(seconds since 1970, good values or NaN) of each tag, in order of time."""
    parts: dict[str, list[Trace]] = {}
    rows = 0
    for chunk in file.chunks():
        tags = np.array(chunk.texts("tag"))
        values = np.where(np.array(chunk.texts("quality")) == _GOOD, chunk.numbers("value"), np.nan)
        times = times_from(chunk.columns["time"], "timestamp") * HOUR_S
        for tag in dict.fromkeys(tags.tolist()):
            mine = (tags == tag) & np.isfinite(times)
            parts.setdefault(tag, []).append((times[mine], values[mine]))
        rows += len(tags)
        if rows > MAX_CELLS:
            raise DataError(f"{file.name} holds more than {MAX_CELLS} samples", hint="export fewer tags or fewer hours")
    traces = {tag: _joined(found) for tag, found in parts.items()}
    if not any(len(times) for times, _ in traces.values()):
        raise DataError(f"{file.name} is an export without a sample", hint="export more hours, or other tags")
    return {tag: trace for tag, trace in traces.items() if len(trace[0])}


def _joined(parts: list[Trace]) -> Trace:
    times, values = (np.concatenate(side) for side in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def _held(trace: Trace, steps: Floats, longest_s: float) -> Floats:
    times, values = trace
    last = np.searchsorted(times, steps, side="right") - 1
    fresh = (last >= 0) & (steps - times[np.maximum(last, 0)] <= longest_s)
    return np.where(fresh, values[np.maximum(last, 0)], np.nan)


def _stamp(second: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat()
