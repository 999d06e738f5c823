"""PostgreSQL: the same tables; substring search by pg_trgm where the database has it."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from factorylm_schema import MissingPartError

from factorylm_registry.database import TABLES, Row, Search
from factorylm_registry.refusals import RefusedError

# Any number that other users of the database do not use: the registry's one writer at a time
_WRITER = 7_310_115


def connect_postgresql(address: str) -> "Postgresql":
    """Open the database and make what is missing; `?schema=NAME` keeps to a schema of its own."""
    try:
        import psycopg
    except ImportError as error:
        hint = "Install factorylm-registry[postgresql]"
        raise MissingPartError("PostgreSQL needs psycopg", hint=hint) from error
    address, schema = _without_schema(address)
    try:
        connection = psycopg.connect(address, autocommit=True, options=f"-c search_path={schema},public")
    except psycopg.OperationalError as error:
        raise RefusedError(f"the registry's database does not answer: {error}", hint="Is it running?") from error
    database = Postgresql(connection)
    with database.writing():
        database.run(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        for statement in TABLES.split(";"):
            database.run(statement)
    _make_trigrams(database)
    return database


def _make_trigrams(database: "Postgresql") -> None:
    """Faster search; a database that does not offer the extension searches without it."""
    import psycopg

    try:
        with database.writing():
            database.run("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
            database.run("CREATE INDEX IF NOT EXISTS versions_words ON versions USING gin(words gin_trgm_ops)")
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
        return


def _without_schema(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    given = dict(parse_qsl(parts.query))
    schema = given.pop("schema", "factorylm_registry")
    if not schema.isidentifier() or not schema.isascii():
        raise RefusedError(f"{schema!r} is not a schema's name", hint="Use letters, digits and _")
    return urlunsplit(parts._replace(query=urlencode(given))), schema.lower()


@dataclass(frozen=True)
class Postgresql:
    """One connection behind a lock; several processes may serve one database."""

    connection: Any
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def rows(self, sql: str, *values: Any) -> list[Row]:
        rows: list[Row] = self.connection.execute(sql.replace("?", "%s"), values).fetchall()
        return rows

    def run(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql.replace("?", "%s"), values)

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._lock:
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._lock, self.connection.transaction():
            self.connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITER,))
            yield

    def search(self, texts: Sequence[str]) -> Search:
        patterns = ["%" + re.sub(r"([%_\\])", r"\\\1", text) + "%" for text in texts]
        return Search(conditions=["words LIKE ?" for _ in patterns], values=patterns)

    def index_words(self, number: int, words: str) -> None:
        """The table's own index has them."""

    def close(self) -> None:
        self.connection.close()
