"""A journal file with everything settled that must be known before a row is counted: dialect, mapping, date order."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from factorylm_alarms.cells import PADDING
from factorylm_alarms.dates import STAMP, DayBook, decide_day_order
from factorylm_alarms.dialect import Dialect, find_dialect, looks_binary
from factorylm_alarms.errors import AmbiguousDatesError, LogError
from factorylm_alarms.files import TruncatedArchive, open_blocks
from factorylm_alarms.mapping import Mapping, recognise, shown_header
from factorylm_alarms.mapping_file import read_mapping
from factorylm_alarms.split import Rows, split_rows, whole_rows_end

MAX_ROW_BYTES = 32 << 20
SHORT_DATE = re.compile(rb"^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}$")


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """One file of a journal; its rows are numbered from `first_row`, which is its line 1."""

    name: str
    first_row: int


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
    dialect = dialect_of(path)
    mapping = recognise(dialect) if mapping_file is None else read_mapping(mapping_file, dialect)
    notes = [f"encoding {dialect.encoding}, delimiter {dialect.delimiter!r}"]
    if dialect.preamble_lines:
        notes.append(f"{dialect.preamble_lines} lines before the header were skipped")
    book = DayBook(day_first=mapping.day_first if day_first is None else day_first, zone=mapping.zone)
    log = OpenLog(path=path, dialect=dialect, mapping=mapping, book=book, notes=notes)
    if book.day_first is None:
        _settle_day_order(log)
    return log


def dialect_of(path: Path) -> Dialect:
    """How the file is written; raises LogError for what is no table of rows."""
    try:
        encoding, sample, _ = open_blocks(path)
    except TruncatedArchive as error:
        raise LogError(
            f"{path.name} is a damaged archive: nothing could be unpacked", hint="copy or export it again"
        ) from error
    if looks_binary(sample):
        raise LogError(f"{path.name} is not a text file", hint="export the journal as CSV, or give SQLite or Parquet")
    dialect = find_dialect(sample, encoding)
    if not dialect.first_rows:
        raise LogError(
            f"{path.name} holds no row below its first line ({shown_header(dialect.header)})",
            hint="export a time in which something happened; a first row longer than 64 kB is not read as a row",
        )
    return dialect


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
        for rows in blocks_of_rows(log):
            for row in range(len(rows)):
                cell = rows.cells(row)[place]
                if cell[:10] != latest:
                    latest = cell[:10]
                    yield cell
    except TruncatedArchive:
        return


def blocks_of_rows(log: OpenLog, seen: Callable[[int], None] | None = None) -> Iterator[Rows]:
    """The data rows of a file. A last row without a line end counts; a row longer than MAX_ROW_BYTES stops it."""
    _, _, blocks = open_blocks(log.path)
    skip = log.dialect.preamble_lines + bool(log.dialect.header)
    rest, line, broken = b"", 1, None
    while True:
        try:
            block = next(blocks, None)
        except TruncatedArchive as error:
            block, broken = None, error
        data = b"".join((rest, b"\n" if rest and block is None else block or b"", bytes(PADDING)))
        length = len(data) - PADDING
        end = length if block is None else whole_rows_end(data, length, log.dialect.delimiter)
        rest = data[end:length]
        if len(rest) > MAX_ROW_BYTES:
            raise LogError(f"{log.path.name} has a row longer than {MAX_ROW_BYTES >> 20} MB", hint="is it a journal?")
        if seen is not None:
            seen(len(block or b""))
        while skip and end:
            cut = data.find(b"\n") + 1
            data, end, skip, line = data[cut:], end - cut, skip - 1, line + 1
        if end:
            rows = split_rows(data, end, log.dialect.delimiter, log.dialect.columns, line)
            line += rows.line_count
            yield rows
        if block is None:
            if broken is not None:
                raise broken
            return
