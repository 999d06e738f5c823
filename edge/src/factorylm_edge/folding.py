"""Compaction: the journal's rows become one packed chunk per tag, small chunks become large ones."""

import json
import sqlite3
import struct
import zlib
from array import array
from collections.abc import Sequence

from factorylm_schema import Value

from factorylm_edge.pack import from_bytes, pack, to_bytes, unpack

BUCKET = 128  # neighbouring tags in one row of the journal
_WORTH_FOLDING = 60  # rows: a minute of scans at one a second
_SMALL = 512  # values: fewer cost more than their share
_WORTH_MERGING = 16
_LARGEST = 4096

Row = tuple[int, Value | None, int]
JournalRow = tuple[int, int, Value | None, int]
JournalColumns = tuple[Sequence[int], Sequence[int], list[Value | None], Sequence[int]]


def journal_data(rows: Sequence[JournalRow]) -> bytes:
    """One row of the journal from number, time, value and quality of each sample.

    Tags of a device follow each other, were read at one time and are good: then one number stands for the column.
    """
    numbers, times, values, qualities = zip(*rows, strict=True)
    run: int | tuple[int, ...] = numbers
    if numbers == tuple(range(numbers[0], numbers[0] + len(numbers))):
        run = numbers[0]
    # most are floats: eight bytes each are read several times faster than digits, and exactly
    floats = array("d", [value if type(value) is float else 0.0 for value in values])
    rest = [(at, value) for at, value in enumerate(values) if type(value) is not float]
    head = json.dumps((run, _same(times), rest, _same(qualities)), separators=(",", ":")).encode()
    return zlib.compress(struct.pack("<I", len(head)) + head + to_bytes(floats), 1)


def journal_columns(data: bytes) -> JournalColumns:
    """Tag numbers, times, values, qualities of one row of the journal."""
    raw = zlib.decompress(data)
    (size,) = struct.unpack_from("<I", raw)
    run, times, rest, qualities = json.loads(raw[4 : 4 + size])
    values: list[Value | None] = [*from_bytes("d", raw[4 + size :])]
    for at, value in rest:
        values[at] = value
    numbers = range(run, run + len(values)) if isinstance(run, int) else run
    return numbers, _each(times, len(values)), values, _each(qualities, len(values))


def places(numbers: Sequence[int], number: int) -> Sequence[int]:
    """Where a tag's samples stand in a row of the journal."""
    if isinstance(numbers, range):
        return (number - numbers.start,) if number in numbers else ()
    return [at for at, found in enumerate(numbers) if found == number]


def due_buckets(db: sqlite3.Connection, *, everything: bool) -> list[int]:
    """The buckets whose journal is long enough to be worth it."""
    least = 1 if everything else _WORTH_FOLDING
    rows = db.execute("SELECT bucket FROM journal GROUP BY bucket HAVING count(*) >= ?", (least,)).fetchall()
    return [bucket for (bucket,) in rows]


def fold(db: sqlite3.Connection, bucket: int) -> int:
    """Empty one bucket's journal into chunks; returns how many samples."""
    rows = db.execute("SELECT id, data FROM journal WHERE bucket = ? ORDER BY id", (bucket,)).fetchall()
    by_tag: dict[int, list[Row]] = {}
    for _, data in rows:
        numbers, *columns = journal_columns(data)
        for number, row in zip(numbers, zip(*columns, strict=True), strict=True):
            by_tag.setdefault(number, []).append(row)
    waiting = _small_chunks(db, bucket)
    for number, samples in by_tag.items():
        if waiting.get(number, 0) + 1 >= _WORTH_MERGING:
            _merge(db, number, samples)
        else:
            put(db, number, samples)
    if rows:
        db.execute("DELETE FROM journal WHERE bucket = ? AND id <= ?", (bucket, rows[-1][0]))
    return sum(map(len, by_tag.values()))


def put(db: sqlite3.Connection, number: int, samples: Sequence[Row]) -> None:
    """Samples of one tag as chunks, in order of time."""
    ordered = sorted(samples, key=lambda row: row[0])
    for at in range(0, len(ordered), _LARGEST):
        times, values, qualities = zip(*ordered[at : at + _LARGEST], strict=True)
        row = (number, times[0], times[-1], len(times), len(times) < _SMALL, pack(times, values, qualities))
        db.execute("INSERT INTO chunk (tag, tier, low, high, count, small, data) VALUES (?, 0, ?, ?, ?, ?, ?)", row)


def _same(column: tuple[int, ...]) -> int | tuple[int, ...]:
    return column[0] if column.count(column[0]) == len(column) else column


def _each(column: int | list[int], count: int) -> list[int]:
    return [column] * count if isinstance(column, int) else column


def _small_chunks(db: sqlite3.Connection, bucket: int) -> dict[int, int]:
    asked = "SELECT tag, count(*) FROM chunk WHERE small AND tag >= ? AND tag < ? GROUP BY tag"
    return dict(db.execute(asked, (bucket * BUCKET, (bucket + 1) * BUCKET)).fetchall())


def _merge(db: sqlite3.Connection, number: int, samples: list[Row]) -> None:
    """The tag's small chunks and the new samples as large ones; a damaged chunk is left where it is."""
    together: list[Row] = []
    asked = "SELECT id, data FROM chunk WHERE small AND tag = ? ORDER BY id"
    for chunk, data in db.execute(asked, (number,)).fetchall():
        try:
            columns = unpack(data)
        except ValueError:
            db.execute("UPDATE chunk SET small = 0 WHERE id = ?", (chunk,))
            continue
        together.extend(zip(*columns, strict=True))
        db.execute("DELETE FROM chunk WHERE id = ?", (chunk,))
    put(db, number, [*together, *samples])
