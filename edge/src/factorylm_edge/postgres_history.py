"""The history in PostgreSQL: plain rows, for several gateways and for everybody who speaks SQL."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from factorylm_schema import AlarmEvent, MissingPartError, Value

from factorylm_edge.history import DAY_S, HistoryError, HistoryFullError, Kept, Retention, TagRecord, Trace
from factorylm_edge.sample import SECOND, Sample, microseconds
from factorylm_edge.windows import HELD_AT_MOST_US, Window, combined, regrouped, windows_of

if TYPE_CHECKING:
    import psycopg

# A number stands in `number`; what is not a plain float (whole, true/false, text) also stands exactly in `exact`.
_TABLES = """
CREATE TABLE IF NOT EXISTS tag (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
    unit text NOT NULL DEFAULT '', description text NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS sample (tag integer NOT NULL, time bigint NOT NULL, quality bigint NOT NULL,
    number double precision, exact text, id bigint GENERATED ALWAYS AS IDENTITY);
CREATE INDEX IF NOT EXISTS sample_tag_time ON sample (tag, time);
CREATE TABLE IF NOT EXISTS window_sum (tag integer NOT NULL, tier integer NOT NULL, start bigint NOT NULL,
    data jsonb NOT NULL);
CREATE INDEX IF NOT EXISTS window_sum_tag ON window_sum (tag, tier, start);
CREATE TABLE IF NOT EXISTS source (name text PRIMARY KEY, number bigint NOT NULL);
CREATE TABLE IF NOT EXISTS event (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, time bigint NOT NULL,
    name text UNIQUE, data text NOT NULL);
CREATE INDEX IF NOT EXISTS event_time ON event (time);
"""
_TABLES_LOCK = 0x464C4D01  # any number, the same for all gateways: tables are made by one at a time
_CLASS_NO_ROOM = "53"  # insufficient resources: disk full, out of memory, too many connections


@dataclass
class PostgresHistory:
    """One connection to a site's history (factorylm_edge.history: History)."""

    url: str
    _db: "psycopg.Connection[Any]" = field(init=False)
    _ids: dict[str, int] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._db = self._connected()
        with self._commit() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (_TABLES_LOCK,))
            db.execute(_TABLES)

    # -- writing ------------------------------------------------------------------------------

    def describe(self, tags: Sequence[TagRecord]) -> None:
        """Units and descriptions, for readers."""
        with self._commit() as db:
            for tag in tags:
                self._identify(db, tag.name)
                row = (tag.unit, tag.description, tag.name)
                db.execute("UPDATE tag SET unit = %s, description = %s WHERE name = %s", row)

    def append(self, samples: Sequence[Sample], *, source: str = "", number: int = 0) -> bool:
        """Keep the batch, whole or not at all."""
        with self._commit() as db:
            if source and not _is_news(db, source, number):
                return False
            rows = [(self._identify(db, s.tag), s.time_us, s.quality, *_columns(s.value)) for s in samples]
            with (
                db.cursor() as cursor,
                cursor.copy("COPY sample (tag, time, quality, number, exact) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(row)
        return True

    def append_events(self, events: Sequence[AlarmEvent]) -> None:
        """One with an `event_id` is kept once."""
        with self._commit() as db:
            for event in events:
                row = (microseconds(event.time), event.event_id or None, event.model_dump_json(exclude_defaults=True))
                db.execute("INSERT INTO event (time, name, data) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", row)

    def compact(self, *, everything: bool = False) -> int:  # noqa: ARG002 (rows stay rows here)
        """Nothing to do: the engine keeps its own house."""
        return 0

    def retain(self, retention: Retention, now_us: int) -> Kept:
        """Sum up what is old, drop what is too old; room is the database administrator's matter."""
        summed = 0
        with self._commit() as db:
            for number, name in db.execute("SELECT id, name FROM tag").fetchall():
                summed += self._sum_up(db, number, name, retention, now_us)
            before = now_us - int(retention.hour_days * DAY_S * SECOND)
            gone = db.execute("DELETE FROM window_sum WHERE tier = 3600 AND start < %s", (before,)).rowcount
            db.execute("DELETE FROM event WHERE time < %s", (before,))
        return Kept(summed_up=summed, dropped=gone)

    def close(self) -> None:
        """Let go."""
        with self._lock:
            self._db.close()

    # -- reading ------------------------------------------------------------------------------

    def read(self, tag: str, start_us: int, end_us: int, limit: int = 0) -> Trace:
        """Samples of a span."""
        asked = (
            "SELECT time, quality, number, exact FROM sample JOIN tag ON tag.id = sample.tag "
            "WHERE tag.name = %s AND time >= %s AND time < %s ORDER BY time, sample.id LIMIT %s"
        )
        with self._commit() as db:
            rows = db.execute(asked, (tag, start_us, end_us, limit + 1 if limit else None)).fetchall()
        samples = [_sample(tag, row) for row in rows]
        return Trace(samples=samples[:limit] if limit else samples, truncated=bool(limit) and len(samples) > limit)

    def windows(self, tag: str, start_us: int, end_us: int, width_us: int) -> list[Window]:
        """The span as windows: from samples, and from what is left of older ones."""
        samples = self.read(tag, start_us - HELD_AT_MOST_US, end_us).samples
        held = [sample for sample in samples if sample.time_us < start_us][-1:]
        own = [sample for sample in samples if sample.time_us >= start_us]
        asked = (
            "SELECT start, data FROM window_sum JOIN tag ON tag.id = window_sum.tag "
            "WHERE tag.name = %s AND start >= %s AND start < %s"
        )
        with self._commit() as db:
            left = [Window(start_us=at, **data) for at, data in db.execute(asked, (tag, start_us, end_us))]
        return regrouped([*left, *windows_of([*held, *own], start_us, end_us, width_us)], start_us, width_us)

    def latest(self, tag: str, before_us: int) -> Sample | None:
        """The last sample before a time."""
        asked = (
            "SELECT time, quality, number, exact FROM sample WHERE tag = (SELECT id FROM tag WHERE name = %s) "
            "AND time < %s ORDER BY time DESC, id DESC LIMIT 1"
        )
        with self._commit() as db:
            row = db.execute(asked, (tag, before_us)).fetchone()
        return _sample(tag, row) if row else None

    def span(self, tag: str) -> tuple[int, int] | None:
        """First and last time there is anything."""
        asked = (
            "SELECT min(low), max(high) FROM (SELECT min(time) low, max(time) high FROM sample WHERE tag = "
            "(SELECT id FROM tag WHERE name = %(tag)s) UNION ALL SELECT min(start), max(start) FROM window_sum "
            "WHERE tag = (SELECT id FROM tag WHERE name = %(tag)s)) ends"
        )
        with self._commit() as db:
            low, high = db.execute(asked, {"tag": tag}).fetchone() or (None, None)
        return None if low is None or high is None else (low, high)

    def tags(self) -> list[TagRecord]:
        """All tags, by name (letters by their number, as SQLite sorts)."""
        with self._commit() as db:
            rows = db.execute('SELECT name, unit, description FROM tag ORDER BY name COLLATE "C"').fetchall()
        return [TagRecord(name=name, unit=unit, description=about) for name, unit, about in rows]

    def events(self, start_us: int, end_us: int, limit: int) -> list[AlarmEvent]:
        """Alarm events in order of time."""
        asked = "SELECT data FROM event WHERE time >= %s AND time < %s ORDER BY time, id LIMIT %s"
        with self._commit() as db:
            rows = db.execute(asked, (start_us, end_us, limit)).fetchall()
        return [AlarmEvent.model_validate_json(data) for (data,) in rows]

    def used_bytes(self) -> int:
        """The tables with their indexes."""
        asked = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) name"
        with self._commit() as db:
            (size,) = db.execute(asked, (["tag", "sample", "window_sum", "event"],)).fetchone() or (0,)
        return int(size)

    # -- within -------------------------------------------------------------------------------

    def _connected(self) -> "psycopg.Connection[Any]":
        try:
            import psycopg
        except ImportError as error:
            raise MissingPartError(
                "the PostgreSQL client is not installed", hint="pip install 'factorylm-edge[postgresql]'"
            ) from error
        try:
            return psycopg.connect(self.url, autocommit=True, connect_timeout=5)
        except psycopg.Error as error:
            raise HistoryError(
                f"PostgreSQL: {str(error).strip()}", hint="Is the address right, and the server up?"
            ) from error

    @contextmanager
    def _commit(self) -> "Iterator[psycopg.Connection[Any]]":
        """One transaction; a connection that broke is made anew for the next one."""
        import psycopg

        with self._lock:
            if self._db.closed:
                self._db = self._connected()
            try:
                with self._db.transaction():
                    yield self._db
            except psycopg.Error as error:
                self._ids.clear()
                raise _told(error) from error

    def _identify(self, db: "psycopg.Connection[Any]", name: str) -> int:
        if name not in self._ids:
            db.execute("INSERT INTO tag (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
            (self._ids[name],) = db.execute("SELECT id FROM tag WHERE name = %s", (name,)).fetchone() or (0,)
        return self._ids[name]

    def _sum_up(self, db: "psycopg.Connection[Any]", number: int, name: str, retention: Retention, now_us: int) -> int:
        minute, hour = 60 * SECOND, 3600 * SECOND
        before = (now_us - int(retention.sample_days * DAY_S * SECOND)) // minute * minute
        asked = "DELETE FROM sample WHERE tag = %s AND time < %s RETURNING time, quality, number, exact, id"
        rows = sorted(db.execute(asked, (number, before)).fetchall(), key=lambda row: (row[0], row[4]))
        old = [_sample(name, row[:4]) for row in rows]
        if old:
            _put_windows(db, number, 60, windows_of(old, old[0].time_us // minute * minute, before, minute))
        before = (now_us - int(retention.minute_days * DAY_S * SECOND)) // hour * hour
        asked = "DELETE FROM window_sum WHERE tag = %s AND tier = 60 AND start < %s RETURNING start, data"
        minutes = [Window(start_us=at, **data) for at, data in db.execute(asked, (number, before)).fetchall()]
        if minutes:
            first = min(window.start_us for window in minutes) // hour * hour
            _put_windows(db, number, 3600, regrouped(minutes, first, hour))
        return len(old) + len(minutes)


def _is_news(db: "psycopg.Connection[Any]", source: str, number: int) -> bool:
    """One statement decides, so that two who bring the same batch at once cannot both win."""
    asked = (
        "INSERT INTO source VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET number = excluded.number "
        "WHERE source.number < excluded.number RETURNING number"
    )
    return db.execute(asked, (source, number)).fetchone() is not None


def _columns(value: Value | None) -> tuple[float | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, float):
        return value, None
    if isinstance(value, str):
        return None, json.dumps(value)
    return float(value), json.dumps(value)


def _sample(tag: str, row: tuple[Any, ...]) -> Sample:
    time_us, quality, number, exact = row
    return Sample(tag, time_us, number if exact is None else json.loads(exact), quality)


def _put_windows(db: "psycopg.Connection[Any]", tag: int, tier: int, windows: Sequence[Window]) -> None:
    for window in windows:
        whole = combined([window], window.start_us)
        data = {key: value for key, value in vars(whole).items() if key != "start_us"}
        db.execute("INSERT INTO window_sum VALUES (%s, %s, %s, %s)", (tag, tier, window.start_us, json.dumps(data)))


def _told(error: "psycopg.Error") -> HistoryError:
    if (error.sqlstate or "").startswith(_CLASS_NO_ROOM):
        return HistoryFullError(f"PostgreSQL has no room: {str(error).strip()}", hint="Free some, then it goes on")
    return HistoryError(f"PostgreSQL: {str(error).strip()}", hint="Look at the server's log; the batch is given again")
