"""The files of a journal as chunks of coded rows: time, key, line.

A key is a distinct combination of the cells that matter (source, condition, area, event, priority). Each is decoded
and classified once; a row is then two numbers.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from factorylm_alarms.arrays import Codes, Flags, Hashes, Positions, Times
from factorylm_alarms.cells import MAX_DISTINCT, Dictionary, hash_cells
from factorylm_alarms.chunks import Chunk
from factorylm_alarms.dates import MISSING
from factorylm_alarms.dialect import decode_cell
from factorylm_alarms.errors import LogError
from factorylm_alarms.files import TruncatedArchive
from factorylm_alarms.keys import KeyTable
from factorylm_alarms.kinds import Kind
from factorylm_alarms.open_log import OpenLog, blocks_of_rows
from factorylm_alarms.split import Rows
from factorylm_alarms.stamps import local_to_utc, read_numbers, read_stamps
from factorylm_alarms.tidy import tied
from factorylm_alarms.untrusted import capped

MAX_REJECTED_LISTED = 1000
IGNITION_SOURCE = re.compile(r"^(?:prov:[^:]*:/)?tag:(?P<tag>.+?):/alm:(?P<alarm>.+)$")


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
            for rows in blocks_of_rows(self.log, self._seen):
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

    def _without_unreadable(self, rows: Rows, time: Times) -> Flags:
        good: Flags = time != MISSING
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

    def _stamps(self, rows: Rows, begins: Positions, ends: Positions) -> Times:
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

    def _keys(self, rows: Rows) -> Codes:
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
        cells = rows.cells(row)
        source, condition, area = (
            _joined(cells, places) for places in (mapping.source, mapping.condition, mapping.area)
        )
        if mapping.format == "Ignition journal" and (match := IGNITION_SOURCE.match(source)):
            source, condition = match["tag"], match["alarm"]
        if mapping.return_ending and condition.upper().endswith(mapping.return_ending):
            condition = condition[: -len(mapping.return_ending)].rstrip()
        events = tuple(decode_cell(cells[place]) for place in mapping.event)
        return self.reader.keys.add(
            source,
            condition,
            area,
            "" if mapping.priority is None else _joined(cells, (mapping.priority,)),
            Kind.ACTIVATION if mapping.is_interval else mapping.kind(events),
            capped(" / ".join(events)),
            "" if mapping.message is None else _joined(cells, (mapping.message,)),
        )

    def _row_hashes(self, rows: Rows, time: Times) -> Hashes:
        """Of whole rows, where another row may have the same instant; of all rows when the file is to be sorted."""
        if self.reader.hash_all:
            return hash_cells(rows.buffer, *rows.span(0, rows.width - 1))
        chosen = np.flatnonzero(tied(time) | (time == self.last_ms) | (time == time[-1]))
        if not len(chosen):
            return np.zeros(len(time), np.uint64)
        begins, ends = rows.span(0, rows.width - 1)
        hashes = np.zeros(len(time), np.uint64)
        hashes[chosen] = hash_cells(rows.buffer, begins[chosen], ends[chosen])
        return hashes

    def _event_ids(self, rows: Rows) -> Hashes | None:
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
        hashes = hash_cells(rows.buffer, *rows.span(0, rows.width - 1))
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

    def _as_kind(self, key: Codes, kind: Kind) -> Codes:
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


def _joined(cells: list[bytes], places: tuple[int, ...]) -> str:
    return capped("/".join(decode_cell(cells[place]) for place in places))
