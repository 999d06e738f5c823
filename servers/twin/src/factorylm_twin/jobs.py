"""Files in, simulations out: what the command and the tools share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from factorylm_schema.errors import BadRequestError

from factorylm_twin.arrays import Floats
from factorylm_twin.errors import DataError
from factorylm_twin.tables import Record, filled, numbers, read_columns, record_of
from factorylm_twin.twin import Twin, given_rows, simulated
from factorylm_twin.whatif import Past

_PAST_ROWS = 200
_STEP_DIFFERS = 0.01
_MOSTLY_NUMBERS = 0.9


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Free runs of all outputs over a file's rows, and what was measured there."""

    columns: list[str]
    values: Floats
    measured: Floats
    given: int
    places: tuple[int, ...]

    def rows(self) -> Iterator[list[float | int]]:
        """Lines of the file that is written; a gap in the clock has no line."""
        for row, place in enumerate(self.places):
            yield [row, *(float(f"{v:.9g}") for v in self.values[place])]


Columns = dict[str, list[str]]


def simulate_file(twin: Twin, path: Path) -> Simulation:
    """Run free from the first rows whose outputs are given."""
    return simulate_columns(twin, read_columns(path), path.name)


def simulate_columns(twin: Twin, columns: Columns, name: str) -> Simulation:
    """The same from columns in memory."""
    if any(o.part is None for o in twin.outputs):
        raise BadRequestError(f"this twin has no model: {twin.outputs[0].reason}", hint="fit it on other data")
    record = _same_columns(twin, columns, name)
    given = given_rows(record.y)
    if given == 0:
        raise DataError(
            f"{name}: the first row has no value of {', '.join(twin.wanted.outputs)}",
            hint="give the outputs of the first rows (50 are good); the later ones may be empty",
        )
    found = simulated(twin, filled(record.u), record.y, given)
    names = ["row", *twin.wanted.outputs]
    names += [f"{o}_{end}" for o in twin.wanted.outputs for end in ("lo", "hi")]
    values = [f[0] for f in found] + [end for f in found for end in f[1:]]
    return Simulation(
        columns=names,
        values=np.column_stack(values),
        measured=record.y,
        given=given,
        places=record.file_rows,
    )


def past_of(twin: Twin, columns: Columns, name: str) -> Past:
    """The last rows, as a start."""
    record = _same_columns(twin, columns, name)
    known = np.flatnonzero(np.isfinite(record.y).all(axis=1) & np.isfinite(record.u).all(axis=1))
    if not len(known):
        raise DataError(f"{name}: no row has all inputs and outputs", hint="give at least the newest row in full")
    rows = slice(max(0, int(known[-1]) + 1 - _PAST_ROWS), int(known[-1]) + 1)
    return Past(u=filled(record.u)[rows], y=filled(record.y)[rows])


def numeric_columns(twin: Twin, columns: Columns, places: tuple[int, ...], most: int = 20) -> dict[str, Floats]:
    """What may explain a residual: the inputs, and the other columns that are numbers, on the record's clock."""
    named = {*twin.wanted.outputs, twin.wanted.time, twin.wanted.mode, twin.wanted.setpoint}
    found: dict[str, Floats] = {}
    for name in [*twin.wanted.inputs, *(c for c in columns if c not in {*twin.wanted.inputs, *named})]:
        values = numbers(columns[name])
        if np.isfinite(values).mean() > _MOSTLY_NUMBERS and np.nanstd(values) > 0 and len(found) < most:
            spread = np.full(places[-1] + 1, np.nan)
            spread[list(places)] = values
            found[name] = filled(spread[:, None])[:, 0]
    return found


def _same_columns(twin: Twin, given: Columns, name: str) -> Record:
    columns = dict(given)
    for output in twin.wanted.outputs:
        columns.setdefault(output, [""] * len(next(iter(columns.values()))))
    wanted = replace(twin.wanted, mode="", setpoint="", time=twin.wanted.time if twin.wanted.time in columns else "")
    record = record_of(columns, wanted, name)
    if wanted.time and len(record.u) > 1 and abs(record.step / twin.step - 1) > _STEP_DIFFERS:
        raise DataError(
            f"{name} has a row every {record.step:g}, the twin was fitted on {twin.step:g} {twin.time_unit}",
            hint="resample the file",
        )
    if not np.isfinite(record.u).any(axis=0).all():
        raise DataError(f"{name}: an input has no value at all", hint="inputs must be given for every row")
    return record
