"""The same samples into the history, a plain SQLite table and DuckDB."""

import math
import random
import sqlite3
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_parts.figures import BEGIN_US, SEED, figure
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.sqlite_history import SqliteHistory

BATCH_S = 20


def course(tags: int) -> Iterator[list[Sample]]:
    rng = random.Random(SEED)
    for begin in range(0, 3600, BATCH_S):
        batch = []
        for second in range(begin, begin + BATCH_S):
            time_us = BEGIN_US + second * SECOND + rng.randrange(4) * 1000
            batch += [Sample(f"d{tag // 100}.t{tag}", time_us, value(tag, second, rng)) for tag in range(tags)]
        yield batch


def value(tag: int, second: int, rng: random.Random) -> bool | int | float:
    kind = tag % 10
    if kind < 6:
        return struct.unpack("f", struct.pack("f", 50 + 10 * math.sin(second / 300 + tag) + 0.1 * rng.gauss(0, 1)))[0]
    if kind < 8:
        return round(60 + 5 * math.sin(second / 900 + tag), 1)
    return second // 3 + tag if kind == 8 else second % 600 < 300


def measure(folder: Path, tags: int) -> bool:
    """One value a second of each tag for an hour: noisy REALs, slow temperatures, counters and states."""
    wanted = f"d{tags // 200}.t{tags // 2}"
    ours, ours_read, ours_bytes, recent_read = _ours(folder, tags, wanted)
    plain, plain_read, plain_bytes = _plain(folder, tags, wanted)
    duck, duck_read, duck_bytes = _duckdb(folder, tags, wanted)
    count = tags * 3600
    print(f"{count:,} samples of {tags} tags, committed every second; one tag x one hour read, of processor time")
    for name, spent, read, size in (
        ("factorylm-edge", ours, ours_read, ours_bytes),
        ("plain SQLite (tag, time)", plain, plain_read, plain_bytes),
        ("DuckDB", duck, duck_read, duck_bytes),
    ):
        print(f"  {name:26} {spent:8.1f} s  {size / count:8.2f} B a sample  {read * 1000:8.2f} ms")
    return all(
        [
            figure("bytes a value after compaction", ours_bytes / count, "most", 4),
            figure("size / plain SQLite table", ours_bytes / plain_bytes, "most", 0.2),
            figure("size / DuckDB file", ours_bytes / duck_bytes, "most", 0.5),
            figure("one tag x one hour read, ms of processor time", ours_read * 1000, "most", 5),
            figure("the same while the last minute is not compacted, ms", recent_read * 1000, "most", 8),
            figure("keeping, processor time / plain SQLite table", ours / plain, "most", 2),
        ]
    )


def _spent(tags: int, take: Callable[[Sequence[Sample]], object]) -> float:
    """Processor time of keeping, without that of making the samples up."""
    spent = 0.0
    for batch in course(tags):
        begun = time.process_time()
        take(batch)
        spent += time.process_time() - begun
    return spent


def _read_s(read: Callable[[], Sequence[object]]) -> float:
    taken = []
    for _ in range(15):
        begun = time.process_time()
        assert len(read()) == 3600
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def _ours(folder: Path, tags: int, wanted: str) -> tuple[float, float, float, float]:
    history = SqliteHistory(folder / "ours.db")
    waiting = 0

    def take(batch: Sequence[Sample]) -> None:
        nonlocal waiting
        # a batch a second, as a gateway commits
        for at in range(0, len(batch), tags):
            history.append(batch[at : at + tags])
        waiting += 1
        # a minute at a time, as the gateway does; the last one waits
        if waiting % 3 == 0 and waiting < 3600 // BATCH_S:
            history.compact()

    spent = _spent(tags, take)
    recent_s = _read_s(lambda: history.read(wanted, BEGIN_US, BEGIN_US + 3600 * SECOND).samples)
    begun = time.process_time()
    history.compact(everything=True)
    spent += time.process_time() - begun
    read_s = _read_s(lambda: history.read(wanted, BEGIN_US, BEGIN_US + 3600 * SECOND).samples)
    size = history.used_bytes()
    history.close()
    return spent, read_s, size, recent_s


def _plain(folder: Path, tags: int, wanted: str) -> tuple[float, float, float]:
    path = folder / "plain.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE s (tag TEXT, time INTEGER, value, quality INTEGER, PRIMARY KEY (tag, time)) WITHOUT ROWID")

    def take(batch: Sequence[Sample]) -> None:
        for at in range(0, len(batch), tags):
            with db:
                db.executemany("INSERT OR REPLACE INTO s VALUES (?, ?, ?, ?)", batch[at : at + tags])

    spent = _spent(tags, take)
    asked = "SELECT time, value FROM s WHERE tag = ? AND time >= ? AND time < ?"
    read_s = _read_s(lambda: db.execute(asked, (wanted, BEGIN_US, BEGIN_US + 3600 * SECOND)).fetchall())
    db.close()
    return spent, read_s, path.stat().st_size


def _duckdb(folder: Path, tags: int, wanted: str) -> tuple[float, float, float]:
    """A batch a second too, through Arrow, its fastest way in; booleans and counters as doubles."""
    import duckdb
    import pyarrow as pa

    path = folder / "duck.db"
    db = duckdb.connect(str(path), config={"threads": 1})
    db.execute("CREATE TABLE s (tag VARCHAR, time BIGINT, value DOUBLE, quality INTEGER)")

    def take(batch: Sequence[Sample]) -> None:
        for at in range(0, len(batch), tags):
            names, times, values, codes = zip(*batch[at : at + tags], strict=True)
            part = pa.table({"tag": names, "time": times, "value": list(map(float, values)), "quality": codes})
            db.register("part", part)
            db.execute("INSERT INTO s SELECT * FROM part")

    spent = _spent(tags, take)
    begun = time.process_time()
    db.execute("CHECKPOINT")
    spent += time.process_time() - begun
    asked = "SELECT time, value FROM s WHERE tag = ? AND time >= ? AND time < ? ORDER BY time"
    read_s = _read_s(lambda: db.execute(asked, (wanted, BEGIN_US, BEGIN_US + 3600 * SECOND)).fetchall())
    db.close()
    return spent, read_s, path.stat().st_size
