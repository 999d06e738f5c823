"""Ask the cheapest, look, and go on only while going on is worth its price: pure decisions, no calls.

The same function decides live requests and replays, and it sees only what has been called."""

from collections.abc import Sequence
from dataclasses import dataclass

from factorylm_router.features import Observation, Question
from factorylm_router.verifier import PREMIUM, Verifier, features_of

MOST_CHEAP = 3
# With one cheap model nobody can disagree, and agreement is most of what the verifier knows: four times the
# caution (measured on grade-school maths: 2-10 points of quality for 5-18 points of saving).
CAUTION_ALONE = 4.0
# A verifier is overconfident about teams and questions it has not seen, and only a team that costs next to nothing
# leaves money to make up for it: measured, 92 % of premium's quality at 99 % saved becomes 96 % at 93 %.
CAUTION_OF_A_CHEAP_TEAM = 2.0
ROOMY, FULL = 0.08, 0.20


@dataclass(frozen=True, slots=True)
class Ask:
    """Call this cheap model next (its position), or premium."""

    position: int | None  # None: premium
    why: str


@dataclass(frozen=True, slots=True)
class Accept:
    position: int
    chance: float
    why: str


Step = Ask | Accept


# A cascade must promise this much even when it escalates this often (models of at most 9 B do): measured, a premium
# four times the price of a cheap call loses 3-18 % at 89-96 % of the quality.
CAUTIOUS_ESCALATED = 0.3
LEAST_SAVED = 0.3


def worth_cascading(costs: Sequence[float]) -> bool:
    """The break-even test. `costs`: expected cheap calls as shares of one premium call, in the order
    asked."""
    return 1.0 - sum(costs[:2]) - CAUTIOUS_ESCALATED >= LEAST_SAVED


def caution(costs: Sequence[float]) -> float:
    """By how much more a right answer counts: 1 for a team whose calls cost a fifth of premium's, 2 for one that is
    nearly free, 4 for a single model. `costs` as in `worth_cascading`."""
    if len(costs) < 2:
        return CAUTION_ALONE
    room = (FULL - sum(costs[:MOST_CHEAP])) / (FULL - ROOMY)
    return 1.0 + (CAUTION_OF_A_CHEAP_TEAM - 1.0) * min(1.0, max(0.0, room))


def next_step(
    verifier: Verifier,
    costs: Sequence[float],
    question: Question,
    seen: Sequence[Observation],
    *,
    premium: bool = True,
) -> Step:
    """Accept the likeliest answer, ask one more cheap model, or ask premium: whichever is worth most.

    A right answer is worth `premium_calls_per_right_answer` calls of premium, times the caution."""
    if not seen:
        return Ask(0, "start with the cheapest")
    stage = min(len(seen), MOST_CHEAP)
    features = features_of(question, seen[:stage])
    per_call = 1.0 / (verifier.premium_calls_per_right_answer * caution(costs))
    models = verifier.right[stage]
    best, chance = _best(seen[:stage], [models[str(n)].chance(features) for n in range(stage)])
    step: Step = Accept(best, chance, _accepted_because(seen, best))
    worth = chance if not seen[best].fatal else -1.0
    if stage < min(MOST_CHEAP, len(costs)):
        further = verifier.value[stage].score(features) - per_call * costs[stage]
        if further > worth:
            step, worth = Ask(stage, "one more cheap answer is worth its price"), further
    if premium and models[PREMIUM].chance(features) - per_call > worth:
        step = Ask(None, "premium's gain is worth its price")
    return step


def _best(seen: Sequence[Observation], chances: list[float]) -> tuple[int, float]:
    """The likeliest usable answer; with none usable, the first."""
    usable = [n for n, observation in enumerate(seen) if not observation.fatal] or [0]
    best = max(usable, key=lambda n: chances[n])
    return best, chances[best]


def _accepted_because(seen: Sequence[Observation], best: int) -> str:
    with_it = sum(1 for other in seen if other.answer is not None and other.answer == seen[best].answer)
    if len(seen) == 1:
        return "the first cheap answer looks right"
    if with_it > 1:
        return f"{with_it} of {len(seen)} cheap answers agree"
    return f"the likeliest of {len(seen)} cheap answers, premium is not worth its price"
