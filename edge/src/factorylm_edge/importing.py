"""The past into a history: samples of any origin, or a CSV as `export` writes it; given twice it is kept once."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from factorylm_schema import BadRequestError, Value

from factorylm_edge.csv_rows import CsvRows
from factorylm_edge.data_folder import DataFolder
from factorylm_edge.history import TagRecord
from factorylm_edge.rescue import open_history
from factorylm_edge.sample import DAY_US, Sample
from factorylm_edge.sqlite_history import SqliteHistory, SqliteReader

_BATCH = 50_000
_COMPACT_AFTER = 10  # batches

Progress = Callable[[float], None]
Key = tuple[int, int, bool, Value | None]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """`repeated` was there already; `rejected` rows are not in the history, `faults` tells of the first ones why."""

    kept: int
    repeated: int
    tags: int
    rejected: int = 0
    faults: tuple[str, ...] = ()


def import_samples(folder: Path, samples: Iterable[Sample], tags: Sequence[TagRecord] = ()) -> Imported:
    """Keep samples of the past in the history of `folder`, which is made where there is none.

    They may come in any order; one whose tag, time, value and quality are there already is not kept again. They are not
    forwarded. No gateway may be at work in the folder. What was kept before an error stays.
    """
    with DataFolder(folder) as own, closing(open_history(own)) as history:
        history.describe(tags)
        with closing(SqliteReader(history.path)) as reader:
            taking = _Taking(history, reader)
            source = iter(samples)
            while batch := list(islice(source, _BATCH)):
                taking.take(batch)
        history.compact(everything=True)
    return Imported(kept=taking.kept, repeated=taking.repeated, tags=len(taking.spans))


def import_csv(folder: Path, file: Path, *, zone: str = "", progress: Progress | None = None) -> Imported:
    """A CSV with the columns tag, time, value and, if it likes, quality; `zone` is for times that name none."""
    show = progress or _progress_on_a_terminal()
    latest_us = time.time_ns() // 1000 + DAY_US
    with CsvRows(file, ZoneInfo(_known_zone(zone)) if zone else None, latest_us) as rows:
        told = import_samples(folder, _shown(rows, show))
    if rows.rejected and not told.kept + told.repeated:
        raise BadRequestError(f"none of {rows.rejected:,} rows can be taken: {rows.faults[0]}", hint=rows.hint)
    show(1.0)
    return Imported(
        kept=told.kept, repeated=told.repeated, tags=told.tags, rejected=rows.rejected, faults=tuple(rows.faults)
    )


@dataclass
class _Taking:
    """One import at work; `spans` are from where to where each tag is known to have samples."""

    history: SqliteHistory
    reader: SqliteReader
    kept: int = 0
    repeated: int = 0
    batches: int = 0
    spans: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    def take(self, batch: Sequence[Sample]) -> None:
        """Those of a batch that are new."""
        by_tag: dict[str, list[Sample]] = {}
        for sample in batch:
            by_tag.setdefault(sample.tag, []).append(sample)
        news = [sample for tag, samples in by_tag.items() for sample in self._new(tag, samples)]
        self.history.append(news)
        self.kept += len(news)
        self.repeated += len(batch) - len(news)
        self.batches += 1
        if self.batches % _COMPACT_AFTER == 0:
            self.history.compact(everything=True)

    def _new(self, tag: str, samples: list[Sample]) -> list[Sample]:
        low, high = min(s.time_us for s in samples), max(s.time_us for s in samples)
        span = self.spans[tag] if tag in self.spans else self.reader.span(tag)
        self.spans[tag] = (low, high) if span is None else (min(low, span[0]), max(high, span[1]))
        # most of the past does not touch what is there, and then nothing needs to be read
        touching = span is not None and low <= span[1] and high >= span[0]
        known = {_key(s) for s in self.reader.read(tag, low, high + 1).samples} if touching else set()
        found = []
        for sample in _of_one_kind(samples):
            if (key := _key(sample)) not in known:
                known.add(key)
                found.append(sample)
        return found


def _key(sample: Sample) -> Key:
    return sample.time_us, sample.quality, isinstance(sample.value, bool), sample.value


def _of_one_kind(samples: list[Sample]) -> list[Sample]:
    """50 among 50.1 and 49.9 is 50.0: a column of one type is packed far smaller."""
    kinds = {type(sample.value) for sample in samples}
    if not {int, float} <= kinds:
        return samples
    return [s._replace(value=float(s.value)) if type(s.value) is int else s for s in samples]


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (OSError, ValueError, LookupError):
        raise BadRequestError(f"{zone!r} is no time zone", hint="Say Europe/Berlin, America/Chicago, or UTC") from None
    return zone


def _shown(rows: CsvRows, show: Progress) -> Iterator[Sample]:
    for at, sample in enumerate(rows):
        if at % _BATCH == 0:
            show(rows.part)
        yield sample


def _progress_on_a_terminal() -> Progress:
    if not sys.stderr.isatty():
        return lambda _: None

    def show(part: float) -> None:
        sys.stderr.write(f"\rimporting {part:4.0%}{chr(10) if part >= 1 else ''}")
        sys.stderr.flush()

    return show
