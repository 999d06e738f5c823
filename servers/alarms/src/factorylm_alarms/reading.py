"""The files of a journal as chunks of coded rows: time, key, line.

A key is a distinct combination of the cells that matter (source, condition, area, event, priority). Each is decoded
and classified once; a row is then two numbers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from factorylm_alarms.cells import MAX_DISTINCT, Dictionary, hash_cells
from factorylm_alarms.dialect import Dialect, decode_cell, find_dialect
from factorylm_alarms.errors import AmbiguousDatesError, LogError
from factorylm_alarms.files import TruncatedArchive, open_blocks
from factorylm_alarms.kinds import Kind
from factorylm_alarms.mapping import Mapping, read_mapping, recognise
from factorylm_alarms.split import Rows, split_rows, whole_rows_end
from factorylm_alarms.stamps import (
    MISSING,
    STAMP,
    DayBook,
    Times,
    decide_day_order,
    local_to_utc,
    read_numbers,
    read_stamps,
)
from factorylm_alarms.tidy import tied
from factorylm_alarms.untrusted import capped

MAX_REJECTED_LISTED = 1000
MAX_ROW_BYTES = 32 << 20
IGNITION_SOURCE = re.compile(r"^(?:prov:[^:]*:/)?tag:(?P<tag>.+?):/alm:(?P<alarm>.+)$")
SHORT_DATE = re.compile(rb"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}$")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Identity is source + condition (+ area), never the tag alone and never the text. `text` is the plant's own."""

    name: str
    source: str
    condition: str
    area: str
    priority: str
    text: str


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One file of a journal; its rows are numbered from `first_row`, which is its line 1."""

    name: str
    first_row: int


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows, in file order. `row_hash` is only filled where an equal instant makes it matter."""

    time: Times
    key: npt.NDArray[np.int32]
    row: npt.NDArray[np.uint32]
    row_hash: npt.NDArray[np.uint64]
    event_id: npt.NDArray[np.uint64] | None = None
    expanded: bool = False

    def where(self, chosen: npt.NDArray[np.bool_] | slice) -> "Chunk":
        """Only these rows."""
        ids = None if self.event_id is None else self.event_id[chosen]
        return Chunk(
            time=self.time[chosen],
            key=self.key[chosen],
            row=self.row[chosen],
            row_hash=self.row_hash[chosen],
            event_id=ids,
            expanded=self.expanded,
        )

    def at(self, time: Times, order: npt.NDArray[np.int64]) -> "Chunk":
        """These rows in another order, with corrected times (given in the old order)."""
        ids = None if self.event_id is None else self.event_id[order]
        return Chunk(
            time=time[order],
            key=self.key[order],
            row=self.row[order],
            row_hash=self.row_hash[order],
            event_id=ids,
            expanded=self.expanded,
        )

    @staticmethod
    def joined(parts: "list[Chunk]") -> "Chunk":
        """All rows of several chunks."""
        ids = [part.event_id for part in parts if part.event_id is not None]
        return Chunk(
            time=np.concatenate([part.time for part in parts] or [np.zeros(0, np.int64)]),
            key=np.concatenate([part.key for part in parts] or [np.zeros(0, np.int32)]),
            row=np.concatenate([part.row for part in parts] or [np.zeros(0, np.uint32)]),
            row_hash=np.concatenate([part.row_hash for part in parts] or [np.zeros(0, np.uint64)]),
            event_id=np.concatenate(ids) if ids else None,
            expanded=any(part.expanded for part in parts),
        )


