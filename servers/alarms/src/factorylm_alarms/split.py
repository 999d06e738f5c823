"""A block of a text journal cut into rows and cells, all rows at once.

A quote opens a cell only at its beginning (RFC 4180); a stray one (an inch mark) is a letter. Rows may run over
several lines inside quotes. A row with the wrong number of cells is rejected with its line number, never repaired.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from factorylm_alarms.arrays import Bytes, Flags, Positions

QUOTE, NEWLINE, RETURN, SPACE, NUL = b'"'[0], 10, 13, 32, 0
MAX_QUOTED_LINES = 500
"""A quoted cell that runs over more lines is taken for a stray quote, or one quote would swallow the file."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The good rows of a block, `width` cells each. `columns` is 0 unless all rows are regular: marks in even steps."""

    buffer: Bytes
    marks: Positions
    first_mark: Positions
    begins: Positions
    lines: Positions
    line_count: int
    columns: int
    width: int
    delimiter: bytes
    rejected: tuple[tuple[int, str], ...]

    def __len__(self) -> int:
        return len(self.begins)

    def span(self, first: int, last: int) -> tuple[Positions, Positions]:
        """(begins, ends) of the stretch from cell `first` to cell `last`, trimmed of its line end."""
        begins = self.begins if first == 0 else self._marks(first - 1) + 1
        ends = self._marks(last)
        carriage = (ends > begins) & (self.buffer[ends - 1] == RETURN)
        return begins, ends - carriage

    def _marks(self, place: int) -> Positions:
        """The mark after this cell, of every row."""
        return self.marks[place :: self.columns] if self.columns else self.marks[self.first_mark + place]

    def bare(self, column: int) -> tuple[Positions, Positions]:
        """(begins, ends) of one cell without the blanks and quotes around it."""
        begins, ends = self.span(column, column)
        while True:
            first, last, filled = self.buffer[begins], self.buffer[ends - 1], ends > begins
            loose = ((first == SPACE) | (first == QUOTE)) & filled
            tight = ((last == SPACE) | (last == QUOTE)) & filled
            if not loose.any() and not tight.any():
                return begins, ends
            begins, ends = begins + loose, np.maximum(ends - tight, begins + loose)

    def cells(self, row: int) -> list[bytes]:
        """All cells of one row, unquoted."""
        first = int(self.first_mark[row])
        last = first + (self.width) - 1
        raw = self.buffer[self.begins[row] : self.marks[last]].tobytes()
        if b'"' not in raw:
            return [cell.strip(b" \r") for cell in raw.split(self.delimiter)]
        marks = [int(self.begins[row]) - 1, *self.marks[first : last + 1].tolist()]
        return [unquote(self.buffer[begin + 1 : end].tobytes()) for begin, end in pairwise(marks)]


def unquote(raw: bytes) -> bytes:
    """The cell's own bytes."""
    raw = raw.strip(b" \r\n")
    if len(raw) >= 2 and raw.startswith(b'"') and raw.endswith(b'"'):
        return raw[1:-1].replace(b'""', b'"').strip()
    return raw


def whole_rows_end(data: bytes, length: int, delimiter: str) -> int:
    """Where the last complete row of the first `length` bytes ends, so that no quoted cell is cut in two."""
    end = data.rfind(b"\n", 0, length) + 1
    if data.find(b'"', 0, end) < 0:
        return end
    opened = _open_quote(data[:end], delimiter)
    return end if opened is None else opened


def split_rows(data: bytes, end: int, delimiter: str, columns: int, first_line: int) -> Rows:
    """Cut the complete rows before `end`; `data` goes on for PADDING bytes, `first_line` is its first line's number."""
    buffer = np.frombuffer(data, np.uint8)
    text = buffer[:end]
    is_mark = text == NEWLINE
    line_count = int(np.count_nonzero(is_mark))
    is_mark |= text == ord(delimiter)
    marks = np.flatnonzero(is_mark)
    ends, newlines = _row_ends(marks, line_count, text, columns)
    if data.find(b'"', 0, end) >= 0:
        line_begins = np.concatenate(([0], newlines[:-1] + 1))
        marks = marks[~_inside_quotes(text, marks, line_begins, delimiter)]
        ends = np.flatnonzero(text[marks] == NEWLINE)
    first_mark, begins = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    first_mark[1:] = ends[:-1] + 1
    begins[1:] = marks[ends[:-1]] + 1
    lines = first_line + (np.arange(len(ends)) if len(ends) == len(newlines) else np.searchsorted(newlines, begins))
    has_nul = data.find(b"\0", 0, end) >= 0
    good, rejected = _judge(text, begins, marks[ends], lines, ends - first_mark + 1, columns, nuls=has_nul)
    if not good.all():
        first_mark, begins, lines = first_mark[good], begins[good], lines[good]
    return Rows(
        buffer=buffer,
        marks=marks,
        first_mark=first_mark,
        begins=begins,
        lines=lines,
        line_count=line_count,
        columns=columns if len(begins) * columns == len(marks) else 0,
        width=columns,
        delimiter=delimiter.encode(),
        rejected=tuple(rejected),
    )


