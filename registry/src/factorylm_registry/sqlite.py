"""SQLite: one file, full-text search by trigrams (FTS5), safe against power cuts (WAL, synchronous)."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factorylm_registry.database import TABLES, Row, Search
from factorylm_registry.refusals import RefusedError

_WORDS = "CREATE VIRTUAL TABLE IF NOT EXISTS version_words USING fts5(words, tokenize='trigram', content='')"
_SHORTEST_FOR_TRIGRAMS = 3


def connect_sqlite(path: str) -> "Sqlite":
    """Open or make the file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    for statement in [*TABLES.split(";"), _WORDS]:
        connection.execute(statement)
    return Sqlite(connection)


@dataclass(frozen=True)
class Sqlite:
    """One connection behind a lock: a question takes microseconds, a queue costs less than a pool."""

    connection: sqlite3.Connection
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        return self.connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql, values)

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._lock:
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._lock:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self.connection.execute("COMMIT")
                except BaseException:
                    # a full disk may have rolled back by itself
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
                    raise
            except sqlite3.OperationalError as error:
                hint = "Nothing was changed; free space or correct the file's rights and try again"
                raise RefusedError(f"the registry's database cannot be written: {error}", hint=hint) from error

    def search(self, texts: Sequence[str]) -> Search:
        """Trigrams lead and stream in order, so that a page of a frequent word costs a page."""
        long = ['"' + text.replace('"', '""') + '"' for text in texts if len(text) >= _SHORTEST_FOR_TRIGRAMS]
        short = [text for text in texts if len(text) < _SHORTEST_FOR_TRIGRAMS]
        conditions = ["instr(versions.words, ?) > 0" for _ in short]
        if not long:
            return Search(conditions=conditions, values=short)
        return Search(
            tables="version_words CROSS JOIN versions ON versions.number = version_words.rowid",
            order="version_words.rowid",
            conditions=["version_words MATCH ?", *conditions],
            values=[" AND ".join(long), *short],
        )

    def index_words(self, number: int, words: str) -> None:
        self.run("INSERT INTO version_words(rowid, words) VALUES(?, ?)", number, words)

    def close(self) -> None:
        self.connection.close()
