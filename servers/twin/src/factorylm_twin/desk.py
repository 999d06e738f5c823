"""What the server has at hand: files of the allowed folders, and the twins it fitted."""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from factorylm_schema.errors import BadRequestError, UnknownNameError
from factorylm_skill.shelf import SeriesShelf

if TYPE_CHECKING:
    from factorylm_schema.series import Series

    from factorylm_twin.twin import Twin

_MOST_MODELS = 16
_SUFFIXES = (".csv", ".csv.gz", ".twin")


@dataclass
class Desk:
    """One server's memory; nothing of it is written to disk."""

    folders: tuple[Path, ...]
    shelf: SeriesShelf = field(default_factory=SeriesShelf)
    _twins: "OrderedDict[str, Twin]" = field(default_factory=OrderedDict)

    def columns(self, name: str) -> dict[str, list[str]]:
        """A file's columns, or those of series handles from sample_tags: `time` and one column a tag."""
        if name.startswith("series:"):
            return _side_by_side([self.shelf.get(handle.strip()) for handle in name.split(",")])
        from factorylm_twin.tables import read_columns

        return read_columns(self.path(name))

    def path(self, name: str) -> Path:
        """A file inside the allowed folders; links that lead out of them do not count as inside."""
        if not self.folders:
            raise BadRequestError("no file may be opened", hint="the operator starts the server with --data DIR")
        for folder in self.folders:
            inside = folder.resolve()
            path = (inside / name).resolve()
            if path.is_relative_to(inside) and path.is_file():
                return path
        if any((f.resolve() / name).resolve().is_file() for f in self.folders):
            raise BadRequestError(f"{name[:80]!r} lies outside the data folder", hint="name a file inside it")
        raise UnknownNameError("file", name[:200], self.files())

    def files(self) -> list[str]:
        """Data and model files of the allowed folders."""
        found: list[str] = []
        for folder in self.folders:
            inside = folder.resolve()
            files = (p for p in sorted(inside.rglob("*")) if p.name.lower().endswith(_SUFFIXES) and p.is_file())
            found.extend(str(path.relative_to(inside)) for path in files)
        return found

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

        return load_twin(self.path(name))[0]

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
