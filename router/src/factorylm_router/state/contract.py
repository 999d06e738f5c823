"""What every engine promises. SQLite for one process; Redis or PostgreSQL for several replicas."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from factorylm_router.errors import ConfigError
from factorylm_router.ledger import Admission, LedgerRow, Limits, Total


class State(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def admit(self, key: str, limits: Limits, asked_micro: int, request_id: str, now_ms: int) -> Admission:
        """Count the request against rate and budget and reserve `asked_micro`, in one step for all
        replicas."""

    async def settle(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:
        """Book the rows, each attempt once however often it is told, and free the reservation."""

    async def spent_micro(self, key: str, since_ms: int) -> int: ...

    async def rows(self, *, since_ms: int = 0, request_id: str | None = None, limit: int = 1000) -> list[LedgerRow]:
        """Newest first."""

    async def totals(self, by: str, since_ms: int = 0, until_ms: int | None = None) -> list[Total]:
        """Most expensive first."""

    async def correct(self, attempt_id: str, cost_micro: int) -> bool:
        """Put the provider's own statement in place of an estimate. False if there is no such row."""

    async def cache_get(self, digest: str, now_ms: int) -> bytes | None: ...

    async def cache_put(self, digest: str, value: bytes, expires_ms: int) -> None: ...

    async def pin_get(self, session: str, now_ms: int) -> str | None:
        """The model this agent session stays with."""

    async def pin_put(self, session: str, model: str, expires_ms: int) -> None: ...

    async def sample_put(self, sample: dict[str, Any]) -> None:
        """Keep one compared request for learning: features and outcomes, never text."""

    async def samples(self, limit: int = 10_000) -> list[dict[str, Any]]:
        """Newest first."""


@runtime_checkable
class SettlesAtOnce(Protocol):
    """An engine whose booking never waits: it spares a task per request."""

    def settle_at_once(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None: ...


def _spooled(engine: State, troubles: tuple[type[BaseException], ...], spool: Path) -> State:
    from factorylm_router.state.spool import SpooledState

    return SpooledState(engine, troubles, spool)


def open_state(url: str, spool: Path) -> State:
    """The engine behind an address; engines load when they are named, not before.

    `spool` keeps the rows of an engine on the network while that is away."""
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        from factorylm_router.state.sqlite import SqliteState

        return SqliteState(rest.removeprefix("//"))
    if scheme in ("redis", "rediss"):
        from factorylm_router.state.redis import RedisState, troubles

        return _spooled(RedisState(url), troubles(), spool)
    if scheme in ("postgresql", "postgres"):
        from factorylm_router.state.postgres import PostgresState, troubles

        return _spooled(PostgresState(url), troubles(), spool)
    raise ConfigError(
        f"server.state: no engine for {scheme!r}",
        hint="use sqlite:PATH, redis://HOST:PORT/0 or postgresql://USER@HOST/DATABASE",
    )
