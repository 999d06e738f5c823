"""The twin beside its plant: how far each output is from its simulation, since when, and what explains it."""

from dataclasses import dataclass

import numpy as np

from factorylm_twin.choosing import START_ROWS
from factorylm_twin.jobs import Columns, numeric_columns, simulate_columns
from factorylm_twin.residuals import departure, explained_by
from factorylm_twin.twin import Twin


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One output beside its simulation; rows count from the first given one."""

    output: str
    rmse: float | None
    inside_band: float | None
    bias: float | None
    departs_at_row: int | None
    explained_by: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All outputs, over so many rows, the first ones given."""

    rows: int
    given: int
    outputs: tuple[Watched, ...]


def compared(twin: Twin, columns: Columns, name: str) -> Comparison:
    """Run free beside measured rows."""
    found = simulate_columns(twin, columns, name)
    count, given = len(twin.outputs), found.given
    candidates = {n: v[given:] for n, v in numeric_columns(twin, columns, found.places).items()}
    watched = []
    for j, output in enumerate(twin.outputs):
        measured = found.measured[given:, j]
        rest = measured - found.values[given:, j]
        low, high = found.values[given:, count + 2 * j], found.values[given:, count + 2 * j + 1]
        known = np.isfinite(rest)
        some = bool(known.any())
        at = departure(rest, output.rmse)
        watched.append(
            Watched(
                output=output.name,
                rmse=float(np.sqrt(np.mean(rest[known] ** 2))) if some else None,
                inside_band=float(np.mean((measured >= low)[known] & (measured <= high)[known])) if some else None,
                bias=float(np.mean(rest[known])) if some else None,
                departs_at_row=None if at is None else at + given,
                explained_by=tuple(explained_by(rest, candidates, output.rmse)) if some else (),
            )
        )
    return Comparison(rows=len(found.measured), given=given, outputs=tuple(watched))


def newest(columns: Columns, rows: int) -> Columns:
    """The last rows of a growing history, with the rows that a run starts from."""
    return {name: cells[-(rows + START_ROWS) :] for name, cells in columns.items()}
