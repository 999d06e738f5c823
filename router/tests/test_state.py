"""One suite for every engine that keeps the router's state."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from factorylm_router.errors import ConfigError
from factorylm_router.ledger import LedgerRow, Limits
from factorylm_router.state import open_state

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000_000  # 2027-01-15T08:00Z
DAY = 86_400_000
SERVERS_REQUIRED = bool(os.environ.get("CI") or os.environ.get("FACTORYLM_REQUIRE_SERVERS"))
REDIS = os.environ.get("FACTORYLM_TEST_REDIS", "redis://127.0.0.1:6379/0")
PORTS = {"redis": "6379:6379 redis", "postgres": "5432:5432 postgres"}
POSTGRES = os.environ.get("FACTORYLM_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")


def missing(engine: str, error: ConfigError) -> None:
    if SERVERS_REQUIRED:
        pytest.fail(f"{engine} must be there: {error}")
    pytest.skip(f"{error}; start it with: docker run -p {PORTS[engine]}")


@pytest.fixture(params=["sqlite", "redis", "postgres"])
async def state(request: Any, tmp_path: Path) -> AsyncIterator[Any]:
    name = f"flm_test_{secrets.token_hex(4)}"
    urls = {
        "sqlite": f"sqlite:{tmp_path / 'state.db'}",
        "redis": f"{REDIS}?prefix={name}",
        "postgres": f"{POSTGRES}?schema={name}",
    }
    engine = open_state(urls[request.param], tmp_path / "spool")
    try:
        await engine.open()
    except ConfigError as error:
        missing(request.param, error)
    yield engine
    if request.param == "redis":
        await engine.engine.forget_everything()
    await engine.close()
    if request.param == "postgres":
        await drop_schema(name)


async def drop_schema(name: str) -> None:
    import psycopg

    async with await psycopg.AsyncConnection.connect(POSTGRES, autocommit=True) as db:
        await db.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(psycopg.sql.Identifier(name)))


def row(number: int, **more: Any) -> LedgerRow:
    request = more.pop("request_id", f"r{number}")
    told = {
        "attempt_id": f"{request}-{number}",
        "request_id": request,
        "at_ms": NOW + number,
        "key": "ops",
        **more,
    }
    return LedgerRow(**{"cost_micro": 100, "model": "cheap", "in_tokens": 10, "out_tokens": 5, **told})


async def test_a_row_comes_back_as_it_was_booked(state: Any):
    booked = row(1, plant="Pump station 3", why="cheap answers agree", premium_micro=2000, trouble="429", first_ms=12)
    await state.settle("ops", "r1", [booked])
    assert await state.rows() == [booked]


async def test_an_attempt_told_twice_is_booked_once(state: Any):
    await state.settle("ops", "r1", [row(1)])
    await state.settle("ops", "r1", [row(1), row(2, request_id="r1")])
    assert await state.spent_micro("ops", 0) == 200
    assert len(await state.rows(request_id="r1")) == 2


async def test_rows_come_newest_first_and_no_more_than_asked(state: Any):
    await state.settle("ops", "x", [row(n) for n in range(1, 8)])
    assert [r.request_id for r in await state.rows(limit=3)] == ["r7", "r6", "r5"]
    assert [r.request_id for r in await state.rows(since_ms=NOW + 6)] == ["r7", "r6"]


async def test_a_budget_counts_what_is_spent_and_what_is_under_way(state: Any):
    limits = Limits(budget_micro=1000, soft_micro=300, period="day")
    first = await state.admit("ops", limits, 600, "r1", NOW)
    second = await state.admit("ops", limits, 600, "r2", NOW)
    await state.settle("ops", "r1", [row(1, cost_micro=350)])
    third = await state.admit("ops", limits, 600, "r3", NOW)
    assert (first.granted, first.left_micro, first.soft_warning) == (True, 1000, False)
    assert (second.granted, second.reason, second.left_micro) == (False, "budget", 400)
    assert (third.granted, third.left_micro, third.soft_warning) == (True, 650, True)


async def test_fifty_requests_at_once_never_pass_the_budget(state: Any):
    limits = Limits(budget_micro=1000, period="total")
    asked = [state.admit("ops", limits, 100, f"r{n}", NOW) for n in range(50)]
    granted = [admission.granted for admission in await asyncio.gather(*asked)]
    assert granted.count(True) == 10


async def test_a_new_period_starts_with_an_unspent_budget(state: Any):
    limits = Limits(budget_micro=1000, period="day")
    await state.settle("ops", "r1", [row(1, cost_micro=1000)])
    assert not (await state.admit("ops", limits, 1, "r2", NOW + 1000)).granted
    assert (await state.admit("ops", limits, 1, "r3", NOW + DAY)).granted


async def test_keys_do_not_spend_each_others_budget(state: Any):
    limits = Limits(budget_micro=1000, period="month")
    await state.settle("ops", "r1", [row(1, cost_micro=1000)])
    assert (await state.admit("lab", limits, 1000, "r2", NOW)).granted


async def test_a_rate_lets_a_burst_through_and_then_makes_wait(state: Any):
    limits = Limits(per_minute=60)
    admissions = [await state.admit("ops", limits, 0, f"r{n}", NOW) for n in range(12)]
    granted = [admission.granted for admission in admissions]
    assert granted == [True] * 10 + [False] * 2
    assert admissions[-1].reason == "rate"
    assert admissions[-1].retry_after_s == pytest.approx(1.0)
    assert (await state.admit("ops", limits, 0, "later", NOW + 1000)).granted


async def test_a_correction_replaces_an_estimate_in_rows_totals_and_budget(state: Any):
    limits = Limits(budget_micro=1000, period="total")
    await state.settle("ops", "r1", [row(1, cost_micro=1000, cost_source="estimated")])
    assert not (await state.admit("ops", limits, 1, "r2", NOW)).granted
    assert await state.correct("r1-1", 400)
    assert not await state.correct("nobody-1", 400)
    assert (await state.rows())[0].cost_source == "billed"
    assert (await state.totals("key"))[0].cost_micro == 400
    assert (await state.admit("ops", limits, 600, "r3", NOW)).granted


async def test_totals_sum_by_model_and_by_day(state: Any):
    late = row(3, at_ms=NOW + DAY, model="premium", cost_micro=900, premium_micro=900)
    await state.settle("ops", "r1", [row(1), row(2, request_id="r1"), late])
    by_model = await state.totals("model")
    assert [(t.group, t.attempts, t.requests, t.cost_micro, t.in_tokens) for t in by_model] == [
        ("premium", 1, 1, 900, 10),
        ("cheap", 2, 1, 200, 20),
    ]
    assert [t.group for t in await state.totals("day")] == ["2027-01-16", "2027-01-15"]
    assert [t.group for t in await state.totals("day", until_ms=NOW + DAY)] == ["2027-01-15"]


async def test_cached_answers_and_pins_expire(state: Any):
    await state.cache_put("digest", b"cheap\n{}", NOW + 1000)
    await state.pin_put("session", "premium", NOW + 1000)
    await state.rows()
    assert await state.cache_get("digest", NOW) == b"cheap\n{}"
    assert await state.cache_get("digest", NOW + 1000) is None
    assert await state.cache_get("another", NOW) is None
    assert await state.pin_get("session", NOW) == "premium"
    assert await state.pin_get("session", NOW + 1000) is None


async def test_samples_come_back_newest_first(state: Any):
    for number in range(3):
        await state.sample_put({"number": number, "agreed": True})
    assert [sample["number"] for sample in await state.samples(2)] == [2, 1]


async def test_two_replicas_share_one_budget(state: Any, tmp_path: Path):
    if "Sqlite" in type(state).__name__:
        pytest.skip("SQLite serves one process: that is what the other engines are for")
    engine = state.engine
    query = f"prefix={engine._prefix}" if "Redis" in type(engine).__name__ else f"schema={engine._schema}"
    other = open_state(f"{engine._url}?{query}", tmp_path / "other")
    await other.open()
    limits = Limits(budget_micro=1000, period="total")
    asked = [(state, other)[n % 2].admit("ops", limits, 100, f"r{n}", NOW) for n in range(40)]
    granted = [admission.granted for admission in await asyncio.gather(*asked)]
    await other.close()
    assert granted.count(True) == 10


async def test_an_engine_that_is_not_there_is_told_by_its_address(tmp_path: Path):
    for url, where in (
        ("redis://127.0.0.1:1/0", "127.0.0.1:1"),
        ("postgresql://x@127.0.0.1:1/test", "127.0.0.1:1"),
    ):
        with pytest.raises(ConfigError, match=where):
            await open_state(url, tmp_path / "spool").open()
    with pytest.raises(ConfigError, match="no engine for 'mongodb'"):
        open_state("mongodb://x", tmp_path / "spool")


class Cable:
    """A connection to a server that can be cut and mended."""

    def __init__(self, port: int) -> None:
        self.to, self.is_cut = port, False
        self.pipes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Cable":
        self.server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self.server.close()

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._piped(source, sink))
            self.pipes.add(task)
            task.add_done_callback(self.pipes.discard)

    async def _piped(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        self.is_cut = True
        for pipe in self.pipes:
            pipe.cancel()


@pytest.mark.parametrize("engine", ["redis", "postgres"])
async def test_an_engine_that_goes_away_stops_nothing_and_loses_no_row(engine: str, tmp_path: Path):
    name = f"flm_test_{secrets.token_hex(4)}"
    own = {"redis": f"{REDIS}?prefix={name}", "postgres": f"{POSTGRES}?schema={name}"}
    port = urlsplit(own[engine]).port
    assert port
    async with Cable(port) as cable:
        urls = {kind: url.replace(f":{port}/", f":{cable.port}/") for kind, url in own.items()}
        state: Any = open_state(urls[engine], tmp_path / "spool")
        try:
            await state.open()
        except ConfigError as error:
            missing(engine, error)
        limits = Limits(budget_micro=1000, period="total")
        await state.admit("ops", limits, 100, "r1", NOW)
        await state.settle("ops", "r1", [row(1)])
        cable.cut()
        away = [(await state.admit("ops", limits, 400, f"r{n}", NOW)).granted for n in (2, 3, 4)]
        await state.settle("ops", "r2", [row(2)])
        await state.settle("ops", "r3", [row(3)])
        assert state.backlog == 2
        assert (tmp_path / "spool").read_bytes().count(b"\n") == 2
        cable.is_cut = False
        await state.settle("ops", "r4", [row(4)])
        assert (state.backlog, await state.spent_micro("ops", 0)) == (0, 400)
        assert not (tmp_path / "spool").exists()
        if engine == "redis":
            await state.engine.forget_everything()
        await state.close()
        if engine == "postgres":
            await drop_schema(name)
    assert away == [True, True, False]


async def test_a_disk_that_takes_nothing_stops_nothing_and_gets_all_rows_later(tmp_path: Path, monkeypatch: Any):
    from factorylm_router.state import sqlite

    real, failures = sqlite._insert, iter(range(3))

    def failing(db: Any, sql: str, values: Any) -> None:
        if next(failures, None) is not None:
            raise sqlite.sqlite3.OperationalError("database or disk is full")
        real(db, sql, values)

    monkeypatch.setattr(sqlite, "_insert", failing)
    monkeypatch.setattr(sqlite, "RETRY_S", 0.01)
    state: Any = open_state(f"sqlite:{tmp_path / 'state.db'}", tmp_path / "spool")
    await state.open()
    for number in range(200):
        await state.settle("ops", f"r{number}", [row(number)])
    assert len(await state.rows()) == 200
    await state.close()
