"""`auto` at work: the cascade for answers that can wait, one model for a session, shadows for learning."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from factorylm_router.answers import comparable, final_answer, kind_of
from factorylm_router.attempt import Answer, Job
from factorylm_router.cascade import Accept, next_step, worth_cascading
from factorylm_router.checks import NOTHING_KNOWN, Finding, Known, findings
from factorylm_router.errors import RouterError, UpstreamTimeoutError
from factorylm_router.features import Observation, Question
from factorylm_router.gateway import Gateway, Plan, worst_cost_micro
from factorylm_router.ledger import Purpose
from factorylm_router.money import Usage, cost_of
from factorylm_router.policy import may_leave_to
from factorylm_router.resilience import FailedAttempt
from factorylm_router.trial import Arm, Trial
from factorylm_router.verifier import Verifier
from factorylm_router.wire.chat import estimated_tokens, last_user_text, text_of
from factorylm_router.wire.lines import as_chat

USUAL_OUT_TOKENS = 300
SHADOW_MARGIN = 20
SHADOW_NUMBERS = 100  # attempts of the same request, counted apart


@dataclass(slots=True, kw_only=True)
class Talk:
    """One cascade under way: what was asked, what came back."""

    plan: Plan
    chat: dict[str, Any]
    question: Question
    kind: str
    waiting: list[str]
    shares: list[float]
    premium: str | None
    arm: Arm = ""
    answers: list[Answer] = field(default_factory=list)
    unusable: list[Answer] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)


class Chooser:
    """Holds what all cascades share; a refitted verifier is put in while it runs."""

    def __init__(
        self,
        gateway: Gateway,
        verifier: Verifier,
        known: Known = NOTHING_KNOWN,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.gateway = gateway
        self.verifier = verifier
        self.known = known
        self.draw = draw
        self.trial: Trial | None = None
        self.caution = 1.0  # below 1 after drift: premium is asked sooner
        self._shadows: set[asyncio.Task[None]] = set()

    # -- the cascade --------------------------------------------------------------------------

    async def cascade(self, plan: Plan) -> tuple[Answer, str]:
        talk = self._begun(plan)
        if talk.premium and not worth_cascading(talk.shares):
            plan.headers["X-FactoryLM-Route"] = "premium"
            answer = await self.gateway.ask_chain(plan, (talk.premium, *talk.waiting))
            return answer, "premium costs too little more than the cheap models: a cascade would lose money"
        plan.headers["X-FactoryLM-Route"] = "cascade"
        if self.trial is not None:
            talk.arm = "new" if self.draw() < self.trial.share else "old"
            plan.headers["X-FactoryLM-Trial"] = talk.arm
        deadline = plan.desk.config.routing.deadline_s
        try:
            async with asyncio.timeout(deadline):
                return await self._climb(talk)
        except TimeoutError:
            if not talk.answers and not talk.unusable:
                raise UpstreamTimeoutError(f"no model answered within the deadline of {deadline:g} s") from None
            return self._unverified(talk, f"deadline of {deadline:g} s: the best answer so far")

    def _begun(self, plan: Plan) -> Talk:
        desk, job = plan.desk, plan.job
        chat = as_chat(job.surface, job.body)
        kind, options = kind_of(chat)
        premium = next((m for m in plan.route.models if m in desk.config.roles.premium), None)
        usual = Usage(in_tokens=estimated_tokens(job.size), out_tokens=USUAL_OUT_TOKENS)
        cost = {m: cost_of(usual, desk.price(m)).micro for m in plan.route.models}
        cheap = sorted((m for m in plan.route.models if m != premium), key=cost.__getitem__)
        cheap = _diverse(cheap, {m: desk.model(m).family or m for m in cheap})[:3]
        dear = cost[premium] if premium else max(cost.values())
        return Talk(
            plan=plan,
            chat=chat,
            question=Question(prompt=last_user_text(chat), options=options),
            kind=kind,
            waiting=cheap,
            shares=[cost[m] / dear if dear else 0.0 for m in cheap],
            premium=premium,
        )

    async def _climb(self, talk: Talk) -> tuple[Answer, str]:
        if talk.plan.desk.config.routing.together:
            await asyncio.gather(*(self._ask_cheap(talk) for _ in range(min(2, len(talk.waiting)))))
        while True:
            verifier = self._verifier_for(talk)
            step = next_step(verifier, talk.shares, talk.question, talk.seen, premium=talk.premium is not None)
            if self._is_prose(talk):
                return await self._prose(talk)
            if isinstance(step, Accept):
                return self._accepted(talk, step)
            if step.position is not None and talk.waiting:
                await self._ask_cheap(talk)
            elif talk.premium:
                return await self._escalated(talk, step.why if talk.seen else "no cheap answer was usable")
            elif talk.answers or talk.unusable:
                return self._unverified(talk, "no premium model may see this")
            else:
                answer = await self.gateway.ask_chain(talk.plan, talk.plan.route.models)
                return answer, "the first model that answered"

    @staticmethod
    def _is_prose(talk: Talk) -> bool:
        return talk.kind == "text" and bool(talk.seen) and talk.seen[0].answer is None

    async def _prose(self, talk: Talk) -> tuple[Answer, str]:
        """Free prose comes down to nothing that could be compared: no check here can tell whether it is
        right."""
        if talk.premium and talk.plan.desk.config.routing.prose == "premium":
            return await self._escalated(talk, "free prose: nothing here can check it, so premium answers")
        return self._unverified(talk, "free prose, which nothing here can check")

    def _verifier_for(self, talk: Talk) -> Verifier:
        verifier = self.trial.challenger if self.trial and talk.arm == "new" else self.verifier
        if self.caution >= 1.0:
            return verifier
        return replace(verifier, premium_calls_per_right_answer=verifier.premium_calls_per_right_answer / self.caution)

    async def _ask_cheap(self, talk: Talk) -> None:
        """A model that does not answer is as if it were not there."""
        model = talk.waiting.pop(0)
        try:
            answer = await self.gateway.ask_patiently(talk.plan, model, Purpose.CANDIDATE)
        except FailedAttempt as failure:
            if failure.is_the_clients_fault:
                raise
            del talk.shares[len(talk.seen)]
            return
        seen = self._observed(talk, answer)
        if seen.fatal:
            # Cut off, refused, malformed: that says something of the answer and nothing of the question.
            talk.unusable.append(answer)
            del talk.shares[len(talk.seen)]
            return
        talk.answers.append(answer)
        talk.seen.append(seen)

    def _observed(self, talk: Talk, answer: Answer) -> Observation:
        found = findings(talk.chat, answer.chat, self.known)
        message = (answer.chat.get("choices") or [{}])[0].get("message") or {}
        kind, final = final_answer(talk.kind, message)
        return Observation(
            answer=comparable(kind, final),
            text=text_of(message.get("content")),
            out_tokens=answer.usage.out_tokens,
            ends_in_one=final is not None,
            fatal=any(finding.fatal for finding in found),
        )

    def _accepted(self, talk: Talk, step: Accept) -> tuple[Answer, str]:
        talk.plan.headers["X-FactoryLM-Chance"] = f"{step.chance:.3f}"
        self._maybe_shadow(talk, step)
        return talk.answers[step.position], step.why

    def _unverified(self, talk: Talk, why: str) -> tuple[Answer, str]:
        talk.plan.headers["X-FactoryLM-Verified"] = "no"
        return [*talk.unusable, *talk.answers][-1], f"unverified: {why}"

    async def _escalated(self, talk: Talk, why: str) -> tuple[Answer, str]:
        assert talk.premium is not None
        try:
            answer = await self.gateway.ask_patiently(talk.plan, talk.premium, Purpose.ESCALATION)
        except FailedAttempt as failure:
            if not talk.answers and not talk.unusable:
                answer = await self.gateway.ask_chain(talk.plan, talk.plan.route.models[::-1])
                return answer, "premium did not answer"
            return self._unverified(talk, f"premium did not answer ({failure.trouble})")
        if talk.arm and self.draw() < talk.plan.desk.config.routing.shadow_share:
            await self.gateway.state.sample_put({**self._on_trial(talk), "agreed": None, "escalated": True})
        return answer, why

    # -- sessions -----------------------------------------------------------------------------

    async def session(self, plan: Plan) -> tuple[Answer, str]:
        """One model per conversation; a step that fails its check goes up, and the session stays there."""
        plan.headers["X-FactoryLM-Route"] = "session"
        answer = await self.gateway.ask_chain(plan, plan.route.models)
        why, found = plan.route.why, self._fatal(plan, answer)
        higher = next((m for m in plan.route.models if m in plan.desk.config.roles.premium), None)
        if found and higher and higher != answer.model:
            failed = f"the step of {answer.model} failed its check ({found[0].check})"
            why = f"{failed}: sent up, and the session stays there"
            try:
                answer = await self.gateway.ask_patiently(plan, higher, Purpose.ESCALATION)
            except FailedAttempt:
                plan.headers["X-FactoryLM-Verified"] = "no"
                why = f"unverified: failed its check ({found[0].check}) and premium did not answer"
        await self.pin(plan, answer.model)
        return answer, why

    def _fatal(self, plan: Plan, answer: Answer) -> list[Finding]:
        chat = as_chat(plan.job.surface, plan.job.body)
        return [finding for finding in findings(chat, answer.chat, self.known) if finding.fatal]

    async def pin(self, plan: Plan, model: str) -> None:
        expires = plan.job.at_ms + int(plan.desk.config.routing.session_hours * 3_600_000)
        await self.gateway.state.pin_put(plan.job.session, model, expires)

    # -- shadows ------------------------------------------------------------------------------

    def _maybe_shadow(self, talk: Talk, step: Accept) -> None:
        """Now and then premium answers too, after the client has its answer: that is how quality is known."""
        left = talk.plan.job.left_micro
        if left is not None and left < SHADOW_MARGIN * worst_cost_micro(talk.plan):
            return  # the last of a budget is for answers
        if talk.premium is None or self.draw() >= talk.plan.desk.config.routing.shadow_share:
            return
        task = asyncio.create_task(self._shadow(talk, step))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, talk: Talk, step: Accept) -> None:
        assert talk.premium is not None
        job = replace(talk.plan.job, rows=[], numbered=talk.plan.job.numbered + SHADOW_NUMBERS, is_cascade=True)
        plan = replace(talk.plan, job=job)
        provider = plan.desk.provider_of(talk.premium).config
        if not may_leave_to(job.ruling.data_class, provider):
            return
        try:
            answer = await self.gateway.ask_patiently(plan, talk.premium, Purpose.SHADOW)
            await self.gateway.state.sample_put(self._sample(talk, step, self._observed(talk, answer), job))
        except (FailedAttempt, RouterError):
            pass  # a shadow is never missed
        finally:
            self.gateway.settle(job)

    def _sample(self, talk: Talk, step: Accept, premium: Observation, job: Job) -> dict[str, Any]:
        """Numbers only: no text of the request or of an answer."""
        accepted = talk.seen[step.position]
        can_tell = accepted.answer is not None and premium.answer is not None
        return {
            "at_ms": job.at_ms,
            "kind": talk.kind,
            "model": talk.answers[step.position].model,
            "calls": len(talk.seen),
            "chance": round(step.chance, 4),
            "agreed": accepted.answer == premium.answer if can_tell else None,
            "skill": job.caller.skill,
            **self._on_trial(talk),
        }

    def _on_trial(self, talk: Talk) -> dict[str, Any]:
        if self.trial is None or not talk.arm:
            return {}
        spent = {"at_ms": talk.plan.job.at_ms, "cost_micro": talk.plan.job.spent_micro()}
        return {**spent, "trial": self.trial.name, "arm": talk.arm}

    async def settled(self) -> None:
        while self._shadows:
            await asyncio.gather(*self._shadows, return_exceptions=True)


def _diverse(models: list[str], families: dict[str, str]) -> list[str]:
    """One of each family first: a model agreeing with its sister says little."""
    seen: set[str] = set()
    first = [m for m in models if not (families[m] in seen or seen.add(families[m]))]  # type: ignore[func-returns-value]
    return first if len(first) > 1 else models
