"""Compaction: the journal's rows become one packed chunk per tag, small chunks become large ones."""

import json
import sqlite3
import zlib
from collections.abc import Sequence

from factorylm_schema import Value

from factorylm_edge.pack import pack, unpack

BUCKET = 128  # neighbouring tags in one row of the journal
_WORTH_FOLDING = 60  # rows: a minute of scans at one a second
_SMALL = 512  # values: fewer cost more than their share
_WORTH_MERGING = 16
_LARGEST = 4096

Row = tuple[int, Value | None, int]
JournalColumns = tuple[list[int], list[int], list[Value | None], list[int]]


def journal_columns(data: bytes) -> JournalColumns:
    """Tag numbers, times, values, qualities of one row of the journal."""
    numbers, times, values, qualities = json.loads(zlib.decompress(data))
    return numbers, times, values, qualities


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
