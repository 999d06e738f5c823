"""Run histories per unit: the rows of each machine in time order, in bounded memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.clocks import ClockKind, clock_kind, times_from
from factorylm_predictor.errors import DataError
from factorylm_predictor.means import Rows, joined, means_over, places_in_unit
from factorylm_predictor.tables import Chunk, Table, first_chunk, pick

# 20 million cells are 160 MB; a longer file keeps its means over equal runs of rows
MAX_CELLS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class History:
    """One unit's rows in time order. `values` has a column per name in `Histories.columns`."""

    unit: str
    times: Floats
    values: Floats

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, kw_only=True)
class Histories:
    """All units of one file."""

    source: str
    columns: tuple[str, ...]
    clock: ClockKind
    units: tuple[History, ...]
    rows_read: int
    rows_per_mean: int
    notes: tuple[str, ...] = ()

    def interval(self) -> float:
        """The usual time between two rows."""
        gaps = [np.diff(h.times) for h in self.units if len(h) > 1]
        return float(np.median(np.concatenate(gaps))) if gaps else 1.0

    def only(self, keep: Iterable[str]) -> "Histories":
        """The same file with these units alone."""
        wanted = set(keep)
        return replace(self, units=tuple(h for h in self.units if h.unit in wanted))


def read_histories(
    table: Table,
    *,
    unit: str | None,
    time: str,
    columns: Sequence[str] | None = None,
    max_cells: int = MAX_CELLS,
) -> Histories:
    """Read every unit's rows. `columns` None: all columns that hold numbers; `unit` None: one machine alone."""
    name = table.name
    header = table.header()
    if unit is not None:
        pick(unit, header, "unit", name)
    pick(time, header, "time", name)
    if unit == time:
        raise DataError(f"'{unit}' cannot be both the unit and the time", hint=f"columns: {', '.join(header)}")
    if columns is not None:
        for column in columns:
            pick(column, header, "sensor or setting", name)
    first = first_chunk(table)
    kind = _clock_of(first, time, name)
    if columns is None:
        columns, notes = _numeric_columns(first, [c for c in header if c not in {unit, time}])
    else:
        notes = []
    reader = _Gatherer(columns=tuple(columns), unit=unit, time=time, kind=kind, max_cells=max_cells)
    for chunk in table.chunks():
        reader.take(chunk)
    return reader.histories(name, notes)


def _clock_of(chunk: Chunk, time: str, name: str) -> ClockKind:
    kind = clock_kind(chunk.columns[time])
    if kind is None:
        raise DataError(
            f"'{time}' in {name} is neither a number nor an ISO timestamp (it begins {chunk.texts(time)[0][:40]!r})",
            hint="name the time column with --time",
        )
    return kind


def _numeric_columns(chunk: Chunk, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns with numbers in at least half of the cells that hold anything."""
    numeric, notes = [], []
    for name in names:
        values = chunk.numbers(name)
        filled = [c for c in chunk.texts(name) if c.strip()] if np.isnan(values).any() else values
        if len(filled) == 0 or np.isfinite(values).sum() >= 0.5 * len(filled):
            numeric.append(name)
        else:
            notes.append(f"'{name}' holds text, not numbers, and is left out")
    return numeric, notes


class _Gatherer:
    """Collects chunks; beyond the budget it keeps means over twice as many rows."""

    def __init__(
        self, *, columns: tuple[str, ...], unit: str | None, time: str, kind: ClockKind, max_cells: int
    ) -> None:
        self.columns, self.unit, self.time, self.kind = columns, unit, time, kind
        self.max_rows = max(1000, max_cells // (len(columns) + 2))
        self.names: dict[str, int] = {}
        self.parts: list[Rows] = []
        self.before: dict[int, int] = {}
        self.kept = self.rows_read = 0
        self.run = 1

    def take(self, chunk: Chunk) -> None:
        labels = np.array(chunk.texts(self.unit) if self.unit else ["machine"] * len(chunk))
        seen, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        for place in np.argsort(first):  # units keep the order in which the file names them
            self.names.setdefault(str(seen[place]).strip(), len(self.names))
        codes = np.array([self.names[str(s).strip()] for s in seen])[inverse]
        times = times_from(chunk.columns[self.time], self.kind)
        values = (
            np.column_stack([chunk.numbers(c) for c in self.columns]) if self.columns else np.empty((len(times), 0))
        )
        values[~np.isfinite(values)] = np.nan
        self.rows_read += len(times)
        places = places_in_unit(codes, self.before)
        rows = Rows(unit=codes, place=places, times=times, values=values, weight=np.ones(len(times)))
        self._keep(means_over(rows, self.run))
        while self.kept > self.max_rows:
            self._halve()

    def _keep(self, part: Rows) -> None:
        self.parts.append(part)
        self.kept += len(part)

    def _halve(self) -> None:
        before, together = self.kept, joined(self.parts)
        self.parts, self.kept, self.run = [], 0, self.run * 2
        self._keep(means_over(together, self.run))
        if self.kept > 0.9 * before:
            raise DataError(
                f"'{self.unit}' has a new value in almost every row",
                hint="is it the unit? --unit and --time may be swapped",
            )

    def histories(self, source: str, notes: list[str]) -> Histories:
        rows_kept = means_over(joined(self.parts), self.run)  # chunks were cut anywhere: join what belongs together
        codes, times, values = rows_kept.unit, rows_kept.times, rows_kept.values
        if self.unit:
            _refuse_a_unit_per_row(len(self.names), len(codes), self.unit)
        if bad := int(np.isnan(times).sum()):
            notes = [*notes, f"{bad} rows have no readable time and are left out"]
        units = []
        order = np.argsort(codes, kind="stable")
        edges = np.searchsorted(codes[order], np.arange(len(self.names) + 1))
        for name, (a, b) in zip(self.names, pairwise(edges.tolist()), strict=True):
            rows = order[a:b][np.isfinite(times[order[a:b]])]
            if backwards := int((np.diff(times[rows]) < 0).sum()):
                text = f"unit {name}: the clock goes back {backwards} times; rows were sorted by time"
                notes = [*notes, text]
            rows = rows[np.argsort(times[rows], kind="stable")]
            if len(rows):
                units.append(History(unit=name, times=times[rows], values=values[rows]))
        if not units:
            raise DataError(f"{source} has no row with a readable time in '{self.time}'")
        return Histories(
            source=source,
            columns=self.columns,
            clock=self.kind,
            units=tuple(units),
            rows_read=self.rows_read,
            rows_per_mean=self.run,
            notes=tuple(notes),
        )


def _refuse_a_unit_per_row(units: int, rows: int, name: str) -> None:
    if rows >= 20 and units > 0.5 * rows:
        raise DataError(
            f"'{name}' has {units} different values in {rows} rows, so no unit has a history",
            hint="--unit names the machine, --time its clock: they may be swapped",
        )
