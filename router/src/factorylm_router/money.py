"""Money in integers: prices in nano-dollars a token, costs in micro-dollars, rounded once per call."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

NANO_PER_MICRO = 1_000
MICRO_PER_DOLLAR = 1_000_000


class CostSource(StrEnum):
    BILLED = "billed"  # the provider said what it charged
    PRICED = "priced"  # the provider's token counts times the price table
    ESTIMATED = "estimated"  # our token counts times the price table
    NONE = "none"  # nothing was sent, or it came from the cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Nano-dollars per token, which is dollars per million tokens times one thousand."""

    in_nano: int
    out_nano: int
    cached_nano: int
    cache_write_nano: int
    request_micro: int = 0
    as_of: date

    @property
    def is_free(self) -> bool:
        return not (self.in_nano or self.out_nano or self.request_micro)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call. `in_tokens` holds the cached and cache-write tokens too."""

    in_tokens: int = 0
    out_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    billed_micro: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    micro: int
    source: CostSource


NO_COST = Cost(0, CostSource.NONE)


def micro_from_dollars(dollars: Decimal | float | str) -> int:
    """The provider's amount as whole micro-dollars. A float goes through its shortest text, never its
    bits."""
    return int((Decimal(str(dollars)) * MICRO_PER_DOLLAR).to_integral_value(ROUND_HALF_UP))


def nano_from_dollars_per_million(dollars: Decimal | float | str) -> int:
    return int((Decimal(str(dollars)) * NANO_PER_MICRO).to_integral_value(ROUND_HALF_UP))


def table_cost_micro(usage: Usage, price: Price) -> int:
    plain_in = max(0, usage.in_tokens - usage.cached_tokens - usage.cache_write_tokens)
    nano = (
        plain_in * price.in_nano
        + usage.cached_tokens * price.cached_nano
        + usage.cache_write_tokens * price.cache_write_nano
        + usage.out_tokens * price.out_nano
    )
    return price.request_micro + (nano + NANO_PER_MICRO // 2) // NANO_PER_MICRO


def cost_of(usage: Usage, price: Price) -> Cost:
    """The billed amount goes first, but a billed 0 for tokens of a priced model is not a price.

    LiteLLM took such a 0 for one and logged $0 (BerriAI/litellm #37923, #37924).
    """
    billed = usage.billed_micro
    if billed is not None and (billed > 0 or price.is_free):
        return Cost(billed, CostSource.BILLED)
    source = CostSource.ESTIMATED if usage.estimated else CostSource.PRICED
    return Cost(table_cost_micro(usage, price), source)


def dollars(micro: int) -> str:
    """For headers and people: all six places, no exponent."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO_PER_DOLLAR)
    return f"{sign}{whole}.{rest:06d}"
