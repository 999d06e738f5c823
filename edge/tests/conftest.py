import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from factorylm_edge.history import History
from factorylm_edge.postgres_history import PostgresHistory
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.sqlite_history import SqliteHistory

BEGIN_US = 1_767_225_600 * SECOND  # 2026-01-01, on the hour

MakesSample = Callable[..., Sample]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def sample() -> MakesSample:
    """`sample(3, 1.5)`: pump1.speed was 1.5 three seconds after the beginning."""

    def make(second: float, value: object, tag: str = "pump1.speed", quality: int = 0) -> Sample:
        return Sample(tag, BEGIN_US + round(second * SECOND), value, quality)  # type: ignore[arg-type]

    return make


def server(name: str, start: str) -> str:
    """A server's address; a missing one fails where all servers must be there, else the test says how to have it."""
    if found := os.environ.get(name):
        return found
    if os.environ.get("FACTORYLM_REQUIRE_SERVERS"):
        pytest.fail(f"{name} is not set, and every server is required")
    pytest.skip(f"{name} is not set; {start}")


@pytest.fixture(scope="session")
def nats_url() -> str:
    return server("FACTORYLM_TEST_NATS", "start one: nats-server -js, then FACTORYLM_TEST_NATS=nats://127.0.0.1:4222")


@pytest.fixture(scope="session")
def mqtt_url() -> str:
    return server("FACTORYLM_TEST_MQTT", "start one: mosquitto -p 1883, then FACTORYLM_TEST_MQTT=mqtt://127.0.0.1:1883")


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """`await until(lambda: done)`: for what another process or thread brings about, which has no event to wait on."""

    async def wait(condition: Callable[[], object], seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A schema of its own, dropped afterwards."""
    url = server("FACTORYLM_TEST_POSTGRES", "for example FACTORYLM_TEST_POSTGRES=postgresql://127.0.0.1/test")
    schema = f"edge_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{schema}"
        finally:
            db.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """Every engine behind the same door."""
    if request.param == "sqlite":
        kept: History = SqliteHistory(tmp_path / "history.db")
    else:
        kept = PostgresHistory(request.getfixturevalue("postgres_url"))
    yield kept
    kept.close()
