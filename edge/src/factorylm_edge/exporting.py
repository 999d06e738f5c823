"""A history as CSV or Parquet: tag, time, value, quality; one tag after the other, so that any size fits in memory."""

import csv
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from factorylm_schema import BadRequestError, MissingPartError

from factorylm_edge.sample import SECOND, Sample, instant, microseconds, quality_name
from factorylm_edge.sqlite_history import SqliteReader
from factorylm_edge.sqlite_layout import FILE_NAME

_HOUR_US = 3600 * SECOND
_DAY_US = 24 * _HOUR_US
_MOST_EVENTS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written."""

    tags: int
    samples: int


def export(folder: Path, to: Path, patterns: Sequence[str], hours: float, *, until_us: int | None = None) -> Exported:
    """Write it beside and move it into place: a file that is there is whole."""
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    write = writers.get(to.suffix.lower())
    if write is None:
        raise BadRequestError(f"{to.name} is neither .csv nor .parquet", hint="The ending says the format")
    end_us = until_us or time.time_ns() // 1000
    with closing(SqliteReader(folder / FILE_NAME)) as reader:
        tags = [tag.name for tag in reader.tags() if any(fnmatchcase(tag.name, pattern) for pattern in patterns)]
        if not tags:
            raise BadRequestError(
                f"no tag is called like {', '.join(patterns)}", hint="* stands for any part of a name"
            )
        parts = _parts(reader, tags, end_us - int(hours * _HOUR_US), end_us, _progress_on_a_terminal())
        beside = to.with_name(to.name + ".part")
        count = write(beside, parts)
    beside.replace(to)
    return Exported(tags=len(tags), samples=count)


def export_events(folder: Path, to: Path, hours: float, *, until_us: int | None = None) -> int:
    """Alarm events as CSV, in order of time; returns how many."""
    if to.suffix.lower() != ".csv":
        raise BadRequestError(f"{to.name} is not .csv", hint="Alarm events are written as CSV")
    end_us = until_us or time.time_ns() // 1000
    with closing(SqliteReader(folder / FILE_NAME)) as reader:
        events = reader.events(end_us - int(hours * _HOUR_US), end_us, _MOST_EVENTS)
    if len(events) == _MOST_EVENTS:
        raise BadRequestError(f"these are {_MOST_EVENTS:,} events or more", hint="Export fewer hours at a time")
    beside = to.with_name(to.name + ".part")
    with beside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "source", "name", "active", "severity", "text"])
        for event in events:
            stamp = _stamp(microseconds(event.time))
            rows.writerow([stamp, event.source, event.name, int(event.active), event.severity, event.text])
    beside.replace(to)
    return len(events)


def _parts(
    reader: SqliteReader, tags: Sequence[str], start_us: int, end_us: int, progress: Callable[[float], None]
) -> Iterator[list[Sample]]:
    """A day of a tag at a time; raises BadRequestError where a part is damaged rather than leave it out in silence."""
    for at, tag in enumerate(tags):
        for begin in range(start_us, end_us, _DAY_US):
            trace = reader.read(tag, begin, min(begin + _DAY_US, end_us))
            if trace.damaged:
                raise BadRequestError(trace.damaged[0], hint="Export the tags or hours around the damage")
            if trace.samples:
                yield trace.samples
        progress((at + 1) / len(tags))


def _write_csv(to: Path, parts: Iterator[list[Sample]]) -> int:
    count = 0
    with to.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["tag", "time", "value", "quality"])
        for samples in parts:
            count += len(samples)
            for sample in samples:
                value = "" if sample.value is None else sample.value
                rows.writerow([sample.tag, _stamp(sample.time_us), value, quality_name(sample.quality)])
    return count


def _stamp(time_us: int) -> str:
    return instant(time_us).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_parquet(to: Path, parts: Iterator[list[Sample]]) -> int:
    """Numbers in `value`; what is no number in `text`."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPartError("pyarrow is not installed", hint="pip install 'factorylm-edge[parquet]'") from error
    schema = pa.schema(
        [
            ("tag", pa.dictionary(pa.int32(), pa.string())),
            ("time", pa.timestamp("us", tz="UTC")),
            ("value", pa.float64()),
            ("text", pa.string()),
            ("quality", pa.dictionary(pa.int32(), pa.string())),
        ]
    )
    count = 0
    with pq.ParquetWriter(to, schema, compression="zstd") as file:
        for samples in parts:
            count += len(samples)
            file.write_table(pa.table(_columns(samples), schema=schema))
    return count


def _columns(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    return {
        "tag": [s.tag for s in samples],
        "time": [s.time_us for s in samples],
        "value": [None if s.value is None or isinstance(s.value, str) else float(s.value) for s in samples],
        "text": [s.value if isinstance(s.value, str) else None for s in samples],
        "quality": [quality_name(s.quality) for s in samples],
    }


def _progress_on_a_terminal() -> Callable[[float], None]:
    if not sys.stderr.isatty():
        return lambda _: None

    def show(part: float) -> None:
        sys.stderr.write(f"\rexporting {part:4.0%}{chr(10) if part >= 1 else ''}")
        sys.stderr.flush()

    return show
