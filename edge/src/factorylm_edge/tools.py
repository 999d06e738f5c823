"""`history_list_tags`, `history_read`, `history_stats`: bounded answers about the past, however long it is."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from factorylm_schema import UnknownNameError, Value
from factorylm_skill import Arguments, Call, Settings, Tool, page, told_to_the_model
from factorylm_skill.answers import Cursor, Limit, Search, TableAnswer
from pydantic import BaseModel, ConfigDict, Field

from factorylm_edge.history import HistoryError, TagRecord
from factorylm_edge.sample import SECOND, Sample, instant, quality_name
from factorylm_edge.spans import span_of
from factorylm_edge.sqlite_history import SqliteReader
from factorylm_edge.sqlite_layout import FILE_NAME
from factorylm_edge.windows import Window, combined

T = TypeVar("T")

_LONGEST_TEXT = 40

Row = list[Value | None]
TagName = Annotated[str, Field(min_length=1, max_length=300, description="As in history_list_tags")]
From = Annotated[str, Field(max_length=40, description="-1h, -30min, -2d, or an ISO time (UTC)")]
To = Annotated[str, Field(max_length=40, description="Empty: now")]


class ListTags(Arguments):
    """Arguments of history_list_tags."""

    search: Search = ""
    limit: Limit = 50
    cursor: Cursor = ""


class ReadHistory(Arguments):
    """Arguments of history_read."""

    tag: TagName
    start: From = "-1h"
    end: To = ""
    points: Annotated[int, Field(ge=1, le=200, description="Rows at most; more samples become windows")] = 60


class Stats(Arguments):
    """Arguments of history_stats."""

    tags: Annotated[list[TagName], Field(min_length=1, max_length=50, description="Tags")]
    start: From = "-24h"
    end: To = ""


class ReadAnswer(BaseModel):
    """Samples, or windows where there are too many; `s` counts seconds from `time`."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    tag: str
    unit: str
    time: str
    kind: str
    columns: list[str]
    rows: list[Row]
    truncated: bool
    note: str | None = None


