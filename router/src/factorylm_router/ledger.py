"""One row per attempt: what was asked of whom, how it ended, what it cost."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Any, Literal

from factorylm_router.money import CostSource

Period = Literal["day", "month", "total"]


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"
    ABORTED = "aborted"  # the client left, or a budget or key ended in flight
    CACHED = "cached"
    REFUSED = "refused"  # policy, budget, rate or an unknown model: nothing was sent
    UNFINISHED = "unfinished"  # the router died while it ran: found in the journal at the next start


class Purpose(StrEnum):
    ANSWER = "answer"
    CANDIDATE = "candidate"
    ESCALATION = "escalation"
    FALLBACK = "fallback"
    RETRY = "retry"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    attempt_id: str
    request_id: str
    at_ms: int
    plant: str = ""
    key: str = ""
    skill: str = ""
    agent: str = ""
    surface: str = ""
    purpose: str = Purpose.ANSWER
    model: str = ""
    provider: str = ""
    data_class: str = ""
    status: str = Status.OK
    trouble: str = ""
    in_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    out_tokens: int = 0
    cost_micro: int = 0
    cost_source: str = CostSource.NONE
    premium_micro: int = 0
    latency_ms: int = 0
    first_ms: int = 0
    why: str = ""
    upstream_id: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in COLUMNS}

    def as_tuple(self) -> tuple[Any, ...]:
        return _as_tuple(self)

    def settled(self, cost_micro: int) -> "LedgerRow":
        return replace(self, cost_micro=cost_micro, cost_source=CostSource.BILLED)


COLUMNS = tuple(field.name for field in fields(LedgerRow))
_as_tuple: Callable[[LedgerRow], tuple[Any, ...]] = attrgetter(*COLUMNS)
TEXT_COLUMNS = tuple(field.name for field in fields(LedgerRow) if field.type is str)
# What `costs --by` may group on.
GROUPS = (
    "plant",
    "key",
    "skill",
    "agent",
    "model",
    "provider",
    "surface",
    "purpose",
    "data_class",
    "status",
    "day",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Sums over one group of rows. `saved` compares with what premium would have cost for the same
    requests."""

    group: str
    attempts: int
    requests: int
    in_tokens: int
    out_tokens: int
    cost_micro: int
    premium_micro: int


def period_start_ms(period: Period, now_ms: int) -> int:
    """Budgets start anew at midnight UTC, on the first of the month UTC, or never."""
    return 0 if period == "total" else _started_ms(period, now_ms // 60_000)


@lru_cache(maxsize=64)
def _started_ms(period: Period, minute: int) -> int:
    now = datetime.fromtimestamp(minute * 60, UTC)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        start = start.replace(day=1)
    return int(start.timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a key may spend and how fast."""

    budget_micro: int | None = None
    soft_micro: int | None = None
    period: Period = "month"
    per_minute: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """May this request start? `left_micro` is what it may cost at most, None without a budget."""

    granted: bool
    reason: Literal["", "budget", "rate"] = ""
    left_micro: int | None = None
    soft_warning: bool = False
    retry_after_s: float = 0.0


def judge_admission(limits: Limits, spent_micro: int, reserved_micro: int, asked_micro: int) -> Admission:
    """Spent and reserved together stay within the budget, so that parallel requests cannot run past it."""
    if limits.budget_micro is None:
        return Admission(granted=True, soft_warning=_is_soft(limits, spent_micro))
    left = limits.budget_micro - spent_micro - reserved_micro
    if left < asked_micro or left <= 0:
        return Admission(granted=False, reason="budget", left_micro=max(0, left))
    return Admission(granted=True, left_micro=left, soft_warning=_is_soft(limits, spent_micro))


def _is_soft(limits: Limits, spent_micro: int) -> bool:
    return limits.soft_micro is not None and spent_micro >= limits.soft_micro


def judge_rate(limits: Limits, theoretical_ms: float, now_ms: float) -> tuple[float, float]:
    """The generic cell rate algorithm: (new theoretical arrival, milliseconds to wait); a wait means no.

    A burst of one sixth of a minute's requests is fine."""
    assert limits.per_minute is not None
    interval = 60_000 / limits.per_minute
    burst = max(interval, 10_000.0)
    arrival = max(theoretical_ms, now_ms)
    wait = arrival + interval - burst - now_ms
    return (theoretical_ms, wait) if wait > 0 else (arrival + interval, 0.0)
