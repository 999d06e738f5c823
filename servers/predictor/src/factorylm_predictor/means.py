"""Means over equal runs of rows of one unit, so that a file of any length fits into a bounded memory."""

from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows, or means over rows: whose they are, the place of the first in its unit, and how many stand behind each."""

    unit: Ints
    place: Ints
    times: Floats
    values: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.times)


def joined(parts: list[Rows]) -> Rows:
    """All parts as one."""
    return Rows(
        unit=np.concatenate([p.unit for p in parts]),
        place=np.concatenate([p.place for p in parts]),
        times=np.concatenate([p.times for p in parts]),
        values=np.concatenate([p.values for p in parts]),
        weight=np.concatenate([p.weight for p in parts]),
    )


def means_over(rows: Rows, run: int) -> Rows:
    """Means over `run` rows of a unit, wherever chunks were cut; each carries the time of its last row."""
    if run == 1 or len(rows) == 0:
        return rows
    bins = rows.place // run
    order = np.lexsort((rows.place, rows.unit))
    unit, bins = rows.unit[order], bins[order]
    starts = np.flatnonzero(np.r_[True, (unit[1:] != unit[:-1]) | (bins[1:] != bins[:-1])])
    ends = np.r_[starts[1:], len(order)] - 1
    values, weight = rows.values[order], rows.weight[order]
    present = np.isfinite(values) * weight[:, None]
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(np.nan_to_num(values) * present, starts, axis=0) / np.add.reduceat(
            present, starts, axis=0
        )
    return Rows(
        unit=unit[starts],
        place=rows.place[order][starts],
        times=rows.times[order][ends],
        values=means,
        weight=np.add.reduceat(weight, starts),
    )


def run_means(times: Floats, values: Floats, run: int) -> tuple[Floats, Floats]:
    """Means over `run` consecutive rows of one unit."""
    count = len(times)
    one = np.zeros(count, dtype=np.int64)
    rows = Rows(unit=one, place=np.arange(count), times=times, values=values, weight=np.ones(count))
    means = means_over(rows, run)
    return means.times, means.values


def places_in_unit(unit: Ints, before: dict[int, int]) -> Ints:
    """How many rows of its unit precede each row; `before` counts earlier chunks and is kept up to date."""
    order = np.argsort(unit, kind="stable")
    ordered = unit[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(unit) else np.empty(0, dtype=np.int64)
    lengths = np.diff(np.r_[starts, len(unit)])
    offsets = [before.get(int(ordered[s]), 0) for s in starts]
    places = np.empty(len(unit), dtype=np.int64)
    places[order] = np.arange(len(unit)) - np.repeat(starts, lengths) + np.repeat(offsets, lengths).astype(np.int64)
    before.update({int(ordered[s]): o + int(n) for s, o, n in zip(starts, offsets, lengths, strict=True)})
    return places
