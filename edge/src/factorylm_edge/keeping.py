"""Retention of a history file: old samples become one-minute windows, those one-hour windows; then they go."""

import sqlite3

from factorylm_edge.history import DAY_S, Retention
from factorylm_edge.pack import unpack
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.windows import Window, pack_windows, regrouped, unpack_windows, windows_of

MINUTE_S, HOUR_S = 60, 3600
_MOST_WINDOWS = 4096
_PART_DROPPED = 20  # when there is no room, a twentieth goes at a time


def used_bytes(db: sqlite3.Connection) -> int:
    """Pages that hold something."""
    told = ("page_count", "freelist_count", "page_size")
    pages, free, size = (int(db.execute(f"PRAGMA {what}").fetchone()[0]) for what in told)
    return (pages - free) * size


def due_tags(db: sqlite3.Connection, retention: Retention, now_us: int) -> list[int]:
    """The tags that have a chunk old enough, as a whole, to be summed up."""
    asked = "SELECT DISTINCT tag FROM chunk WHERE (tier = 0 AND high < ?) OR (tier = ? AND high < ?)"
    cuts = (_cut(now_us, retention.sample_days, MINUTE_S), MINUTE_S, _cut(now_us, retention.minute_days, HOUR_S))
    return [tag for (tag,) in db.execute(asked, cuts)]


def sum_up(db: sqlite3.Connection, tag: int, retention: Retention, now_us: int) -> int:
    """One tag's old samples and windows as wider ones; returns how many were summed up."""
    minutes_before = _cut(now_us, retention.sample_days, MINUTE_S)
    hours_before = _cut(now_us, retention.minute_days, HOUR_S)
    return _samples_to_minutes(db, tag, minutes_before) + _minutes_to_hours(db, tag, hours_before)


def drop_old(db: sqlite3.Connection, retention: Retention, now_us: int) -> int:
    """Windows beyond the last tier, and events as old."""
    before = _cut(now_us, retention.hour_days, HOUR_S)
    gone = db.execute("DELETE FROM chunk WHERE tier = ? AND high < ?", (HOUR_S, before)).rowcount
    db.execute("DELETE FROM event WHERE time < ?", (before,))
    return gone


def drop_oldest(db: sqlite3.Connection) -> int:
    """A twentieth of all chunks, those that end first; returns how many values that were."""
    (chunks,) = db.execute("SELECT count(*) FROM chunk").fetchone()
    asked = "SELECT id, count FROM chunk ORDER BY high LIMIT ?"
    oldest = db.execute(asked, (max(1, chunks // _PART_DROPPED),)).fetchall()
    db.executemany("DELETE FROM chunk WHERE id = ?", [(chunk,) for chunk, _ in oldest])
    return sum(count for _, count in oldest)


def _cut(now_us: int, days: float, width_s: int) -> int:
    """The time before which a tier ends, at the edge of a window."""
    width_us = width_s * SECOND
    return (now_us - int(days * DAY_S * SECOND)) // width_us * width_us


def _samples_to_minutes(db: sqlite3.Connection, tag: int, before_us: int) -> int:
    asked = "SELECT id, data FROM chunk WHERE tag = ? AND tier = 0 AND high < ?"
    old: list[Sample] = []
    for chunk, data in db.execute(asked, (tag, before_us)).fetchall():
        try:
            columns = unpack(data)
        except ValueError:
            continue  # a damaged chunk is left to be reported by whoever reads it
        old.extend(Sample("", time_us, value, quality) for time_us, value, quality in zip(*columns, strict=True))
        db.execute("DELETE FROM chunk WHERE id = ?", (chunk,))
    if old:
        old.sort(key=lambda sample: sample.time_us)
        width_us = MINUTE_S * SECOND
        _put_windows(db, tag, MINUTE_S, windows_of(old, old[0].time_us // width_us * width_us, before_us, width_us))
    return len(old)


def _minutes_to_hours(db: sqlite3.Connection, tag: int, before_us: int) -> int:
    asked = "SELECT id, data FROM chunk WHERE tag = ? AND tier = ? AND high < ?"
    old: list[Window] = []
    for chunk, data in db.execute(asked, (tag, MINUTE_S, before_us)).fetchall():
        old.extend(unpack_windows(data))
        db.execute("DELETE FROM chunk WHERE id = ?", (chunk,))
    if old:
        width_us = HOUR_S * SECOND
        first = min(window.start_us for window in old) // width_us * width_us
        _put_windows(db, tag, HOUR_S, regrouped(old, first, width_us))
    return len(old)


def _put_windows(db: sqlite3.Connection, tag: int, tier: int, windows: list[Window]) -> None:
    ordered = sorted(windows, key=lambda window: window.start_us)
    for at in range(0, len(ordered), _MOST_WINDOWS):
        part = ordered[at : at + _MOST_WINDOWS]
        row = (tag, tier, part[0].start_us, part[-1].start_us, len(part), pack_windows(part))
        db.execute("INSERT INTO chunk (tag, tier, low, high, count, small, data) VALUES (?, ?, ?, ?, ?, 0, ?)", row)
