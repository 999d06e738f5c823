"""When to service: the slots with the smallest expected cost, the risk until then, and what waiting costs.

For a slot after running time s, with preventive cost Cp(s), failure cost Cf, remaining life R and the long-run cost
per running time g:  J(s) = Cf P(R <= s) + Cp(s) P(R > s) - g E[min(R, s)].  The last term pays for the running time
used; without it, servicing now would always look cheapest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factorylm_predictor.arrays import Floats
from factorylm_predictor.errors import DataError
from factorylm_predictor.weibull import Lives, Weibull, best_age, fit_weibull

FEWEST_LIVES = 5
ENOUGH_LIVES = 10
_WORTH = 0.03


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A time at which service is possible: running time from now, its name, and what it costs beyond the usual."""

    after: float
    name: str
    extra_cost: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a planned and an unplanned stop cost, parts and work included, and how long parts take."""

    planned: float
    unplanned: float
    lead_time: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.planned < self.unplanned:
            raise DataError(
                f"planned cost {self.planned:g} and unplanned cost {self.unplanned:g}: servicing ahead only pays if "
                "0 < planned < unplanned",
                hint="the unplanned cost includes lost production and damage",
            )


@dataclass(frozen=True, kw_only=True)
class RankedSlot:
    """A slot judged: expected cost, chance of failing before it, and its distance from the best in cost."""

    slot: Slot
    expected_cost: float
    risk_until_then: float
    regret: float


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """The best slots first; `curve` has all of them in time order."""

    best: tuple[RankedSlot, ...]
    curve: tuple[RankedSlot, ...]
    act_now: bool
    do_nothing_cost: float
    do_nothing_regret: float


@dataclass(frozen=True, kw_only=True)
class AgePlan:
    """What lives alone say: the distribution, the age to replace at, and how far to trust it."""

    law: Weibull
    age: float
    cost_rate: float
    saving: float
    worth_it: bool
    failures: int
    still_running: int
    warning: str


def plan_by_age(lives: Lives, costs: Costs) -> AgePlan:
    """Age replacement, where nothing but lives is known; refuses below five failures."""
    failures = int(lives.failed.sum())
    if failures < FEWEST_LIVES:
        raise DataError(
            f"{failures} failures are too few for a life distribution; {FEWEST_LIVES} are the least, "
            f"{ENOUGH_LIVES} are enough",
            hint="add lives of the same machine type and failure mode; machines still running do not count as failures",
        )
    law = fit_weibull(lives)
    best = best_age(law, costs.planned, costs.unplanned)
    warning = "" if failures >= ENOUGH_LIVES else _FEW.format(failures)
    return AgePlan(
        law=law,
        age=best.age,
        cost_rate=best.cost_rate,
        saving=best.saving,
        worth_it=bool(np.isfinite(best.age)) and best.saving >= _WORTH,
        failures=failures,
        still_running=int((~lives.failed).sum()),
        warning=warning,
    )


_FEW = "only {} failures: in simulation such plans cost 10 % more than the best one, in one of twenty cases 63 % more"


def rank_slots(remaining: Floats, slots: Sequence[Slot], costs: Costs, cost_rate: float) -> WindowPlan:
    """Judge every slot the parts arrive for; `remaining` are equally likely remaining lives."""
    possible = sorted((s for s in slots if s.after >= costs.lead_time), key=lambda s: s.after)
    if not possible:
        raise DataError(
            f"no slot lies after the lead time of {costs.lead_time:g}",
            hint="add later slots, or stock the parts",
        )
    lives = np.sort(remaining)
    totals = np.concatenate([[0.0], np.cumsum(lives)])
    judged = [_judge(slot, lives, totals, costs, cost_rate) for slot in possible]
    smallest = min(j for _, _, j in judged)
    curve = tuple(
        RankedSlot(slot=s, expected_cost=c, risk_until_then=r, regret=j - smallest)
        for s, (c, r, j) in zip(possible, judged, strict=True)
    )
    ranked = sorted(curve, key=lambda r: r.regret)
    nothing = costs.unplanned - cost_rate * float(lives.mean())
    return WindowPlan(
        best=tuple(ranked[:3]),
        curve=curve,
        act_now=ranked[0].slot is possible[0],
        do_nothing_cost=costs.unplanned,
        do_nothing_regret=nothing - smallest,
    )


def _judge(slot: Slot, lives: Floats, totals: Floats, costs: Costs, cost_rate: float) -> tuple[float, float, float]:
    gone = int(np.searchsorted(lives, slot.after, side="right"))
    risk = gone / len(lives)
    run = (totals[gone] + slot.after * (len(lives) - gone)) / len(lives)
    expected = costs.unplanned * risk + (costs.planned + slot.extra_cost) * (1 - risk)
    return expected, risk, expected - cost_rate * float(run)


def even_slots(horizon: float, lead_time: float, count: int = 40) -> list[Slot]:
    """Where no calendar is given: evenly spaced times from the lead time to the horizon."""
    first = max(lead_time, horizon / count)
    return [Slot(after=float(t), name=f"after {t:.6g}") for t in np.linspace(first, max(horizon, first * 1.001), count)]
