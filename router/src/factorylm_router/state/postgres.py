"""Several replicas, one PostgreSQL: a row lock per key makes admission one step for all of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from factorylm_router.errors import ConfigError
from factorylm_router.ledger import (
    COLUMNS,
    GROUPS,
    TEXT_COLUMNS,
    Admission,
    LedgerRow,
    Limits,
    Total,
    judge_admission,
    judge_rate,
    period_start_ms,
)

RESERVATION_MS = 15 * 60 * 1000
CONNECTIONS = 4
_COLUMN_SQL = ", ".join(f"{name} {'TEXT' if name in TEXT_COLUMNS else 'BIGINT'} NOT NULL" for name in COLUMNS)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS ledger ({_COLUMN_SQL}, PRIMARY KEY (attempt_id));
CREATE INDEX IF NOT EXISTS ledger_at ON ledger (at_ms);
CREATE INDEX IF NOT EXISTS ledger_request ON ledger (request_id);
CREATE INDEX IF NOT EXISTS ledger_key ON ledger (key, at_ms) INCLUDE (cost_micro);
CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, arrival DOUBLE PRECISION NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS reserved (request_id TEXT PRIMARY KEY, key TEXT NOT NULL, micro BIGINT NOT NULL,
  expires_ms BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS reserved_key ON reserved (key);
CREATE TABLE IF NOT EXISTS cache (digest TEXT PRIMARY KEY, value BYTEA NOT NULL, expires_ms BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS pins (session TEXT PRIMARY KEY, model TEXT NOT NULL, expires_ms BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS samples (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value BYTEA NOT NULL);
"""
_NAMES = ", ".join(COLUMNS)
_MARKS = ", ".join("%s" for _ in COLUMNS)
INSERT_ROW = f"INSERT INTO ledger ({_NAMES}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"  # noqa: S608 -- own names


