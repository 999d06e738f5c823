"""The history in one SQLite file: commits are one row per bucket, compaction makes them small, readers never wait."""

import json
import sqlite3
import threading
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from operator import attrgetter
from pathlib import Path

from factorylm_schema import AlarmEvent, Value

from factorylm_edge import folding, keeping
from factorylm_edge.history import HistoryError, HistoryFullError, Kept, Retention, TagRecord, Trace
from factorylm_edge.pack import unpack
from factorylm_edge.sample import SECOND, Sample, microseconds
from factorylm_edge.sqlite_layout import gateway_id, open_reader, open_writer
from factorylm_edge.windows import HELD_AT_MOST_US, Window, regrouped, unpack_windows, windows_of

_TIME = attrgetter("time_us")
# a sample from its four columns without a call of Python's: an hour of a tag is 3,600 of them
_MADE: Callable[[tuple[str, int, Value | None, int]], Sample] = partial(tuple.__new__, Sample)


@dataclass
class SqliteHistory:
    """The one writer of a file, and its reader (factorylm_edge.history: History).

    With `forwarded`, every batch also goes to the outbox, in the same commit.
    """

    path: Path
    forwarded: bool = False
    most_pages: int = 0
    _db: sqlite3.Connection = field(init=False)
    _ids: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._db = open_writer(self.path, self.most_pages)
        self._ids = dict(self._db.execute("SELECT name, id FROM tag").fetchall())

    @property
    def gateway(self) -> str:
        """The name under which this file's batches are counted."""
        return gateway_id(self._db)

    # -- writing ------------------------------------------------------------------------------

    def describe(self, tags: Sequence[TagRecord]) -> None:
        """Units and descriptions, for readers."""
        with self.commit() as db:
            known = set(db.execute("SELECT name, unit, description FROM tag").fetchall())
            for tag in tags:
                if (tag.name, tag.unit, tag.description) not in known:
                    self._identify(db, tag.name)
                    row = (tag.unit, tag.description, tag.name)
                    db.execute("UPDATE tag SET unit = ?, description = ? WHERE name = ?", row)

    def append(self, samples: Sequence[Sample], *, source: str = "", number: int = 0) -> bool:
        """Keep the batch, whole or not at all."""
        with self.commit() as db:
            if source and not _is_news(db, source, number):
                return False
            for bucket, rows in self._buckets(db, samples).items():
                times = [row[1] for row in rows]
                row = (bucket, min(times), max(times), len(rows), folding.journal_data(rows))
                db.execute("INSERT INTO journal (bucket, low, high, count, data) VALUES (?, ?, ?, ?, ?)", row)
            if self.forwarded and samples:
                data = zlib.compress(json.dumps(samples, separators=(",", ":")).encode(), 1)
                db.execute("INSERT INTO outbox (count, data) VALUES (?, ?)", (len(samples), data))
        return True

    def append_events(self, events: Sequence[AlarmEvent]) -> None:
        """One with an `event_id` is kept once."""
        rows = [(microseconds(e.time), e.event_id or None, e.model_dump_json(exclude_defaults=True)) for e in events]
        with self.commit() as db:
            db.executemany("INSERT OR IGNORE INTO event (time, name, data) VALUES (?, ?, ?)", rows)

    def compact(self, *, everything: bool = False) -> int:
        """Bucket by bucket, each a commit of its own, so that collecting never waits long."""
        with self._lock:
            buckets = folding.due_buckets(self._db, everything=everything)
        done = 0
        for bucket in buckets:
            with self.commit() as db:
                done += folding.fold(db, bucket)
        return done

    def retain(self, retention: Retention, now_us: int) -> Kept:
        """Sum up what is old, drop what is too old or too much."""
        with self._lock:
            tags = keeping.due_tags(self._db, retention, now_us)
        summed = dropped = 0
        for tag in tags:
            with self.commit() as db:
                summed += keeping.sum_up(db, tag, retention, now_us)
        with self.commit() as db:
            dropped += keeping.drop_old(db, retention, now_us)
        while retention.most_bytes and self.used_bytes() > retention.most_bytes:
            with self.commit() as db:
                gone = keeping.drop_oldest(db)
            if not gone:
                break
            dropped += gone
        with self._lock:
            self._db.execute("PRAGMA incremental_vacuum").fetchall()
        return Kept(summed_up=summed, dropped=dropped)

    @contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                self._undo()
                if isinstance(error, sqlite3.Error):
                    raise _told(error, self.path) from error
                raise

    def close(self) -> None:
        """The file stays whole without it, too."""
        with self._lock:
            self._db.close()

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        # tags first named in a transaction that failed are unknown again
        self._ids = dict(self._db.execute("SELECT name, id FROM tag").fetchall())

    def _buckets(self, db: sqlite3.Connection, samples: Sequence[Sample]) -> dict[int, list[folding.JournalRow]]:
        found: dict[int, list[folding.JournalRow]] = {}
        for sample in samples:
            number = self._ids.get(sample.tag) or self._identify(db, sample.tag)
            row = (number, sample.time_us, sample.value, sample.quality)
            found.setdefault(number // folding.BUCKET, []).append(row)
        return found

    def _identify(self, db: sqlite3.Connection, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = int(db.execute("INSERT INTO tag (name) VALUES (?)", (name,)).lastrowid or 0)
        return self._ids[name]

    # -- reading: on the writer's own connection it would see what is not committed yet ---------

    def read(self, tag: str, start_us: int, end_us: int, limit: int = 0) -> Trace:
        """Samples of a span."""
        with self._reader() as reader:
            return reader.read(tag, start_us, end_us, limit)

    def windows(self, tag: str, start_us: int, end_us: int, width_us: int) -> list[Window]:
        """The span as windows."""
        with self._reader() as reader:
            return reader.windows(tag, start_us, end_us, width_us)

    def latest(self, tag: str, before_us: int) -> Sample | None:
        """The last sample before a time."""
        with self._reader() as reader:
            return reader.latest(tag, before_us)

    def span(self, tag: str) -> tuple[int, int] | None:
        """First and last time."""
        with self._reader() as reader:
            return reader.span(tag)

    def tags(self) -> list[TagRecord]:
        """All tags, by name."""
        with self._reader() as reader:
            return reader.tags()

    def events(self, start_us: int, end_us: int, limit: int) -> list[AlarmEvent]:
        """Alarm events in order of time."""
        with self._reader() as reader:
            return reader.events(start_us, end_us, limit)

    def used_bytes(self) -> int:
        """Pages in use, without the write-ahead log."""
        with self._lock:
            return keeping.used_bytes(self._db)

    @contextmanager
    def _reader(self) -> Iterator["SqliteReader"]:
        with closing(SqliteReader(self.path)) as reader:
            yield reader


@dataclass
class SqliteReader:
    """Reads a history file, also while a gateway writes it."""

    path: Path
    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        self._db = open_reader(self.path)

    def read(self, tag: str, start_us: int, end_us: int, limit: int = 0) -> Trace:
        """Samples of a span; one snapshot of the file, whatever is written meanwhile."""
        with self._snapshot():
            samples, damaged = self._samples(tag, start_us, end_us)
        return Trace(
            samples=samples[:limit] if limit else samples,
            truncated=bool(limit) and len(samples) > limit,
            damaged=tuple(damaged),
        )

    def windows(self, tag: str, start_us: int, end_us: int, width_us: int) -> list[Window]:
        """The span as windows: from samples, and from what is left of older ones."""
        with self._snapshot():
            samples, damaged = self._samples(tag, start_us - HELD_AT_MOST_US, end_us)
            if damaged:
                raise HistoryError(damaged[0], hint="history_read shows the samples around the damage")
            held = [sample for sample in samples if sample.time_us < start_us][-1:]
            own = [sample for sample in samples if sample.time_us >= start_us]
            left = self._left(tag, start_us, end_us)
        return regrouped([*left, *windows_of([*held, *own], start_us, end_us, width_us)], start_us, width_us)

    def latest(self, tag: str, before_us: int) -> Sample | None:
        """The last sample before a time: in the newest chunk that begins before it, or in the journal."""
        with self._snapshot():
            asked = "SELECT max(low) FROM chunk WHERE tag = ? AND tier = 0 AND low < ?"
            (low,) = self._db.execute(asked, (self._number(tag), before_us)).fetchone()
            samples, _ = self._samples(tag, before_us if low is None else low, before_us, journal_from_us=0)
        return samples[-1] if samples else None

    def span(self, tag: str) -> tuple[int, int] | None:
        """First and last time there is anything."""
        number = self._number(tag)
        with self._snapshot():
            asked = "SELECT min(low), max(high) FROM chunk WHERE tag = ?"
            low, high = self._db.execute(asked, (number,)).fetchone()
            recent = [sample.time_us for sample in self._journal(number, tag, 0, 1 << 62)]
        ends = [end for end in (low, high, *recent[:1], *recent[-1:]) if end is not None]
        return (min(ends), max(ends)) if ends else None

    def tags(self) -> list[TagRecord]:
        """All tags, by name."""
        rows = self._db.execute("SELECT name, unit, description FROM tag ORDER BY name").fetchall()
        return [TagRecord(name=name, unit=unit, description=about) for name, unit, about in rows]

    def events(self, start_us: int, end_us: int, limit: int) -> list[AlarmEvent]:
        """Alarm events in order of time."""
        asked = "SELECT data FROM event WHERE time >= ? AND time < ? ORDER BY time, id LIMIT ?"
        return [AlarmEvent.model_validate_json(data) for (data,) in self._db.execute(asked, (start_us, end_us, limit))]

    def close(self) -> None:
        """Let go."""
        self._db.close()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN")
            yield
        except sqlite3.Error as error:
            raise _told(error, self.path) from error
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _number(self, tag: str) -> int:
        found = self._db.execute("SELECT id FROM tag WHERE name = ?", (tag,)).fetchone()
        return int(found[0]) if found else 0

    def _samples(
        self, tag: str, start_us: int, end_us: int, *, journal_from_us: int | None = None
    ) -> tuple[list[Sample], list[str]]:
        number, damaged = self._number(tag), []
        asked = "SELECT low, high, data FROM chunk WHERE tag = ? AND tier = 0 AND low < ? AND high >= ? ORDER BY id"
        found: list[Sample] = []
        for low, high, data in self._db.execute(asked, (number, end_us, start_us)):
            try:
                times, values, qualities = unpack(data)
            except ValueError as error:
                damaged.append(f"{tag}: samples from {low / SECOND:.0f} to {high / SECOND:.0f} are {error}")
                continue
            # a chunk is in order of time
            own = slice(bisect_left(times, start_us), bisect_left(times, end_us))
            found.extend(map(_MADE, zip(repeat(tag), times[own], values[own], qualities[own], strict=False)))
        found.extend(self._journal(number, tag, start_us if journal_from_us is None else journal_from_us, end_us))
        found.sort(key=_TIME)
        return found, damaged

    def _journal(self, number: int, tag: str, start_us: int, end_us: int) -> list[Sample]:
        asked = "SELECT data FROM journal WHERE bucket = ? AND low < ? AND high >= ? ORDER BY id"
        found: list[Sample] = []
        for (data,) in self._db.execute(asked, (number // folding.BUCKET, end_us, start_us)):
            numbers, times, values, qualities = folding.journal_columns(data)
            places = (at for at in folding.places(numbers, number) if start_us <= times[at] < end_us)
            found.extend(Sample(tag, times[at], values[at], qualities[at]) for at in places)
        return sorted(found, key=_TIME)

    def _left(self, tag: str, start_us: int, end_us: int) -> list[Window]:
        """Windows of the tiers whose start lies in the span."""
        asked = "SELECT data FROM chunk WHERE tag = ? AND tier > 0 AND low < ? AND high >= ?"
        packed = self._db.execute(asked, (self._number(tag), end_us, start_us)).fetchall()
        return [w for (data,) in packed for w in unpack_windows(data) if start_us <= w.start_us < end_us]


def _is_news(db: sqlite3.Connection, source: str, number: int) -> bool:
    found = db.execute("SELECT number FROM source WHERE name = ?", (source,)).fetchone()
    if found and found[0] >= number:
        return False
    db.execute("INSERT OR REPLACE INTO source VALUES (?, ?)", (source, number))
    return True


def _told(error: sqlite3.Error, path: Path) -> HistoryError:
    """The one place where SQLite's errors become ours."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return HistoryFullError(
            f"{path} has no more room: {error}", hint="Free some, keep less (retention.most_bytes), or use another disk"
        )
    return HistoryError(f"{path}: {error}", hint="Look at the disk; a damaged file is set aside at the next start")
