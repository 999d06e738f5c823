"""Series on a shelf: a handle goes to the model, the samples stay here."""

from collections import OrderedDict
from dataclasses import dataclass, field

from factorylm_schema import Series, UnknownNameError


@dataclass
class SeriesShelf:
    """The latest series of this process, shared by its skills; the oldest goes when the shelf is full."""

    most: int = 256
    _series: OrderedDict[str, Series] = field(default_factory=OrderedDict)

    def put(self, series: Series) -> str:
        """Keep it; returns its handle."""
        handle = series.handle
        self._series[handle] = series
        self._series.move_to_end(handle)
        while len(self._series) > self.most:
            self._series.popitem(last=False)
        return handle

    def get(self, handle: str) -> Series:
        """The series of `handle`, as long as it is on the shelf."""
        try:
            return self._series[handle]
        except KeyError:
            hint = f"The shelf keeps the latest {self.most} until the server ends; sample again"
            raise UnknownNameError("series", handle, self._series, hint=hint) from None