def _row_ends(marks: Positions, line_count: int, text: Bytes, columns: int) -> tuple[Positions, Positions]:
    """(which marks are line ends, where those are). In regular rows it is every last one of `columns`."""
    if len(marks) == line_count * columns:
        newlines = marks[columns - 1 :: columns]
        if (text[newlines] == NEWLINE).all():
            return np.arange(columns - 1, len(marks), columns), newlines
    ends = np.flatnonzero(text[marks] == NEWLINE)
    return ends, marks[ends]


def _judge(
    text: Bytes, begins: Positions, ends: Positions, lines: Positions, widths: Positions, columns: int, *, nuls: bool
) -> tuple[Flags, list[tuple[int, str]]]:
    """(rows to keep, [(line, reason)]); blank lines are neither."""
    good = widths == columns
    rejected = [
        (int(lines[row]), f"{widths[row]} cells where {columns} were expected")
        for row in np.flatnonzero(~good)
        if text[begins[row] : ends[row]].tobytes().strip(b" \t\r\n;,|")
    ]
    if nuls:
        at = np.flatnonzero(text == NUL)
        for row in np.unique(np.searchsorted(begins, at, side="right") - 1):
            if good[row]:
                good[row] = False
                rejected.append((int(lines[row]), "NUL bytes in the row"))
    return good, rejected


def _inside_quotes(text: Bytes, marks: Positions, line_begins: Positions, delimiter: str) -> Flags:
    """Which delimiters and line ends stand inside a quoted cell."""
    quotes = np.flatnonzero(text == QUOTE)
    line_of_quote = np.searchsorted(line_begins, quotes, side="right") - 1
    per_line = np.bincount(line_of_quote, minlength=len(line_begins))
    group = line_begins.copy()
    plain = np.zeros(len(line_begins), bool)
    for first, last in _odd_lines(text, line_begins, per_line, delimiter):
        if last is None:
            plain[first] = True
        else:
            group[first : last + 1] = line_begins[first]
    line_of_mark = np.searchsorted(line_begins, marks, side="right") - 1
    before = np.searchsorted(quotes, marks) - np.searchsorted(quotes, group[line_of_mark])
    inside: Flags = (before % 2 == 1) & ~plain[line_of_mark]
    return inside


def _odd_lines(
    text: Bytes, line_begins: Positions, per_line: Positions, delimiter: str
) -> list[tuple[int, int | None]]:
    """(first line, last line) of each row over several lines; (line, None) for a line with a stray quote."""
    found: list[tuple[int, int | None]] = []
    bounds = np.append(line_begins, len(text))
    done = -1
    for line in np.flatnonzero(per_line % 2 == 1).tolist():
        if line <= done:
            continue
        last = _closing_line(text, bounds, line, delimiter)
        found.append((line, last))
        done = line if last is None else last
    return found


def _closing_line(text: Bytes, bounds: Positions, line: int, delimiter: str) -> int | None:
    """The line on which the cell opened on `line` closes; None when the quote there opens no cell."""
    inside = False
    for number in range(line, min(line + MAX_QUOTED_LINES, len(bounds) - 1)):
        inside = _ends_inside(text[bounds[number] : bounds[number + 1]].tobytes(), delimiter, inside)
        if not inside:
            return number if number > line else None
    return None


def _ends_inside(line: bytes, delimiter: str, inside: bool) -> bool:
    """Whether a quoted cell is still open at the end of this line."""
    mark = delimiter.encode()
    at = line.find(b'"')
    while at >= 0:
        if inside and line[at + 1 : at + 2] == b'"':
            at += 1
        elif inside:
            inside = False
        elif line[:at].strip(b" ") == b"" or line[:at].rstrip(b" ").endswith(mark):
            inside = True
        at = line.find(b'"', at + 1)
    return inside


def _open_quote(block: bytes, delimiter: str) -> int | None:
    """Where the row begins whose quoted cell is still open at the end of the block; None when all are closed.

    Rows are looked at backwards from the end, only as far as one quoted cell may reach.
    """
    text = np.frombuffer(block, np.uint8)
    newlines = np.flatnonzero(text == NEWLINE)
    line_begins = np.concatenate(([0], newlines[:-1] + 1))
    quotes = np.flatnonzero(text == QUOTE)
    per_line = np.bincount(np.searchsorted(line_begins, quotes, side="right") - 1, minlength=len(line_begins))
    bounds = np.append(line_begins, len(text))
    inside_until = -1
    for line in np.flatnonzero(per_line % 2 == 1).tolist():
        if line <= inside_until:
            continue
        last = _closing_line(text, bounds, line, delimiter)
        if last is not None:
            inside_until = last
        elif len(line_begins) - line < MAX_QUOTED_LINES and _ends_inside(
            text[bounds[line] : bounds[line + 1]].tobytes(), delimiter, inside=False
        ):
            return int(line_begins[line])
    return None
