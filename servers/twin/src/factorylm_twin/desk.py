"""What the server has at hand: files of the allowed folders, and the twins it fitted."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from factorylm_schema.errors import BadRequestError, UnknownNameError
from factorylm_skill.data_folders import DataFolders
from factorylm_skill.shelf import SeriesShelf

if TYPE_CHECKING:
    from factorylm_schema.series import Series

    from factorylm_twin.twin import Twin

_MOST_MODELS = 16
DATA_SUFFIXES = (".csv", ".csv.gz", ".twin")


@dataclass
class Desk:
    """One server's memory; nothing of it is written to disk."""

    folders: DataFolders
    shelf: SeriesShelf = field(default_factory=SeriesShelf)
    _twins: "OrderedDict[str, Twin]" = field(default_factory=OrderedDict)

    def columns(self, name: str) -> dict[str, list[str]]:
        """A file's columns, or those of series handles from sample_tags: `time` and one column a tag."""
        if name.startswith("series:"):
            return _side_by_side([self.shelf.get(handle.strip()) for handle in name.split(",")])
        from factorylm_twin.tables import read_columns

        return read_columns(self.folders.path(name))

    def keep(self, twin: "Twin", identity: str) -> str:
        """Keep a fitted twin; returns its handle."""
        handle = f"twin:{identity}"
        self._twins[handle] = twin
        while len(self._twins) > _MOST_MODELS:
            self._twins.popitem(last=False)
        return handle

    def twin(self, name: str) -> "Twin":
        """A twin by handle or file."""
        if name.startswith("twin:"):
            if name not in self._twins:
                hint = "the server keeps the latest models until it ends; fit again"
                raise UnknownNameError("model", name, self._twins, hint=hint)
            return self._twins[name]
        from factorylm_twin.model_file import load_twin

        return load_twin(self.folders.path(name))[0]

    def twins(self) -> list[str]:
        """Handles of the fitted twins."""
        return list(self._twins)


def _side_by_side(series: "list[Series]") -> dict[str, list[str]]:
    tags = [s.tag for s in series]
    if len(set(tags)) < len(tags):
        raise BadRequestError("two of the series are of one tag", hint="name one series a tag")
    moments = sorted({moment for s in series for moment in s.times})
    columns = {"time": [moment.isoformat() for moment in moments]}
    for one in series:
        values = dict(zip(one.times, one.values, strict=True))
        found = (values.get(moment) for moment in moments)
        columns[one.tag] = [str(float(v)) if isinstance(v, bool | int | float) else "" for v in found]
    return columns