class StatsAnswer(BaseModel):
    """One row per tag; `held_s` is for how long there was a good value."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    time: str
    until: str
    columns: list[str]
    rows: list[Row]
    problems: list[str]
    truncated: bool = False


def history_tools(settings: Settings, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> Sequence[Tool]:
    """The tools over the first of the data folders that holds a history."""
    asked = Asked(settings, now_us)
    return [
        Tool(
            name="history_list_tags",
            title="List tags of the history",
            description="Lists the tags a history holds, with units and descriptions.",
            arguments=ListTags,
            result=TableAnswer,
            run=asked.list_tags,
        ),
        Tool(
            name="history_read",
            title="Read history",
            description="The course of one tag over a span: samples, or windows (mean, min, max) where there are many.",
            arguments=ReadHistory,
            result=ReadAnswer,
            run=asked.read,
        ),
        Tool(
            name="history_stats",
            title="Figures of a span",
            description="Mean by time, minimum, maximum, last value and gaps of tags over a span.",
            arguments=Stats,
            result=StatsAnswer,
            run=asked.stats,
        ),
    ]


@dataclass(frozen=True)
class Asked:
    """The three questions; each is answered in a thread, from a snapshot of the file."""

    settings: Settings
    now_us: Callable[[], int]

    async def list_tags(self, asked: ListTags, _: Call) -> TableAnswer:
        """A page of tags."""

        def answer(reader: SqliteReader) -> TableAnswer:
            wanted = asked.search.lower()
            found = [tag for tag in reader.tags() if wanted in f"{tag.name} {tag.description}".lower()]
            part, cursor = page(found, asked.limit, asked.cursor, f"history_list_tags {asked.search}")
            rows: list[Row] = [[_told(tag.name, 300), tag.unit, _told(tag.description)] for tag in part]
            columns = ["tag", "unit", "description"]
            return TableAnswer(columns=columns, rows=rows, truncated=bool(cursor), cursor=cursor or None)

        return await self._answered(answer)

    async def read(self, asked: ReadHistory, _: Call) -> ReadAnswer:
        """Samples where they fit, else windows."""
        start_us, end_us = span_of(asked.start, asked.end, self.now_us())

        def answer(reader: SqliteReader) -> ReadAnswer:
            tag = _tag(reader, asked.tag)
            trace = reader.read(tag.name, start_us, end_us, limit=asked.points)
            if trace.samples and not trace.truncated:
                return _samples_answer(tag, trace.samples, trace.damaged)
            width_us = max(SECOND, -(-(end_us - start_us) // asked.points))
            windows = reader.windows(tag.name, start_us, end_us, width_us)
            return _windows_answer(tag, windows, start_us, width_us, _where(reader, tag.name) if not windows else "")

        return await self._answered(answer)

    async def stats(self, asked: Stats, _: Call) -> StatsAnswer:
        """One row per tag."""
        start_us, end_us = span_of(asked.start, asked.end, self.now_us())

        def answer(reader: SqliteReader) -> StatsAnswer:
            rows: list[Row] = []
            problems: list[str] = []
            for name in dict.fromkeys(asked.tags):
                try:
                    rows.append(_stats_row(reader, _tag(reader, name), start_us, end_us))
                except (UnknownNameError, HistoryError) as error:
                    problems.append(str(error))
            columns = ["tag", "unit", "mean", "min", "max", "last", "samples", "not_good", "held_s"]
            return StatsAnswer(time=_iso(start_us), until=_iso(end_us), columns=columns, rows=rows, problems=problems)

        return await self._answered(answer)

    async def _answered(self, answer: Callable[[SqliteReader], T]) -> T:
        def work() -> T:
            with self._reader() as reader:
                return answer(reader)

        return await asyncio.to_thread(work)

    @contextmanager
    def _reader(self) -> Iterator[SqliteReader]:
        places = [folder / FILE_NAME for folder in self.settings.data]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            looked = (
                ", ".join(str(folder) for folder in self.settings.data) or "no folder: none was allowed with --data"
            )
            raise HistoryError(
                f"there is no history in {looked}",
                hint="factorylm-edge run --plant FILE --data DIR collects one; serve it with --data DIR",
            )
        reader = SqliteReader(found)
        try:
            yield reader
        finally:
            reader.close()


def _tag(reader: SqliteReader, name: str) -> TagRecord:
    tags = {tag.name: tag for tag in reader.tags()}
    if name not in tags:
        raise UnknownNameError("tag in the history", name, tags, hint="history_list_tags shows all of them")
    return tags[name]


def _samples_answer(tag: TagRecord, samples: Sequence[Sample], damaged: Sequence[str]) -> ReadAnswer:
    begun = samples[0].time_us
    doubtful = any(not sample.is_good for sample in samples)
    rows: list[Row] = [
        [
            round((sample.time_us - begun) / SECOND, 3),
            _shown(sample.value),
            *([None if sample.is_good else quality_name(sample.quality)] if doubtful else []),
        ]
        for sample in samples
    ]
    return ReadAnswer(
        tag=_told(tag.name, 300), unit=tag.unit, time=_iso(begun), kind="samples",
        columns=["s", "value", *(["quality"] if doubtful else [])], rows=rows, truncated=False,
        note="; ".join(damaged) or None,
    )  # fmt: skip


def _windows_answer(tag: TagRecord, windows: Sequence[Window], start_us: int, width_us: int, where: str) -> ReadAnswer:
    numeric = any(window.mean is not None for window in windows)
    columns = ["s", "mean", "min", "max", "not_good"] if numeric else ["s", "last", "not_good"]
    rows: list[Row] = []
    for window in windows:
        figures = [window.mean, window.minimum, window.maximum] if numeric else [_shown(window.last)]
        shown = [_rounded(v) if isinstance(v, float) else v for v in figures]
        rows.append([round((window.start_us - start_us) / SECOND), *shown, window.doubtful])
    note = where or f"each row sums up {width_us / SECOND:g} s"
    return ReadAnswer(
        tag=_told(tag.name, 300), unit=tag.unit, time=_iso(start_us), kind="windows",
        columns=columns, rows=rows, truncated=False, note=note,
    )  # fmt: skip


def _stats_row(reader: SqliteReader, tag: TagRecord, start_us: int, end_us: int) -> Row:
    # in windows: a long span never stands in memory as samples
    width_us = max(60 * SECOND, -(-(end_us - start_us) // 2_000))
    found = combined(reader.windows(tag.name, start_us, end_us, width_us), start_us)
    figures = [_rounded(v) for v in (found.mean, found.minimum, found.maximum)]
    held_s = round(found.held_us / SECOND, 1)
    return [tag.name, tag.unit, *figures, _shown(found.last), found.count, found.doubtful, held_s]


def _where(reader: SqliteReader, tag: str) -> str:
    span = reader.span(tag)
    return f"nothing in this span; the history of this tag goes from {_iso(span[0])} to {_iso(span[1])}" if span else ""


def _shown(value: Value | None) -> Value | None:
    if isinstance(value, str):
        return _told(value)
    return _rounded(value) if isinstance(value, float) else value


def _rounded(number: float | None) -> float | None:
    """Seven digits: as many as a PLC's REAL has."""
    return None if number is None else float(f"{number:.7g}")


def _told(text: str, limit: int = _LONGEST_TEXT) -> str:
    return told_to_the_model(text, limit)


def _iso(time_us: int) -> str:
    return instant(time_us).isoformat(timespec="seconds").replace("+00:00", "Z")
