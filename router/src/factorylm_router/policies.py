"""Ways to choose among recorded answers: the router's own, and those it is compared with."""

import hashlib
from collections.abc import Callable, Mapping

from factorylm_router.cascade import Accept, next_step
from factorylm_router.features import Observation, Question
from factorylm_router.replay import Caller, Case, Policy
from factorylm_router.verifier import Verifier


def router_policy(verifier: Verifier) -> Policy:
    """What `serve` does for `auto`: the same decisions on recorded answers."""

    def decide(question: Question, case: Case, caller: Caller) -> str | None:
        if not case.is_worth_it:
            caller.call(case.premium)
            return case.premium
        case = case.by_price()
        shares, seen, names = list(case.shares()), list[Observation](), list[str]()
        waiting = list(case.cheap)
        while True:
            step = next_step(verifier, shares, question, seen)
            if isinstance(step, Accept):
                return names[step.position]
            if step.position is None:
                caller.call(case.premium)
                return case.premium
            name = waiting.pop(0)
            answer = caller.call(name)
            if answer is None or answer.is_blank:  # nothing to judge by: as if this model were not there
                if answer is None:
                    caller.called.pop()
                del shares[step.position]
                if not waiting and not seen:
                    caller.call(case.premium)
                    return case.premium
                continue
            seen.append(answer)
            names.append(name)

    return decide


def always_cheap(_question: Question, case: Case, caller: Caller) -> str | None:
    caller.call(case.cheap[0])
    return case.cheap[0]


def always_premium(_question: Question, case: Case, caller: Caller) -> str | None:
    caller.call(case.premium)
    return case.premium


def two_agree(_question: Question, case: Case, caller: Caller) -> str | None:
    return _agreement(case, caller, case.cheap[:2])


def two_of_three(_question: Question, case: Case, caller: Caller) -> str | None:
    return _agreement(case, caller, case.cheap[:3])


def _agreement(case: Case, caller: Caller, cheap: tuple[str, ...]) -> str | None:
    """The first two are always asked; another only when nobody agrees yet."""
    answers: dict[str, str] = {}
    for number, name in enumerate(cheap):
        seen = caller.call(name)
        if seen is not None and seen.answer is not None:
            if seen.answer in answers and number > 0:
                return answers[seen.answer]
            answers.setdefault(seen.answer, name)
    return always_premium(Question(prompt=""), case, caller)


def random_split(share: float) -> Policy:
    """A draw that depends on the row alone, so that a run can be repeated."""

    def decide(question: Question, case: Case, caller: Caller) -> str | None:
        drawn = int.from_bytes(hashlib.sha256(caller.row.id.encode()).digest()[:4]) / 2**32
        return (always_premium if drawn < share else always_cheap)(question, case, caller)

    return decide


def longest_prompts(words: int) -> Policy:
    """Long prompts go to premium."""

    def decide(question: Question, case: Case, caller: Caller) -> str | None:
        long = len(question.prompt.split()) >= words
        return (always_premium if long else always_cheap)(question, case, caller)

    return decide


# By name on the command line. Those that need a verifier are made from one.
PLAIN: Mapping[str, Policy] = {
    "always-cheap": always_cheap,
    "always-premium": always_premium,
    "two-agree": two_agree,
    "two-of-three": two_of_three,
    "random": random_split(0.5),
}
FITTED: Mapping[str, Callable[[Verifier], Policy]] = {"router": router_policy}
POLICY_NAMES = (*FITTED, *PLAIN)
