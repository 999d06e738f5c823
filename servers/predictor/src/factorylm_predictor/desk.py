"""What the server has at hand: files of the allowed folders, series, fitted models, and the evidence of its answers."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from factorylm_schema.errors import UnknownNameError
from factorylm_skill.data_folders import DataFolders

if TYPE_CHECKING:
    from factorylm_skill.shelf import SeriesShelf

    from factorylm_predictor.life_model import LifeModel
    from factorylm_predictor.tables import Table

_MOST_MODELS = 16
_MOST_EVIDENCE = 256
DATA_SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz", ".parquet", ".pq", ".model")


@dataclass(frozen=True, kw_only=True)
class Filed:
    """One answer's evidence: what was asked of which data, what came out, and the model card behind it."""

    tool: str
    asked: dict[str, Any]
    sources: list[dict[str, Any]]
    summary: dict[str, Any]
    details: tuple[list[str], list[list[Any]]]
    card: dict[str, Any]


@dataclass
class Desk:
    """One server's memory; nothing of it is written to disk."""

    folders: DataFolders
    shelf: "SeriesShelf"
    _models: OrderedDict[str, "LifeModel"] = field(default_factory=OrderedDict)
    _evidence: OrderedDict[str, Filed] = field(default_factory=OrderedDict)

    def table(self, name: str) -> "Table":
        """The rows that a file name or series handles stand for."""
        if name.startswith("series:"):
            from factorylm_predictor.series_table import SeriesTable

            return SeriesTable([self.shelf.get(handle.strip()) for handle in name.split(",")])
        from factorylm_predictor.history_export import table_at

        return table_at(self.folders.path(name))

    def keep_model(self, model: "LifeModel", identity: str) -> str:
        """Keep a fitted model; returns its handle."""
        handle = f"model:{identity}"
        self._models[handle] = model
        _trim(self._models, _MOST_MODELS)
        return handle

    def model(self, name: str) -> "LifeModel":
        """A model by handle or file."""
        if name.startswith("model:"):
            if name not in self._models:
                hint = "the server keeps the latest models until it ends; fit again"
                raise UnknownNameError("model", name, self._models, hint=hint)
            return self._models[name]
        from factorylm_predictor.life_model import LifeModel
        from factorylm_predictor.model_file import load_model

        return load_model(self.folders.path(name), LifeModel).model

    def models(self) -> list[str]:
        """Handles of the fitted models."""
        return list(self._models)

    def source(self, name: str) -> dict[str, Any]:
        """What a data argument was, for the evidence."""
        if name.startswith("series:"):
            return {"series": name}
        status = self.folders.path(name).stat()
        changed = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
        return {"file": name, "bytes": status.st_size, "changed": changed}

    def file_evidence(self, filed: Filed) -> str:
        """Keep an answer's evidence; the same question and answer have the same id."""
        content = json.dumps([filed.tool, filed.asked, filed.sources, filed.summary], sort_keys=True, default=str)
        identity = "evidence:" + hashlib.sha256(content.encode()).hexdigest()[:12]
        self._evidence[identity] = filed
        _trim(self._evidence, _MOST_EVIDENCE)
        return identity

    def evidence(self, identity: str) -> Filed:
        """An answer's evidence."""
        if identity not in self._evidence:
            raise UnknownNameError("evidence", identity, self._evidence, hint="ask the question again")
        return self._evidence[identity]


def _trim(kept: OrderedDict[str, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def flat(value: Any, at: str = "") -> Iterator[list[Any]]:
    """Nested data as rows of place and value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{at}.{key}" if at else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(v, str | int | float | bool) for v in value):
            yield [at, ", ".join(str(v) for v in value[:50])]
        else:
            for number, inner in enumerate(value):
                yield from flat(inner, f"{at}.{number}")
    else:
        yield [at, value]
