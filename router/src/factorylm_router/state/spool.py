"""A shared engine that is away must neither stop traffic nor lose the ledger: rows wait in a local file."""

import logging
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import orjson

from factorylm_router.errors import StateAwayError
from factorylm_router.ledger import COLUMNS, Admission, LedgerRow, Limits, Total, judge_admission
from factorylm_router.state.contract import State

T = TypeVar("T")
log = logging.getLogger("factorylm.router")


class SpooledState:
    """Wraps an engine on the network. Reads fail loudly while it is away; admission and booking go on.

    Then a key may spend what it had left when the engine was last reached: each replica counts for itself."""

    def __init__(self, engine: State, troubles: tuple[type[BaseException], ...], path: Path) -> None:
        self.engine = engine
        self.is_away = False
        self._troubles = troubles
        self._path = path
        self._waiting: list[tuple[str, str, list[LedgerRow]]] = []
        self._left: dict[str, int] = {}

    async def open(self) -> None:
        await self.engine.open()
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                key, request_id, rows = orjson.loads(line)
                told = [LedgerRow(**dict(zip(COLUMNS, row, strict=True))) for row in rows]
                self._waiting.append((key, request_id, told))
            await self._catch_up()

    async def close(self) -> None:
        await self._catch_up()
        await self.engine.close()

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    async def admit(self, key: str, limits: Limits, asked_micro: int, request_id: str, now_ms: int) -> Admission:
        try:
            admission = await self.engine.admit(key, limits, asked_micro, request_id, now_ms)
        except self._troubles:
            self._mark(away=True)
            return self._admit_alone(key, limits, asked_micro)
        if admission.left_micro is not None:
            self._left[key] = admission.left_micro
        return admission

    def _admit_alone(self, key: str, limits: Limits, asked_micro: int) -> Admission:
        if limits.budget_micro is None:
            return Admission(granted=True)
        left = self._left.get(key, 0)  # never reached: nothing is known to be left
        admission = judge_admission(limits, limits.budget_micro - left, 0, asked_micro)
        if admission.granted:
            self._left[key] = left - asked_micro
        return admission

    async def settle(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:
        if self._waiting:
            await self._catch_up()
        try:
            await self.engine.settle(key, request_id, rows)
        except self._troubles:
            self._mark(away=True)
            self._keep(key, request_id, list(rows))
        else:
            self._mark(away=False)

    def _keep(self, key: str, request_id: str, rows: list[LedgerRow]) -> None:
        self._waiting.append((key, request_id, rows))
        with self._path.open("ab") as file:
            file.write(orjson.dumps([key, request_id, [row.as_tuple() for row in rows]]) + b"\n")

    async def _catch_up(self) -> None:
        """Each attempt is booked once however often it is told, so a repetition is safe."""
        try:
            while self._waiting:
                await self.engine.settle(*self._waiting[0])
                self._waiting.pop(0)
        except self._troubles:
            self._mark(away=True)
            return
        self._path.unlink(missing_ok=True)

    def _mark(self, *, away: bool) -> None:
        if away is not self.is_away:
            self.is_away = away
            log.warning(
                "the state engine is away: rows wait in %s" if away else "the state engine is back (%s)",
                self._path,
            )

    async def _asked(self, question: Awaitable[T]) -> T:
        try:
            return await question
        except self._troubles as error:
            raise StateAwayError("the state engine cannot be reached", hint="look at the router's log") from error

    async def spent_micro(self, key: str, since_ms: int) -> int:
        return await self._asked(self.engine.spent_micro(key, since_ms))

    async def rows(self, *, since_ms: int = 0, request_id: str | None = None, limit: int = 1000) -> list[LedgerRow]:
        return await self._asked(self.engine.rows(since_ms=since_ms, request_id=request_id, limit=limit))

    async def totals(self, by: str, since_ms: int = 0, until_ms: int | None = None) -> list[Total]:
        return await self._asked(self.engine.totals(by, since_ms, until_ms))

    async def correct(self, attempt_id: str, cost_micro: int) -> bool:
        return await self._asked(self.engine.correct(attempt_id, cost_micro))

    async def cache_get(self, digest: str, now_ms: int) -> bytes | None:
        try:
            return await self.engine.cache_get(digest, now_ms)
        except self._troubles:
            return None

    async def cache_put(self, digest: str, value: bytes, expires_ms: int) -> None:
        try:
            await self.engine.cache_put(digest, value, expires_ms)
        except self._troubles:
            self._mark(away=True)

    async def pin_get(self, session: str, now_ms: int) -> str | None:
        try:
            return await self.engine.pin_get(session, now_ms)
        except self._troubles:
            return None

    async def pin_put(self, session: str, model: str, expires_ms: int) -> None:
        try:
            await self.engine.pin_put(session, model, expires_ms)
        except self._troubles:
            self._mark(away=True)

    async def sample_put(self, sample: dict[str, Any]) -> None:
        try:
            await self.engine.sample_put(sample)
        except self._troubles:
            self._mark(away=True)

    async def samples(self, limit: int = 10_000) -> list[dict[str, Any]]:
        return await self._asked(self.engine.samples(limit))
