"""Series from sample_tags as rows: a column per tag, a row per moment."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import numpy as np
from factorylm_schema.series import Series

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.tables import Cells, Chunk

TIME = "time"


class SeriesTable:
    """Several series side by side; where one has no sample at a moment, the cell is empty."""

    def __init__(self, series: Sequence[Series]) -> None:
        tags = [s.tag for s in series]
        doubled = sorted({t for t in tags if tags.count(t) > 1})
        if doubled:
            raise DataError(f"two of the series are of {', '.join(doubled)}", hint="one series per tag")
        self._series = series

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return "the series"

    def header(self) -> list[str]:
        """Time and tags."""
        return [TIME, *(s.tag for s in self._series)]

    def chunks(self) -> Iterator[Chunk]:
        """All moments at once; a series is short."""
        moments: list[datetime] = sorted({t for s in self._series for t in s.times})
        row = {moment: i for i, moment in enumerate(moments)}
        columns: dict[str, Cells | Floats] = {TIME: tuple(m.isoformat() for m in moments)}
        for series in self._series:
            values = np.full(len(moments), np.nan)
            for moment, value in zip(series.times, series.values, strict=True):
                if isinstance(value, bool | int | float):
                    values[row[moment]] = float(value)
            columns[series.tag] = values
        if moments:
            yield Chunk(first_row=1, columns=columns)
