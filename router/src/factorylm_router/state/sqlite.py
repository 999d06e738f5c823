"""One process, one file: counters in memory, rows to disk by one writer thread."""

import asyncio
import sqlite3
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import orjson

from factorylm_router.errors import StateAwayError
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

T = TypeVar("T")

_COLUMN_SQL = ", ".join(f"{name} {'TEXT' if name in TEXT_COLUMNS else 'INTEGER'} NOT NULL" for name in COLUMNS)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS ledger ({_COLUMN_SQL}, PRIMARY KEY (attempt_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_at ON ledger (at_ms);
CREATE TABLE IF NOT EXISTS cache (digest TEXT PRIMARY KEY, value BLOB NOT NULL, expires_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pins (session TEXT PRIMARY KEY, model TEXT NOT NULL, expires_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS samples (id INTEGER PRIMARY KEY AUTOINCREMENT, value BLOB NOT NULL);
"""
_MARKS = f"({', '.join('?' for _ in COLUMNS)})"
INSERT_ROW = f"INSERT OR IGNORE INTO ledger ({', '.join(COLUMNS)}) VALUES {_MARKS}"  # noqa: S608 -- our own column names
# SQLite works on one statement without Python's lock. Row by row it would ask for that lock back after each
# one and slow the thread that serves: measured, a third of all CPU.
MANY = 64
INSERT_MANY = f"{INSERT_ROW}{f', {_MARKS}' * (MANY - 1)}"
SELECT_ROWS = f"SELECT {', '.join(COLUMNS)} FROM ledger"  # noqa: S608 -- our own column names
REST_S = 0.1
RETRY_S = 0.5
REMEMBERED_REQUESTS = 10_000


class SqliteState:
    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self._spent: dict[tuple[str, int], int] = {}
        self._reserved: dict[str, dict[str, int]] = {}
        self._arrivals: dict[str, float] = {}
        self._pins: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._booked: OrderedDict[str, None] = OrderedDict()
        self._writer = Writer(self.path)

    async def open(self) -> None:
        await asyncio.to_thread(self._writer.start)

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.stop)

    async def admit(self, key: str, limits: Limits, asked_micro: int, request_id: str, now_ms: int) -> Admission:
        if limits.budget_micro is None and limits.per_minute is None:
            return Admission(granted=True)
        start = period_start_ms(limits.period, now_ms)
        spent = await self._spent_since(key, start)
        reserved = self._reserved.setdefault(key, {})
        admission = judge_admission(limits, spent, sum(reserved.values()), asked_micro)
        if not admission.granted:
            return admission
        if limits.per_minute is not None:
            arrival, wait_ms = judge_rate(limits, self._arrivals.get(key, 0.0), now_ms)
            if wait_ms:
                return Admission(granted=False, reason="rate", retry_after_s=wait_ms / 1000)
            self._arrivals[key] = arrival
        if limits.budget_micro is not None:
            reserved[request_id] = asked_micro
        return admission

    async def _spent_since(self, key: str, start_ms: int) -> int:
        """Read once per key and period, counted in memory from then on."""
        if (key, start_ms) not in self._spent:
            await self.flush()
            read = await self._ask(lambda db: _spent(db, key, start_ms))
            self._spent.setdefault((key, start_ms), read)
        return self._spent[key, start_ms]

    async def settle(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:
        self.settle_at_once(key, request_id, rows)

    def settle_at_once(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:
        if key in self._reserved:
            self._reserved[key].pop(request_id, None)
        for row in rows:
            if row.attempt_id not in self._booked:
                self._count(row)
                self._writer.put(INSERT_ROW, row.as_tuple())

    def _count(self, row: LedgerRow) -> None:
        self._booked[row.attempt_id] = None
        if len(self._booked) > REMEMBERED_REQUESTS:
            self._booked.popitem(last=False)
        if row.cost_micro:
            for (key, start_ms), spent in self._spent.items():
                if key == row.key and row.at_ms >= start_ms:
                    self._spent[key, start_ms] = spent + row.cost_micro

    async def spent_micro(self, key: str, since_ms: int) -> int:
        await self.flush()
        return await self._ask(lambda db: _spent(db, key, since_ms))

    async def rows(self, *, since_ms: int = 0, request_id: str | None = None, limit: int = 1000) -> list[LedgerRow]:
        await self.flush()
        return await self._ask(lambda db: _rows(db, since_ms, request_id, limit))

    async def totals(self, by: str, since_ms: int = 0, until_ms: int | None = None) -> list[Total]:
        await self.flush()
        return await self._ask(lambda db: _totals(db, by, since_ms, until_ms))

    async def correct(self, attempt_id: str, cost_micro: int) -> bool:
        await self.flush()
        found = await self._ask(lambda db: _corrected(db, attempt_id, cost_micro))
        self._spent.clear()  # read again from the corrected rows
        return found

    async def cache_get(self, digest: str, now_ms: int) -> bytes | None:
        sql = "SELECT value FROM cache WHERE digest = ? AND expires_ms > ?"
        found = await self._ask(lambda db: db.execute(sql, (digest, now_ms)).fetchone())
        return bytes(found[0]) if found else None

    async def cache_put(self, digest: str, value: bytes, expires_ms: int) -> None:
        self._writer.put("INSERT OR REPLACE INTO cache VALUES (?, ?, ?)", (digest, value, expires_ms))

    async def pin_get(self, session: str, now_ms: int) -> str | None:
        pin = self._pins.get(session)
        if pin is None:
            sql = "SELECT model, expires_ms FROM pins WHERE session = ?"
            pin = await self._ask(lambda db: db.execute(sql, (session,)).fetchone())
        return pin[0] if pin and pin[1] > now_ms else None

    async def pin_put(self, session: str, model: str, expires_ms: int) -> None:
        self._pins[session] = (model, expires_ms)
        if len(self._pins) > REMEMBERED_REQUESTS:
            self._pins.popitem(last=False)
        self._writer.put("INSERT OR REPLACE INTO pins VALUES (?, ?, ?)", (session, model, expires_ms))

    async def sample_put(self, sample: dict[str, Any]) -> None:
        self._writer.put("INSERT INTO samples (value) VALUES (?)", (orjson.dumps(sample),))

    async def samples(self, limit: int = 10_000) -> list[dict[str, Any]]:
        await self.flush()
        sql = "SELECT value FROM samples ORDER BY id DESC LIMIT ?"
        found = await self._ask(lambda db: db.execute(sql, (limit,)).fetchall())
        return [orjson.loads(value) for (value,) in found]

    async def flush(self) -> None:
        """Returns when everything put so far is on disk, or when the disk does not take it."""
        await asyncio.to_thread(self._writer.drain)

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        def asked() -> T:
            try:
                with closing(_connected(self.path)) as db, db:
                    return question(db)
            except sqlite3.Error as error:
                raise StateAwayError(f"cannot read {self.path}: {error}") from error

        return await asyncio.to_thread(asked)

    @property
    def backlog(self) -> int:
        """Writes that the disk has not taken yet."""
        return self._writer.backlog


class Writer:
    """One thread that owns all writes. A full or broken disk delays it; it never stops traffic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        self._todo: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._hurry = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def backlog(self) -> int:
        return len(self._todo)

    def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(_connected(self.path)) as db:
            db.executescript(SCHEMA)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def put(self, sql: str, values: tuple[Any, ...]) -> None:
        self._todo.append((sql, values))
        self._idle.clear()
        if not self._wake.is_set():
            self._wake.set()

    def drain(self, timeout_s: float = 10.0) -> None:
        if self._todo or not self._idle.is_set():
            self._hurry.set()
            self._wake.set()
            self._idle.wait(timeout_s if self._thread and self._thread.is_alive() else 0)
            self._hurry.clear()

    def stop(self) -> None:
        self._stopping = True
        self._hurry.set()
        self._wake.set()
        if self._thread:
            self._thread.join(10.0)

    def _run(self) -> None:
        with closing(_connected(self.path)) as db:
            while True:
                if not self._todo:
                    self._idle.set()
                    if self._stopping:
                        return
                    self._wake.wait()
                self._wake.clear()
                if not self._written(db) and self._stopping:
                    return
                if not self._stopping:
                    # A short rest gathers rows: one commit for many requests. Somebody waiting for the disk
                    # ends it.
                    self._hurry.wait(RETRY_S if self.trouble else REST_S)

    def _written(self, db: sqlite3.Connection) -> bool:
        batch = [self._todo[number] for number in range(min(len(self._todo), 2000))]
        try:
            with db:
                for sql, values in _grouped(batch):
                    _insert(db, sql, values)
        except sqlite3.Error as error:
            self.trouble = str(error)
            self._wake.set()
            return False
        self.trouble = ""
        for _ in batch:
            self._todo.popleft()
        if self._todo:
            self._wake.set()
        return True


def _insert(db: sqlite3.Connection, sql: str, values: list[tuple[Any, ...]]) -> None:
    whole = len(values) - len(values) % MANY if sql is INSERT_ROW else 0
    for start in range(0, whole, MANY):
        db.execute(INSERT_MANY, [value for row in values[start : start + MANY] for value in row])
    db.executemany(sql, values[whole:])


def _grouped(batch: list[tuple[str, tuple[Any, ...]]]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    groups: dict[str, list[tuple[Any, ...]]] = {}
    for sql, values in batch:
        groups.setdefault(sql, []).append(values)
    return list(groups.items())


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def _spent(db: sqlite3.Connection, key: str, since_ms: int) -> int:
    sql = "SELECT COALESCE(SUM(cost_micro), 0) FROM ledger WHERE key = ? AND at_ms >= ?"
    return int(db.execute(sql, (key, since_ms)).fetchone()[0])


def _rows(db: sqlite3.Connection, since_ms: int, request_id: str | None, limit: int) -> list[LedgerRow]:
    where, values = "WHERE at_ms >= ?", [since_ms]
    arguments: list[Any] = list(values)
    if request_id is not None:
        # attempt_id begins with request_id and '-', and it is the primary key: no index of its own for
        # request_id.
        where += " AND request_id = ? AND attempt_id > ? AND attempt_id < ?"
        arguments += [request_id, f"{request_id}-", f"{request_id}."]
    sql = f"{SELECT_ROWS} {where} ORDER BY at_ms DESC, attempt_id DESC LIMIT ?"
    found = db.execute(sql, (*arguments, limit)).fetchall()
    return [LedgerRow(**dict(zip(COLUMNS, row, strict=True))) for row in found]


def _totals(db: sqlite3.Connection, by: str, since_ms: int, until_ms: int | None) -> list[Total]:
    assert by in GROUPS
    group = "strftime('%Y-%m-%d', at_ms / 1000, 'unixepoch')" if by == "day" else by
    sql = f"""SELECT {group}, COUNT(*), COUNT(DISTINCT request_id), SUM(in_tokens), SUM(out_tokens),
        SUM(cost_micro), SUM(premium_micro) FROM ledger WHERE at_ms >= ? AND at_ms < ?
        GROUP BY 1 ORDER BY 6 DESC, 1"""  # noqa: S608 -- one of GROUPS
    found = db.execute(sql, (since_ms, until_ms if until_ms is not None else 1 << 62)).fetchall()
    names = ("group", "attempts", "requests", "in_tokens", "out_tokens", "cost_micro", "premium_micro")
    return [Total(**dict(zip(names, row, strict=True))) for row in found]


def _corrected(db: sqlite3.Connection, attempt_id: str, cost_micro: int) -> bool:
    sql = "UPDATE ledger SET cost_micro = ?, cost_source = 'billed' WHERE attempt_id = ?"
    return db.execute(sql, (cost_micro, attempt_id)).rowcount > 0
