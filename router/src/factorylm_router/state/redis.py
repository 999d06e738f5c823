"""Several replicas, one Redis: admission and booking are one script each, so no two replicas disagree."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from factorylm_router.errors import ConfigError
from factorylm_router.ledger import (
    COLUMNS,
    GROUPS,
    Admission,
    LedgerRow,
    Limits,
    Period,
    Total,
    judge_admission,
    judge_rate,
    period_start_ms,
)
from factorylm_router.money import CostSource

# A replica that died keeps its reservation this long.
RESERVATION_MS = 15 * 60 * 1000
PERIODS: tuple[Period, ...] = ("day", "month", "total")
SAMPLES_KEPT = 100_000

# Returns what is spent, what is reserved and when the next request may come; frees what died before.
LOOK = """
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])) do
  redis.call('HDEL', KEYS[2], id); redis.call('ZREM', KEYS[3], id)
end
local reserved = 0
for _, amount in ipairs(redis.call('HVALS', KEYS[2])) do reserved = reserved + tonumber(amount) end
return {redis.call('GET', KEYS[1]) or '0', tostring(reserved), redis.call('GET', KEYS[4]) or '0'}
"""
# Reserves only if nothing changed since LOOK, so that the decision stays in one place: Python.
TAKE = """
local reserved = 0
for _, amount in ipairs(redis.call('HVALS', KEYS[2])) do reserved = reserved + tonumber(amount) end
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] or tostring(reserved) ~= ARGV[2]
  or (redis.call('GET', KEYS[4]) or '0') ~= ARGV[3] then return 0 end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[4], ARGV[5]); redis.call('ZADD', KEYS[3], ARGV[6], ARGV[4])
end
if ARGV[7] ~= '' then redis.call('SET', KEYS[4], ARGV[7], 'PX', 120000) end
return 1
"""
# Books each row once and frees the reservation. KEYS: reserved, dying, rows, by time, by request.
SETTLE = """
redis.call('HDEL', KEYS[1], ARGV[1]); redis.call('ZREM', KEYS[2], ARGV[1])
local number = tonumber(ARGV[2])
for row = 0, number - 1 do
  local id, at, micro, text = ARGV[3 + row * 7], ARGV[4 + row * 7], ARGV[5 + row * 7], ARGV[6 + row * 7]
  if redis.call('HSETNX', KEYS[3], id, text) == 1 then
    redis.call('ZADD', KEYS[4], at, id)
    redis.call('SADD', KEYS[5], id)
    for place = 7, 9 do
      if micro ~= '0' then redis.call('INCRBY', ARGV[place + row * 7], micro) end
    end
  end