class PostgresState:
    """`?schema=NAME` in the address puts the tables into a schema of their own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._schema = parse_qs(parts.query).get("schema", ["public"])[0]
        self._url = parts._replace(query="").geturl()
        self._free: asyncio.Queue[Any] = asyncio.Queue()
        self._connections: list[Any] = []

    async def open(self) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError(
                "server.state names PostgreSQL but its client is missing",
                hint="pip install 'factorylm-router[postgres]'",
            ) from error
        try:
            for _ in range(CONNECTIONS):
                self._free.put_nowait(await self._connected())
        except psycopg.Error as error:
            await self.close()
            where = urlsplit(self._url)
            raise ConfigError(
                f"no PostgreSQL at {where.hostname}:{where.port or 5432}",
                hint="start it or change server.state",
            ) from error
        await self._prepare()

    async def _connected(self) -> Any:
        """A connection that finds our tables, also after the server was away."""
        import psycopg

        found = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=5)
        schema = psycopg.sql.Identifier(self._schema)
        await found.execute(psycopg.sql.SQL("SET search_path TO {}").format(schema))
        self._connections = [*(c for c in self._connections if not c.closed), found]
        return found

    async def _prepare(self) -> None:
        from psycopg import sql

        schema = sql.Identifier(self._schema)
        # Replicas that start together must not trip over each other's CREATE TABLE.
        async with self._transaction() as db:
            await db.execute("SELECT pg_advisory_xact_lock(hashtext('factorylm-router'))")
            await db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
            await db.execute(SCHEMA)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        connection = await self._free.get()
        try:
            if connection.closed:
                connection = await self._connected()
            yield connection
        finally:
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async with self._connection() as connection, connection.transaction():
            yield connection

    async def _all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self._connection() as db:
            cursor = await db.execute(sql, values)
            return await cursor.fetchall()  # type: ignore[no-any-return]

    async def _run(self, sql: str, *values: Any) -> int:
        async with self._connection() as db:
            return int((await db.execute(sql, values)).rowcount)

    async def admit(self, key: str, limits: Limits, asked_micro: int, request_id: str, now_ms: int) -> Admission:
        if limits.budget_micro is None and limits.per_minute is None:
            return Admission(granted=True)
        async with self._transaction() as db:
            await db.execute("INSERT INTO keys (key) VALUES (%s) ON CONFLICT DO NOTHING", (key,))
            arrival = await _one(db, "SELECT arrival FROM keys WHERE key = %s FOR UPDATE", key)
            start = period_start_ms(limits.period, now_ms)
            spent = await _one(db, _SPENT, key, start)
            await db.execute("DELETE FROM reserved WHERE key = %s AND expires_ms <= %s", (key, now_ms))
            reserved = await _one(db, "SELECT COALESCE(SUM(micro), 0)::BIGINT FROM reserved WHERE key = %s", key)
            admission = judge_admission(limits, spent, reserved, asked_micro)
            if not admission.granted:
                return admission
            if limits.per_minute is not None:
                told, wait_ms = judge_rate(limits, arrival, now_ms)
                if wait_ms:
                    return Admission(granted=False, reason="rate", retry_after_s=wait_ms / 1000)
                await db.execute("UPDATE keys SET arrival = %s WHERE key = %s", (told, key))
            if limits.budget_micro is not None:
                values = (request_id, key, asked_micro, now_ms + RESERVATION_MS)
                await db.execute("INSERT INTO reserved VALUES (%s, %s, %s, %s)", values)
        return admission

    async def settle(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:  # noqa: ARG002
        async with self._transaction() as db:
            for row in rows:
                await db.execute(INSERT_ROW, row.as_tuple())
            await db.execute("DELETE FROM reserved WHERE request_id = %s", (request_id,))

    async def spent_micro(self, key: str, since_ms: int) -> int:
        return int((await self._all(_SPENT, key, since_ms))[0][0])

    async def rows(self, *, since_ms: int = 0, request_id: str | None = None, limit: int = 1000) -> list[LedgerRow]:
        found = await self._all(
            f"SELECT {_NAMES} FROM ledger "  # noqa: S608 -- our own column names
            "WHERE at_ms >= %s AND (%s::TEXT IS NULL OR request_id = %s) "
            "ORDER BY at_ms DESC, attempt_id COLLATE \"C\" DESC LIMIT %s",
            since_ms, request_id, request_id, limit,
        )  # fmt: skip
        return [LedgerRow(**dict(zip(COLUMNS, row, strict=True))) for row in found]

    async def totals(self, by: str, since_ms: int = 0, until_ms: int | None = None) -> list[Total]:
        assert by in GROUPS
        group = "to_char(to_timestamp(at_ms / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if by == "day" else by
        found = await self._all(
            f"SELECT {group}, COUNT(*), COUNT(DISTINCT request_id), "  # noqa: S608 -- one of GROUPS
            "SUM(in_tokens)::BIGINT, SUM(out_tokens)::BIGINT, SUM(cost_micro)::BIGINT, "
            "SUM(premium_micro)::BIGINT FROM ledger WHERE at_ms >= %s AND at_ms < %s "
            "GROUP BY 1 ORDER BY 6 DESC, 1",
            since_ms, until_ms if until_ms is not None else 1 << 62,
        )  # fmt: skip
        names = ("group", "attempts", "requests", "in_tokens", "out_tokens", "cost_micro", "premium_micro")
        return [Total(**dict(zip(names, row, strict=True))) for row in found]

    async def correct(self, attempt_id: str, cost_micro: int) -> bool:
        sql = "UPDATE ledger SET cost_micro = %s, cost_source = 'billed' WHERE attempt_id = %s"
        return await self._run(sql, cost_micro, attempt_id) > 0

    async def cache_get(self, digest: str, now_ms: int) -> bytes | None:
        found = await self._all("SELECT value FROM cache WHERE digest = %s AND expires_ms > %s", digest, now_ms)
        return bytes(found[0][0]) if found else None

    async def cache_put(self, digest: str, value: bytes, expires_ms: int) -> None:
        await self._run(
            "INSERT INTO cache VALUES (%s, %s, %s) ON CONFLICT (digest) "
            "DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms",
            digest, value, expires_ms,
        )  # fmt: skip

    async def pin_get(self, session: str, now_ms: int) -> str | None:
        found = await self._all("SELECT model FROM pins WHERE session = %s AND expires_ms > %s", session, now_ms)
        return str(found[0][0]) if found else None

    async def pin_put(self, session: str, model: str, expires_ms: int) -> None:
        await self._run(
            "INSERT INTO pins VALUES (%s, %s, %s) ON CONFLICT (session) "
            "DO UPDATE SET model = excluded.model, expires_ms = excluded.expires_ms",
            session, model, expires_ms,
        )  # fmt: skip

    async def sample_put(self, sample: dict[str, Any]) -> None:
        await self._run("INSERT INTO samples (value) VALUES (%s)", orjson.dumps(sample))

    async def samples(self, limit: int = 10_000) -> list[dict[str, Any]]:
        found = await self._all("SELECT value FROM samples ORDER BY id DESC LIMIT %s", limit)
        return [orjson.loads(bytes(value)) for (value,) in found]


_SPENT = "SELECT COALESCE(SUM(cost_micro), 0)::BIGINT FROM ledger WHERE key = %s AND at_ms >= %s"


def troubles() -> tuple[type[BaseException], ...]:
    """What it looks like when PostgreSQL is away."""
    try:
        from psycopg import Error
    except ImportError:
        return (OSError, TimeoutError)
    return (Error, OSError, TimeoutError)


async def _one(db: Any, sql: str, *values: Any) -> Any:
    return (await (await db.execute(sql, values)).fetchone())[0]