@dataclass
class KeyTable:
    """Every distinct key of a journal and what it means; the same over all its files."""

    alarms: list[Alarm] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    priorities: list[str] = field(default_factory=list)
    event_words: list[str] = field(default_factory=list)
    alarm_of_key: list[int] = field(default_factory=list)
    known_keys: dict[tuple[object, ...], int] = field(default_factory=dict)
    known_alarms: dict[tuple[str, str, str], int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    cached: tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]] | None = None

    def add(
        self, source: str, condition: str, area: str, priority: str, kind: Kind, word: str, text: str
    ) -> int:
        """The number of this key."""
        key = (source, condition, area, priority, kind, word if kind is Kind.OTHER else "")
        if key not in self.known_keys:
            self.known_keys[key] = len(self.kinds)
            self.kinds.append(kind)
            self.priorities.append(priority)
            self.event_words.append(word)
            alive = kind <= Kind.RETURN_OR_ACKNOWLEDGE
            self.alarm_of_key.append(self._alarm(source, condition, area, priority, text) if alive else -1)
            self.cached = None
        return self.known_keys[key]

    def alarm_codes(self) -> npt.NDArray[np.int32]:
        """Key to alarm."""
        return self._arrays()[0]

    def kind_codes(self) -> npt.NDArray[np.int8]:
        """Key to kind."""
        return self._arrays()[1]

    def _arrays(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
        if self.cached is None:
            self.cached = np.array(self.alarm_of_key, np.int32), np.array(self.kinds, np.int8)
        return self.cached

    def _alarm(self, source: str, condition: str, area: str, priority: str, text: str) -> int:
        identity = (source, condition, area)
        if identity not in self.known_alarms:
            self.known_alarms[identity] = len(self.alarms)
            name = f"{source}.{condition}" if condition else source
            if name in self.names:
                name = f"{area or '-'}/{name}"
            self.names[name] = len(self.alarms)
            self.alarms.append(
                Alarm(name=name, source=source, condition=condition, area=area, priority=priority, text=text)
            )
        return self.known_alarms[identity]


@dataclass
class OpenLog:
    """A journal file whose dialect, mapping and date order are settled."""

    path: Path
    dialect: Dialect
    mapping: Mapping
    book: DayBook
    notes: list[str]
    first_row: int = 0

    def as_file(self) -> LogFile:
        """What is remembered of it."""
        return LogFile(name=self.path.name, first_row=self.first_row)


def open_log(path: Path, *, mapping_file: Path | None, day_first: bool | None) -> OpenLog:
    """Settle how a file is read before anything is counted."""
    try:
        encoding, sample, _ = open_blocks(path)
    except TruncatedArchive as error:
        raise LogError(f"{path.name} is a damaged archive: nothing could be unpacked") from error
    dialect = find_dialect(sample, encoding)
    mapping = recognise(dialect) if mapping_file is None else read_mapping(mapping_file, dialect)
    notes = [f"encoding {encoding}, delimiter {dialect.delimiter!r}"]
    if dialect.preamble_lines:
        notes.append(f"{dialect.preamble_lines} lines before the header were skipped")
    book = DayBook(day_first=mapping.day_first if day_first is None else day_first, zone=mapping.zone)
    log = OpenLog(path=path, dialect=dialect, mapping=mapping, book=book, notes=notes)
    if book.day_first is None:
        _settle_day_order(log)
    return log


def _settle_day_order(log: OpenLog) -> None:
    """Find evidence for the order of day and month, in the first rows or else in the whole file."""
    place = log.mapping.begin if log.mapping.is_interval else log.mapping.time[0]
    assert place is not None
    sample = _distinct_days(row[place].strip().encode() for row in log.dialect.first_rows)
    if not sample:
        return
    order, why = decide_day_order(sample, hints=log.path.name)
    if "part above 12" not in why and "dots" not in why:
        order, why = decide_day_order(_distinct_days(_all_cells(log, place)), hints=log.path.name)
    if order is None:
        raise AmbiguousDatesError(
            f"the dates of {log.path.name} ({sample[0]} …) do not tell day from month: {why}",
            hint="say which comes first with --date-order day-first or --date-order month-first",
        )
    log.book.day_first = order
    log.notes.append(f"dates are read {'day' if order else 'month'} first: {why}")


def _distinct_days(cells: Iterator[bytes]) -> list[str]:
    days: dict[str, None] = {}
    for cell in cells:
        match = STAMP.match(cell) or STAMP.match(cell + b" 00:00")
        if match is not None and SHORT_DATE.match(match["date"]):
            days[match["date"].decode()] = None
    return list(days)


def _all_cells(log: OpenLog, place: int) -> Iterator[bytes]:
    latest = b""
    try:
        for rows in _blocks_of_rows(log):
            for row in range(len(rows)):
                cell = rows.text(row, place)
                if cell[:10] != latest:
                    latest = cell[:10]
                    yield cell
    except TruncatedArchive:
        return


def _blocks_of_rows(log: OpenLog, seen: Callable[[int], None] | None = None) -> Iterator[Rows]:
    """The data rows of a file. A last row without a line end counts; a row longer than MAX_ROW_BYTES stops it."""
    _, _, blocks = open_blocks(log.path)
    skip = log.dialect.preamble_lines + bool(log.dialect.header)
    rest, line, broken = b"", 1, None
    while True:
        try:
            block = next(blocks, None)
        except TruncatedArchive as error:
            block, broken = None, error
        data = rest + (b"\n" if rest and block is None else block or b"")
        end = len(data) if block is None else whole_rows_end(data, log.dialect.delimiter)
        whole, rest = data[:end], data[end:]
        if len(rest) > MAX_ROW_BYTES:
            raise LogError(f"{log.path.name} has a row longer than {MAX_ROW_BYTES >> 20} MB", hint="is it a journal?")
        if seen is not None:
            seen(len(block or b""))
        while skip and whole:
            cut = whole.find(b"\n") + 1
            whole, skip, line = whole[cut:], skip - 1, line + 1
        if whole:
            rows = split_rows(whole, log.dialect.delimiter, log.dialect.columns, line)
            line += rows.line_count
            yield rows
        if block is None:
            if broken is not None:
                raise broken
            return


@dataclass
class Reader:
    """Reads opened files one after the other into chunks, and keeps the account of what it rejected."""

    logs: list[OpenLog]
    keys: KeyTable
    progress: Callable[[int, int], None] | None = None
    hash_all: bool = False
    rows: int = 0
    rejected_count: int = 0
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next_row: int = 0
    done_bytes: int = 0

    def zone(self) -> str:
        """In which zone the times are, as far as the journal says."""
        named = {str(log.book.zone) for log in self.logs if log.book.zone is not None}
        if named:
            return f"UTC, from {', '.join(sorted(named))}"
        zoned, unzoned = sum(log.book.zoned for log in self.logs), sum(log.book.unzoned for log in self.logs)
        numbers = any(log.mapping.number and log.mapping.format != "Siemens WinCC" for log in self.logs)
        if zoned and unzoned:
            return "mixed: some stamps have an offset and some have none"
        return "UTC" if zoned or numbers else "not stated"

    def chunks(self) -> Iterator[Chunk]:
        """All rows of all files."""
        total = sum(log.path.stat().st_size for log in self.logs)
        for log in self.logs:
            self.notes += [note for note in log.notes if note not in self.notes]
            log.first_row = self.next_row
            yield from _FileReader(self, log, total).chunks()

    def reject(self, log: OpenLog, line: int, reason: str) -> None:
        """Count a row that cannot be read; the first thousand are listed."""
        self.rejected_count += 1
        if len(self.rejected) < MAX_REJECTED_LISTED:
            self.rejected.append((log.path.name, line, reason))


@dataclass
class _FileReader:
    reader: Reader
    log: OpenLog
    total: int
    dictionary: Dictionary = field(default_factory=Dictionary)
    local_keys: list[int] = field(default_factory=list)
    last_ms: int = MISSING

    def chunks(self) -> Iterator[Chunk]:
        mapping = self.log.mapping
        try:
            for rows in _blocks_of_rows(self.log, self._seen):
                for line, reason in rows.rejected:
                    self.reader.reject(self.log, line, reason)
                if len(rows):
                    self.reader.next_row = max(self.reader.next_row, self.log.first_row + int(rows.lines[-1]))
                    yield self._interval_chunk(rows) if mapping.is_interval else self._chunk(rows)
        except TruncatedArchive as error:
            self.reader.notes.append(
                f"{self.log.path.name} is cut short or damaged: everything up to byte {error.bytes_read} was read"
            )

    def _seen(self, count: int) -> None:
        self.reader.done_bytes += count
        if self.reader.progress is not None:
            self.reader.progress(self.reader.done_bytes, self.total)

    def _chunk(self, rows: Rows) -> Chunk:
        time = self._times(rows)
        good = self._without_unreadable(rows, time)
        key = self._keys(rows)
        chunk = Chunk(
            time=time,
            key=key,
            row=(rows.lines + (self.log.first_row - 1)).astype(np.uint32),
            row_hash=self._row_hashes(rows, time),
            event_id=self._event_ids(rows),
        )
        self.reader.rows += int(good.sum())
        self.last_ms = int(time[good][-1]) if good.any() else self.last_ms
        return chunk if good.all() else chunk.where(good)

    def _without_unreadable(self, rows: Rows, time: Times) -> npt.NDArray[np.bool_]:
        good = time != MISSING
        for row in np.flatnonzero(~good).tolist():
            self.reader.reject(self.log, int(rows.lines[row]), "no readable time stamp")
        return good

    def _times(self, rows: Rows) -> Times:
        mapping = self.log.mapping
        begins, ends = rows.bare(mapping.time[0])
        if mapping.number is not None:
            scale, offset = mapping.number
            numbers = read_numbers(rows.buffer, begins, ends - begins)
            known = np.isfinite(numbers)
            time = np.full(len(rows), MISSING, np.int64)
            time[known] = np.rint(numbers[known] * scale + offset).astype(np.int64)
            return time
        if len(mapping.time) == 2:
            ends = rows.bare(mapping.time[1])[1]
        return self._local(self._stamps(rows, begins, ends), rows)

    def _stamps(self, rows: Rows, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Times:
        if len(self.log.mapping.time) == 2:  # the mark between date and clock is no blank
            buffer = rows.buffer.copy()
            buffer[rows.bare(self.log.mapping.time[0])[1]] = ord(" ")
            return read_stamps(buffer, begins, ends - begins, self.log.book)
        return read_stamps(rows.buffer, begins, ends - begins, self.log.book)

    def _local(self, time: Times, rows: Rows) -> Times:
        zone, place = self.log.book.zone, self.log.mapping.millisecond
        if place is not None:
            begins, ends = rows.bare(place)
            more = read_numbers(rows.buffer, begins, ends - begins)
            good = (time != MISSING) & np.isfinite(more)
            time[good] += more[good].astype(np.int64)
        if zone is not None and not self.log.book.zoned:
            good = time != MISSING
            time[good] = local_to_utc(time[good], zone)
        return time

    def _key_columns(self) -> list[int]:
        mapping = self.log.mapping
        single = [place for place in (mapping.priority,) if place is not None]
        return sorted({*mapping.source, *mapping.condition, *mapping.area, *mapping.event, *single})

    def _keys(self, rows: Rows) -> npt.NDArray[np.int32]:
        columns = self._key_columns()
        breaks = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(columns)) if b != a + 1), len(columns)]
        hashes = None
        for first, last in pairwise(breaks):
            found = hash_cells(rows.buffer, *rows.span(columns[first], columns[last - 1]))
            hashes = found if hashes is None else hashes * np.uint64(0xD6E8FEB86659FD93) ^ found
        assert hashes is not None
        local = self.dictionary.encode(hashes, lambda row: self.local_keys.append(self._describe(rows, row)))
        return np.array(self.local_keys, np.int32)[local]

    def _describe(self, rows: Rows, row: int) -> int:
        """Decode and classify one distinct key."""
        mapping = self.log.mapping
        if len(self.local_keys) > MAX_DISTINCT:
            raise LogError(
                f"{self.log.path.name} has more than {MAX_DISTINCT} different alarms",
                hint="a column of the mapping is different in every row; give a mapping without it",
            )
        source, condition, area = (
            self._joined(rows, row, places) for places in (mapping.source, mapping.condition, mapping.area)
        )
        if mapping.format == "Ignition journal" and (match := IGNITION_SOURCE.match(source)):
            source, condition = match["tag"], match["alarm"]
        if mapping.return_ending and condition.upper().endswith(mapping.return_ending):
            condition = condition[: -len(mapping.return_ending)].rstrip()
        events = tuple(decode_cell(rows.text(row, place)) for place in mapping.event)
        return self.reader.keys.add(
            source,
            condition,
            area,
            "" if mapping.priority is None else self._joined(rows, row, (mapping.priority,)),
            Kind.ACTIVATION if mapping.is_interval else mapping.kind(events),
            capped(" / ".join(events)),
            "" if mapping.message is None else self._joined(rows, row, (mapping.message,)),
        )

    def _joined(self, rows: Rows, row: int, places: tuple[int, ...]) -> str:
        return capped("/".join(decode_cell(rows.text(row, place)) for place in places))

    def _row_hashes(self, rows: Rows, time: Times) -> npt.NDArray[np.uint64]:
        """Of whole rows, where another row may have the same instant; of all rows when the file is to be sorted."""
        begins, ends = rows.span(0, self.log.dialect.columns - 1)
        if self.reader.hash_all or not len(time):
            return hash_cells(rows.buffer, begins, ends)
        chosen = np.flatnonzero(tied(time) | (time == self.last_ms) | (time == time[-1]))
        hashes = np.zeros(len(time), np.uint64)
        hashes[chosen] = hash_cells(rows.buffer, begins[chosen], ends[chosen])
        return hashes

    def _event_ids(self, rows: Rows) -> npt.NDArray[np.uint64] | None:
        if self.log.mapping.event_id is None:
            return None
        return hash_cells(rows.buffer, *rows.bare(self.log.mapping.event_id))

    def _interval_chunk(self, rows: Rows) -> Chunk:
        """One row of begin, end and acknowledgement as up to three rows of a journal."""
        mapping = self.log.mapping
        key = self._keys(rows)
        begin, end, ack = (self._column_times(rows, place) for place in (mapping.begin, mapping.end, mapping.ack))
        good = self._without_unreadable(rows, begin)
        self.reader.rows += int(good.sum())
        hashes = hash_cells(rows.buffer, *rows.span(0, self.log.dialect.columns - 1))
        parts = []
        for time, kind in ((begin, Kind.ACTIVATION), (ack, Kind.ACKNOWLEDGE), (end, Kind.RETURN)):
            there = good & (time != MISSING)
            parts.append(
                Chunk(
                    time=time[there],
                    key=self._as_kind(key[there], kind),
                    row=(rows.lines[there] + (self.log.first_row - 1)).astype(np.uint32),
                    row_hash=hashes[there] + np.uint64(kind),
                    expanded=True,
                )
            )
        return Chunk.joined(parts)

    def _column_times(self, rows: Rows, place: int | None) -> Times:
        if place is None:
            return np.full(len(rows), MISSING, np.int64)
        begins, ends = rows.bare(place)
        time = read_stamps(rows.buffer, begins, ends - begins, self.log.book)
        return self._local(time, rows)

    def _as_kind(self, key: npt.NDArray[np.int32], kind: Kind) -> npt.NDArray[np.int32]:
        """The keys of the same alarms for another kind of row."""
        keys = self.reader.keys
        distinct, inverse = np.unique(key, return_inverse=True)
        found = []
        for number in distinct.tolist():
            alarm = keys.alarms[keys.alarm_of_key[number]]
            found.append(
                keys.add(alarm.source, alarm.condition, alarm.area, keys.priorities[number], kind, "", alarm.text)
            )
        return np.array(found, np.int32)[inverse]
