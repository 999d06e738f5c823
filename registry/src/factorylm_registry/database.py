"""The little that SQLite and PostgreSQL do differently, so that the store is written once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = Sequence[Any]


class Database(Protocol):
    """One connection, used by one thread at a time. SQL is written with `?` for values."""

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """What a question answers."""
        ...

    def run(self, sql: str, *values: Any) -> None:
        """A change inside `writing`."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Holds the connection for a few questions."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """One transaction; no other writer, here or in another process, gets in between."""
        ...

    def search(self, texts: Sequence[str]) -> "Search":
        """What to select from and under which conditions, so that `words` contains all `texts` (lower case)."""
        ...

    def index_words(self, number: int, words: str) -> None:
        """Make a new version findable, where the table's own index does not."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """`tables` join `versions`; `order` is the entry's number in the table that leads."""

    tables: str = "versions"
    order: str = "number"
    conditions: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)


TABLES = """
CREATE TABLE IF NOT EXISTS versions(
  number BIGINT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL,
  namespace TEXT NOT NULL, name_skeleton TEXT NOT NULL, namespace_skeleton TEXT NOT NULL,
  status TEXT NOT NULL, status_message TEXT NOT NULL, status_changed_at TEXT NOT NULL,
  published_at TEXT NOT NULL, updated_at TEXT NOT NULL, is_latest INTEGER NOT NULL,
  server TEXT NOT NULL, ours TEXT NOT NULL, words TEXT NOT NULL, UNIQUE(name, version));
CREATE INDEX IF NOT EXISTS versions_latest ON versions(number) WHERE is_latest = 1;
CREATE INDEX IF NOT EXISTS versions_of_a_name ON versions(name, number);
CREATE INDEX IF NOT EXISTS versions_updated ON versions(updated_at);
CREATE INDEX IF NOT EXISTS versions_name_skeleton ON versions(name_skeleton);
CREATE INDEX IF NOT EXISTS versions_namespace_skeleton ON versions(namespace_skeleton);
CREATE TABLE IF NOT EXISTS log_entries(
  position BIGINT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, entry TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS log_entries_of_a_version ON log_entries(name, version);
CREATE TABLE IF NOT EXISTS log_nodes(
  level INTEGER NOT NULL, position BIGINT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY(level, position));
CREATE TABLE IF NOT EXISTS spent(permit TEXT PRIMARY KEY, until TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS keys(
  namespace TEXT NOT NULL, holder TEXT NOT NULL, role TEXT NOT NULL, since TEXT NOT NULL, until TEXT NOT NULL,
  PRIMARY KEY(namespace, holder));
CREATE TABLE IF NOT EXISTS revoked(name TEXT NOT NULL, licence TEXT NOT NULL, PRIMARY KEY(name, licence));
CREATE TABLE IF NOT EXISTS usage_events(
  source TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL, count BIGINT NOT NULL,
  time TEXT NOT NULL, PRIMARY KEY(source, id));
CREATE INDEX IF NOT EXISTS usage_of_a_name ON usage_events(name)
"""