end
return 1
"""


class RedisState:
    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._prefix = parse_qs(parts.query).get("prefix", ["flm"])[0]
        self._url = parts._replace(query="").geturl()
        self._redis: Any = None

    async def open(self) -> None:
        try:
            from redis import asyncio as redis
            from redis.exceptions import RedisError
        except ImportError as error:
            raise ConfigError(
                "server.state names Redis but its client is missing",
                hint="pip install 'factorylm-router[redis]'",
            ) from error
        self._redis = redis.Redis.from_url(self._url, socket_timeout=5)
        self._look = self._redis.register_script(LOOK)
        self._take = self._redis.register_script(TAKE)
        self._settle = self._redis.register_script(SETTLE)
        try:
            await self._redis.ping()
        except RedisError as error:
            await self._redis.aclose()
            where = urlsplit(self._url)
            raise ConfigError(
                f"no Redis at {where.hostname}:{where.port or 6379}", hint="start it or change server.state"
            ) from error

    async def close(self) -> None:
        await self._redis.aclose()

    def _name(self, *parts: object) -> str:
        return ":".join(map(str, (self._prefix, *parts)))

    async def admit(self, key: str, limits: Limits, asked_micro: int, request_id: str, now_ms: int) -> Admission:
        if limits.budget_micro is None and limits.per_minute is None:
            return Admission(granted=True)
        start = period_start_ms(limits.period, now_ms)
        names = [
            self._name("spent", key, limits.period, start),
            self._name("reserved", key),
            self._name("dying", key),
            self._name("rate", key),
        ]
        while True:
            spent, reserved, arrival = await self._look(keys=names, args=[now_ms])
            admission = judge_admission(limits, int(spent), int(float(reserved)), asked_micro)
            new_arrival, wait_ms = "", 0.0
            if admission.granted and limits.per_minute is not None:
                told, wait_ms = judge_rate(limits, float(arrival), now_ms)
                new_arrival = repr(told)
            if not admission.granted:
                return admission
            if wait_ms:
                return Admission(granted=False, reason="rate", retry_after_s=wait_ms / 1000)
            amount = "" if limits.budget_micro is None else str(asked_micro)
            args = [spent, reserved, arrival, request_id, amount, now_ms + RESERVATION_MS, new_arrival]
            if await self._take(keys=names, args=args):
                return admission

    async def settle(self, key: str, request_id: str, rows: Sequence[LedgerRow]) -> None:
        names = [
            self._name("reserved", key),
            self._name("dying", key),
            self._name("rows"),
            self._name("at"),
            self._name("request", request_id),
        ]
        args: list[Any] = [request_id, len(rows)]
        for row in rows:
            args += [
                row.attempt_id,
                row.at_ms,
                row.cost_micro,
                orjson.dumps(row.as_tuple()),
                *self._spent_names(row),
            ]
        await self._settle(keys=names, args=args)

    def _spent_names(self, row: LedgerRow) -> list[str]:
        return [self._name("spent", row.key, period, period_start_ms(period, row.at_ms)) for period in PERIODS]

    async def spent_micro(self, key: str, since_ms: int) -> int:
        return sum(row.cost_micro for row in await self._rows_since(since_ms) if row.key == key)

    async def _rows_since(self, since_ms: int, until_ms: int | None = None) -> list[LedgerRow]:
        last = f"({until_ms}" if until_ms is not None else "+inf"
        ids = await self._redis.zrangebyscore(self._name("at"), since_ms, last)
        found: list[LedgerRow] = []
        for start in range(0, len(ids), 5000):
            found += map(_row, await self._redis.hmget(self._name("rows"), ids[start : start + 5000]))
        return found

    async def rows(self, *, since_ms: int = 0, request_id: str | None = None, limit: int = 1000) -> list[LedgerRow]:
        if request_id is not None:
            ids = list(await self._redis.smembers(self._name("request", request_id)))
        else:
            ids = await self._redis.zrange(
                self._name("at"), "+inf", since_ms, desc=True, byscore=True, offset=0, num=limit
            )
        if not ids:
            return []
        found = [_row(text) for text in await self._redis.hmget(self._name("rows"), ids)]
        found = [row for row in found if row.at_ms >= since_ms]
        return sorted(found, key=lambda row: (row.at_ms, row.attempt_id), reverse=True)[:limit]

    async def totals(self, by: str, since_ms: int = 0, until_ms: int | None = None) -> list[Total]:
        assert by in GROUPS
        return summed(await self._rows_since(since_ms, until_ms), by)

    async def correct(self, attempt_id: str, cost_micro: int) -> bool:
        text = await self._redis.hget(self._name("rows"), attempt_id)
        if text is None:
            return False
        row = _row(text)
        corrected = row.settled(cost_micro)
        assert corrected.cost_source == CostSource.BILLED
        await self._redis.hset(self._name("rows"), attempt_id, orjson.dumps(corrected.as_tuple()))
        for name in self._spent_names(row):
            await self._redis.incrby(name, cost_micro - row.cost_micro)
        return True

    async def cache_get(self, digest: str, now_ms: int) -> bytes | None:
        text: bytes | None = await self._redis.get(self._name("cache", digest))
        if text is None:
            return None
        expires, _, value = text.partition(b" ")
        return value if int(expires) > now_ms else None

    async def cache_put(self, digest: str, value: bytes, expires_ms: int) -> None:
        await self._redis.set(
            self._name("cache", digest), b"%d %b" % (expires_ms, value), pxat=_server_time(expires_ms)
        )

    async def pin_get(self, session: str, now_ms: int) -> str | None:
        text = await self._redis.get(self._name("pin", session))
        if text is None:
            return None
        expires, _, model = text.decode().partition(" ")
        return model if int(expires) > now_ms else None

    async def pin_put(self, session: str, model: str, expires_ms: int) -> None:
        await self._redis.set(self._name("pin", session), f"{expires_ms} {model}", pxat=_server_time(expires_ms))

    async def sample_put(self, sample: dict[str, Any]) -> None:
        await self._redis.lpush(self._name("samples"), orjson.dumps(sample))
        await self._redis.ltrim(self._name("samples"), 0, SAMPLES_KEPT - 1)

    async def samples(self, limit: int = 10_000) -> list[dict[str, Any]]:
        return [orjson.loads(text) for text in await self._redis.lrange(self._name("samples"), 0, limit - 1)]

    async def forget_everything(self) -> None:
        """Removes this prefix; for tests and for taking a replica group down."""
        async for name in self._redis.scan_iter(match=self._name("*")):
            await self._redis.delete(name)


def troubles() -> tuple[type[BaseException], ...]:
    """What it looks like when Redis is away."""
    try:
        from redis.exceptions import RedisError
    except ImportError:
        return (OSError, TimeoutError)
    return (RedisError, OSError, TimeoutError)


def _row(text: bytes) -> LedgerRow:
    return LedgerRow(**dict(zip(COLUMNS, orjson.loads(text), strict=True)))


def _server_time(expires_ms: int) -> int:
    """Redis forgets by its own clock; ours decides, so give it a day more."""
    return expires_ms + 86_400_000


def summed(rows: Sequence[LedgerRow], by: str) -> list[Total]:
    """Totals of rows in memory, most expensive first."""
    groups: dict[str, list[LedgerRow]] = {}
    for row in rows:
        name = f"{datetime.fromtimestamp(row.at_ms / 1000, UTC):%Y-%m-%d}" if by == "day" else str(getattr(row, by))
        groups.setdefault(name, []).append(row)
    totals = [
        Total(
            group=name,
            attempts=len(found),
            requests=len({row.request_id for row in found}),
            in_tokens=sum(row.in_tokens for row in found),
            out_tokens=sum(row.out_tokens for row in found),
            cost_micro=sum(row.cost_micro for row in found),
            premium_micro=sum(row.premium_micro for row in found),
        )
        for name, found in groups.items()
    ]
    return sorted(totals, key=lambda total: (-total.cost_micro, total.group))
