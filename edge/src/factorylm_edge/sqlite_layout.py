"""The tables of a history file, and opening it: one writer, any number of readers."""

import os
import sqlite3
import uuid
from pathlib import Path

from factorylm_edge.history import HistoryError

FILE_NAME = "history.db"
LAYOUT = "1"

# journal: what was just collected, one row per batch and bucket of neighbouring tags, so that a batch of ten thousand
# values is some eighty rows, and one tag's newest values are found without unpacking everybody's.
# chunk: one tag's samples (tier 0) or windows (tier 60, 3600: their width in seconds), packed.
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL DEFAULT '',
                  description TEXT NOT NULL DEFAULT '');
CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, bucket INTEGER NOT NULL, low INTEGER NOT NULL,
                      high INTEGER NOT NULL, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX journal_bucket ON journal (bucket);
CREATE TABLE chunk (id INTEGER PRIMARY KEY, tag INTEGER NOT NULL, tier INTEGER NOT NULL, low INTEGER NOT NULL,
                    high INTEGER NOT NULL, count INTEGER NOT NULL, small INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX chunk_tag ON chunk (tag, tier, low, high);
CREATE INDEX chunk_small ON chunk (tag) WHERE small;
CREATE INDEX chunk_high ON chunk (high);
CREATE TABLE source (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE event (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, name TEXT UNIQUE, data TEXT NOT NULL);
CREATE INDEX event_time ON event (time);
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE target (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""


def open_writer(path: Path, most_pages: int = 0) -> sqlite3.Connection:
    """The file, made where there is none; raises HistoryError where it cannot be ours.

    A commit is on the disk before it returns (`synchronous=FULL`): acknowledged means kept, also without power.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16000")
        if most_pages:
            connection.execute(f"PRAGMA max_page_count={int(most_pages)}")
        _make(connection)
    except (OSError, sqlite3.OperationalError) as error:
        raise HistoryError(f"{path} cannot be written: {error}", hint=_why(path)) from error
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """For reading beside a writer, in this process or another."""
    if not path.is_file():
        raise HistoryError(f"there is no history at {path}", hint="factorylm-edge run --plant FILE collects one")
    try:
        connection = sqlite3.connect(_read_only(path), uri=True, isolation_level=None, timeout=5)
        connection.execute("PRAGMA query_only=1")
        _check_layout(connection, path)
    except sqlite3.Error as error:
        raise HistoryError(f"{path} cannot be read: {error}", hint="Is it a history of factorylm-edge?") from error
    return connection


def gateway_id(connection: sqlite3.Connection) -> str:
    """Made with the file: a gateway that begins anew counts anew, under another name."""
    (found,) = connection.execute("SELECT value FROM meta WHERE key = 'gateway'").fetchone()
    return str(found)


def _read_only(path: Path) -> str:
    """Where nothing can be written and nobody writes, SQLite has to be told so: its index of the log has no place.

    https://sqlite.org/wal.html#read_only_databases
    """
    frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if frozen else ''}"


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            rows = [("layout", LAYOUT), ("gateway", uuid.uuid4().hex[:12])]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    finally:
        connection.execute("COMMIT")
    _check_layout(connection, Path(connection.execute("PRAGMA database_list").fetchone()[2]))


def _check_layout(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("SELECT value FROM meta WHERE key = 'layout'").fetchone()
    if found != (LAYOUT,):
        raise HistoryError(
            f"{path} has layout {found and found[0]}, this version reads {LAYOUT}", hint="Use the version that made it"
        )


def _why(path: Path) -> str:
    folder = path.parent
    if folder.exists() and not os.access(folder, os.W_OK):
        return f"{folder} is read-only for this user: choose another --data"
    return "Look at the disk's room and health, or choose another --data"
