"""Reading a CSV into a record on an even clock; what is not a number is a gap."""

import csv
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import numpy as np
from factorylm_schema.errors import UnknownNameError

from factorylm_twin.arrays import Flags, Floats
from factorylm_twin.errors import DataError

_MOST_ROWS = 2_000_000
_AUTOMATIC = frozenset({"auto", "automatic", "a", "1", "1.0", "true", "cas", "cascade", "closed"})
_MANUAL = frozenset({"manual", "man", "m", "0", "0.0", "false", "hand", "open"})


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which columns are asked for."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    time: str = ""
    mode: str = ""
    setpoint: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Inputs and outputs row by row, NaN where there is no value; `step` is one row's time in `time_unit`."""

    wanted: Wanted
    u: Floats
    y: Floats
    step: float
    time_unit: str
    file_rows: tuple[int, ...]
    automatic: Flags
    setpoint: Floats


def read_columns(path: Path) -> dict[str, list[str]]:
    """All columns of a CSV, as written."""
    with _opened(path) as stream:
        try:
            line = stream.readline()
            if not line.strip():
                raise DataError(f"{path.name} is empty", hint="the first line must name the columns")
            delimiter = max(",;\t|", key=line.count)
            names = [n.strip() for n in next(csv.reader([line], delimiter=delimiter))]
            rows = [row for row in csv.reader(stream, delimiter=delimiter) if row]
        except (EOFError, csv.Error, OSError) as error:
            raise DataError(f"{path.name} cannot be read: {error}", hint="export it again") from error
    _check(path, names, rows)
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def read_record(path: Path, wanted: Wanted) -> Record:
    """The columns asked for, put on an even clock."""
    return record_of(read_columns(path), wanted, path.name)


def record_of(columns: dict[str, list[str]], wanted: Wanted, name: str) -> Record:
    """The same from columns in memory."""
    named = [*wanted.inputs, *wanted.outputs, *(c for c in (wanted.time, wanted.mode, wanted.setpoint) if c)]
    for column in named:
        if column not in columns:
            raise UnknownNameError(f"column in {name}:", column, columns)
    if both := set(wanted.inputs) & set(wanted.outputs):
        raise DataError(f"{min(both)!r} is named as input and as output", hint="each column has one part to play")
    rows = len(columns[wanted.inputs[0]])
    places, step, unit = _clock(columns[wanted.time], name) if wanted.time else (np.arange(rows), 1.0, "rows")
    size = int(places[-1]) + 1

    def even(values: Floats) -> Floats:
        spread_out = np.full((size, *values.shape[1:]), np.nan)
        spread_out[places] = values
        return spread_out

    modes = _modes(columns[wanted.mode], name) if wanted.mode else np.full(rows, 1.0 if wanted.setpoint else 0.0)
    setpoint = numbers(columns[wanted.setpoint]) if wanted.setpoint else np.full(rows, np.nan)
    return Record(
        wanted=wanted,
        u=even(np.column_stack([numbers(columns[c]) for c in wanted.inputs])),
        y=even(np.column_stack([numbers(columns[c]) for c in wanted.outputs])),
        step=step,
        time_unit=unit,
        file_rows=tuple(int(p) for p in places),
        automatic=even(modes) > 0,
        setpoint=even(setpoint),
    )


def filled(values: Floats) -> Floats:
    """Gaps bridged by straight lines, column by column; a column without any value becomes zero."""
    result = values.copy()
    for i in range(values.shape[1]):
        known = np.isfinite(values[:, i])
        if known.any():
            places = np.arange(len(values))
            result[:, i] = np.interp(places, places[known], values[known, i])
        else:
            result[:, i] = 0.0
    return result


def _opened(path: Path) -> IO[str]:
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
        raise UnknownNameError("file", path.name, siblings, hint=f"looked in {path.parent}")
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def _check(path: Path, names: list[str], rows: list[list[str]]) -> None:
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise DataError(f"{path.name} names these columns twice: {', '.join(doubled)}", hint="rename them")
    if not rows:
        raise DataError(f"{path.name} has a header and no rows", hint="export the data again")
    if len(rows) > _MOST_ROWS:
        raise DataError(f"{path.name} has more than {_MOST_ROWS} rows", hint="export a shorter time, or fewer samples")
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise DataError(
                f"{path.name} row {number} has {len(row)} cells, the header has {len(names)}",
                hint="the file may be cut off, or a decimal comma splits a cell: use ';' between columns",
            )


def numbers(cells: Sequence[str]) -> Floats:
    """Cells as numbers; what is none is a gap."""
    try:
        found = np.array(cells, dtype=np.float64)
    except ValueError:
        found = np.array([_number(c) for c in cells])
    return np.where(np.isfinite(found), found, np.nan)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        try:
            return float(cell.replace(",", ".")) if cell.count(",") == 1 else np.nan
        except ValueError:
            return np.nan


def _modes(cells: Sequence[str], name: str) -> Floats:
    words = [c.strip().lower() for c in cells]
    unknown = sorted({w for w in words if w and w not in _AUTOMATIC | _MANUAL})
    if unknown:
        raise DataError(
            f"{name}: the mode column says {unknown[0]!r}", hint="write auto or manual (or 1 and 0) in every row"
        )
    return np.array([1.0 if w in _AUTOMATIC else 0.0 for w in words])


def _clock(cells: Sequence[str], name: str) -> "tuple[np.ndarray[tuple[int], np.dtype[np.int64]], float, str]":
    times, unit = _times(cells, name)
    steps = np.diff(times)
    if len(steps) == 0:
        return np.zeros(1, dtype=np.int64), 1.0, unit
    backward = np.flatnonzero(steps <= 0)
    if len(backward):
        raise DataError(f"{name}: time stands still or goes back at row {backward[0] + 3}", hint="sort by time, once")
    step = float(np.median(steps))
    places = np.rint((times - times[0]) / step).astype(np.int64)
    if np.mean(np.diff(places) == 0) > 0 or places[-1] > 20 * len(times):
        raise DataError(f"{name}: rows are not sampled evenly (median step {step:g})", hint="resample to an even step")
    return places, step, unit


def _times(cells: Sequence[str], name: str) -> tuple[Floats, str]:
    counted = numbers(cells)
    if np.isfinite(counted).all():
        return counted, "time units"
    try:
        stamps = [datetime.fromisoformat(c.strip()) for c in cells]
    except ValueError as error:
        raise DataError(f"{name}: the time column holds neither numbers nor timestamps: {error}") from error
    aware = [s if s.tzinfo else s.replace(tzinfo=UTC) for s in stamps]
    return np.array([s.timestamp() for s in aware]), "s"
