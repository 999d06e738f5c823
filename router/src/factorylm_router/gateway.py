"""One request from admission to settled books: the pipeline, without HTTP."""

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from factorylm_router.attempt import Answer, Booking, Desk, Job, Opened, ask
from factorylm_router.cache import RecentAnswers
from factorylm_router.errors import (
    BudgetExceededError,
    NotAllowedError,
    RateExceededError,
    RouterError,
)
from factorylm_router.ledger import LedgerRow, Purpose, Status
from factorylm_router.money import Usage, dollars, table_cost_micro
from factorylm_router.policy import judge_model_allowed
from factorylm_router.relay import NativeRelay, Relay, chained, cost_so_far_micro, fed, relay_for
from factorylm_router.replies import cost_comment, refused_by_all, told
from factorylm_router.resilience import FailedAttempt, wait_before_retry
from factorylm_router.routes import AutoQuestion, Route, auto_route, named_route
from factorylm_router.state import SettlesAtOnce, State
from factorylm_router.upstream import draw
from factorylm_router.wire.chat import estimated_tokens

log = logging.getLogger("factorylm.router")

# What a request without a limit of its own reserves of its key's budget.
USUAL_OUT_TOKENS = 1024


@dataclass(slots=True, kw_only=True)
class Reply:
    """A whole answer for the client, and what it should know about it."""

    body: bytes
    headers: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Plan:
    """A job that was let in, and the way it will go."""

    desk: Desk
    job: Job
    route: Route
    cache_digest: str = ""
    soft_warning: bool = False
    headers: dict[str, str] = field(default_factory=dict)


Chooser = Callable[[Plan], Awaitable[tuple[Answer, str]]]


class Gateway:
    """`choose` answers cascades and sessions; everything else happens here."""

    def __init__(self, desk: Desk, state: State, clock: Callable[[], float] = time.monotonic) -> None:
        self.desk = desk
        self.state = state
        self._settle_at_once = state.settle_at_once if isinstance(state, SettlesAtOnce) else None
        self.clock = clock
        self.choosers: dict[str, Chooser] = {}
        self.watchers: list[Callable[[Job, list[LedgerRow]], None]] = []
        self.after: list[Callable[[Plan, Answer], None]] = []
        self.in_flight = 0
        self._settling: set[asyncio.Task[None]] = set()
        self._cache = RecentAnswers()

    # -- letting in ---------------------------------------------------------------------------

    async def admit(self, desk: Desk, job: Job, asked_model: str, question: AutoQuestion) -> Plan:
        """Policy, route, budget and rate, in this order; nothing was sent when this refuses."""
        try:
            route = self._routed(desk, job, asked_model, question)
            job.why = route.why
            job.is_cascade = route.mode == "cascade"
            plan = Plan(desk=desk, job=job, route=route)
            await self._reserve(plan)
        except RouterError as error:
            self._book_refusal(job, error)
            raise
        return plan

    @staticmethod
    def _routed(desk: Desk, job: Job, asked_model: str, question: AutoQuestion) -> Route:
        judge_model_allowed(job.caller.rules, asked_model)
        if asked_model == "auto":
            return auto_route(desk.config, job.ruling, question)
        known = (asked_model, job.ruling)
        route = desk.routes.get(known)
        if route is None:
            route = named_route(desk.config, job.ruling, asked_model)
            desk.routes[known] = route  # few: models times classes, and only names that exist
        return route

    async def _reserve(self, plan: Plan) -> None:
        job, rules = plan.job, plan.job.caller.rules
        if rules is None or (rules.budget_usd is None and rules.requests_per_minute is None):
            return
        asked = worst_cost_micro(plan)
        admission = await self.state.admit(job.caller.name, rules.limits, asked, job.request_id, job.at_ms)
        if admission.reason == "rate":
            raise RateExceededError(
                f"key {job.caller.name} may send {rules.requests_per_minute} requests a minute",
                hint=f"wait {admission.retry_after_s:.1f} s",
                retry_after_s=admission.retry_after_s,
            )
        if not admission.granted:
            raise BudgetExceededError(
                f"key {job.caller.name} has ${dollars(admission.left_micro or 0)} left of its budget "
                f"({rules.period}) and this request may cost ${dollars(asked)}",
                hint="lower max_tokens, choose a cheaper model or raise the key's budget",
            )
        job.left_micro = admission.left_micro
        plan.soft_warning = admission.soft_warning

    def _book_refusal(self, job: Job, error: RouterError) -> None:
        job.numbered += 1
        job.rows.append(
            LedgerRow(
                attempt_id=f"{job.request_id}-{job.numbered}",
                request_id=job.request_id,
                at_ms=job.at_ms,
                plant=job.caller.plant,
                key=job.caller.name,
                skill=job.caller.skill,
                agent=job.caller.agent,
                surface=job.surface,
                data_class=job.ruling.data_class,
                status=Status.REFUSED,
                trouble=error.code,
                why=error.message[:200],
            )
        )
        self.settle(job)

    # -- whole answers ------------------------------------------------------------------------

    async def whole(self, plan: Plan) -> Reply:
        """The answer, from the cache, one model, or the cascade."""
        job = plan.job
        try:
            cached = await self._from_cache(plan)
            if cached is not None:
                return cached
            chooser = self.choosers.get(plan.route.mode)
            if chooser is not None and job.surface != "embeddings":
                answer, why = await chooser(plan)
            else:
                answer, why = await self.ask_chain(plan, plan.route.models), plan.route.why
            reply = self._reply(plan, answer, why)
            self._to_cache(plan, reply)
            for follow_up in self.after:
                follow_up(plan, answer)
            return reply
        finally:
            self.settle(job)

    async def ask_chain(self, plan: Plan, models: tuple[str, ...], purpose: Purpose = Purpose.ANSWER) -> Answer:
        """The first of these models that answers. A client's own fault is not carried to the next one."""
        last: FailedAttempt | None = None
        for number, model in enumerate(models[:4]):
            try:
                return await self.ask_patiently(plan, model, Purpose.FALLBACK if number else purpose)
            except FailedAttempt as failure:
                last = failure
                if failure.is_the_clients_fault:
                    break
        assert last is not None
        raise refused_by_all(last)

    async def ask_patiently(self, plan: Plan, model: str, purpose: Purpose) -> Answer:
        """One model, with retries where a repetition is safe."""
        retries = plan.desk.provider_of(model).config.retries
        tries = 0
        while True:
            try:
                return await ask(plan.desk, plan.job, model, purpose if tries == 0 else Purpose.RETRY)
            except FailedAttempt as failure:
                tries += 1
                wait_s = wait_before_retry(failure, tries, retries, draw)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)

    def _reply(self, plan: Plan, answer: Answer, why: str) -> Reply:
        job = plan.job
        premium = plan.desk.premium_micro(answer.usage)
        if job.is_cascade:
            self._mark_accepted(job, answer, why, premium)
        headers = self.headers(plan, answer.model, why)
        headers["X-FactoryLM-Cost-USD"] = dollars(job.spent_micro())
        headers["X-FactoryLM-Premium-USD"] = dollars(premium)
        headers["X-FactoryLM-Calls"] = ",".join(row.model for row in job.rows)
        return Reply(body=told(job, answer), headers=headers)

    @staticmethod
    def _mark_accepted(job: Job, answer: Answer, why: str, premium_micro: int) -> None:
        for number, row in enumerate(job.rows):
            if row.attempt_id == answer.attempt_id:
                job.rows[number] = replace(row, premium_micro=premium_micro, why=why)

    def headers(self, plan: Plan, model: str, why: str) -> dict[str, str]:
        told_headers = {
            "X-FactoryLM-Request-Id": plan.job.request_id,
            "X-FactoryLM-Model": model,
            "X-FactoryLM-Why": why,
            "X-FactoryLM-Data-Class": plan.job.ruling.data_class.value,
            **plan.headers,
        }
        if plan.soft_warning:
            told_headers["X-FactoryLM-Warning"] = "soft budget passed"
        return told_headers

    # -- streams ------------------------------------------------------------------------------

    @asynccontextmanager
    async def stream(self, plan: Plan) -> AsyncIterator[tuple[dict[str, str], AsyncIterator[bytes]]]:
        """Headers and bytes of a stream whose provider has begun to answer."""
        try:
            async with self._opened_chain(plan) as (model, relay, booking, pieces):
                yield self.headers(plan, model, plan.job.why), self._relayed(plan, relay, booking, pieces)
        finally:
            self.settle(plan.job)

    @asynccontextmanager
    async def _opened_chain(self, plan: Plan) -> AsyncIterator[Any]:
        """The first model whose stream has begun; until its first bytes, the next model may still take
        over."""
        last: FailedAttempt | None = None
        models = plan.route.models[:4]
        for number, model in enumerate(models):
            begun = False
            tries = 0
            while True:
                purpose = Purpose.RETRY if tries else Purpose.FALLBACK if number else Purpose.ANSWER
                try:
                    async with Opened(plan.desk, plan.job, model, purpose, self.clock) as opened:
                        booking = opened.booking
                        relay = relay_for(plan.job, opened.line, outside=plan.desk.is_outside(model))
                        pieces = fed(relay, opened.connection)
                        first = await anext(pieces, None)
                        booking.first()
                        begun = True
                        yield model, relay, booking, chained(first, pieces)
                        return
                except FailedAttempt as failure:
                    if begun:
                        return  # told to the client inside the stream
                    last = failure
                tries += 1
                wait_s = wait_before_retry(last, tries, plan.desk.provider_of(model).config.retries, draw)
                if wait_s is None:
                    break
                await asyncio.sleep(wait_s)
            if last.is_the_clients_fault:
                break
        assert last is not None
        raise refused_by_all(last)

    async def _relayed(
        self, plan: Plan, relay: Relay | NativeRelay, booking: Booking, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """Everything the client gets; booked at its end, whoever ends it."""
        job, desk = plan.job, plan.desk
        in_tokens, price = estimated_tokens(job.size), desk.price(booking.model)
        try:
            async for out in pieces:
                yield out
                if not job.still_welcome():
                    raise NotAllowedError("this key ended while the answer was under way")
                if job.left_micro is not None and cost_so_far_micro(relay.tally, price, in_tokens) > job.left_micro:
                    raise BudgetExceededError(f"key {job.caller.name} has used up its budget")
            out = relay.last()
            usage = relay.tally.settled_usage(job.size)
            cost = booking.end(Status.OK, usage, upstream_id=relay.tally.id)
            yield out + relay.finish(usage) + cost_comment(plan.job.request_id, cost.micro)
        except RouterError as error:
            booking.end(
                Status.ABORTED,
                relay.tally.settled_usage(job.size),
                trouble=error.code,
                upstream_id=relay.tally.id,
            )
            yield relay.fail(error.kind, str(error), error.code)
        except FailedAttempt as failure:
            booking.fail(failure, relay.tally)
            yield relay.fail("api_error", failure.message, f"upstream_{failure.trouble}")
            raise
        finally:
            if not booking.ended:
                usage = relay.tally.settled_usage(job.size)
                booking.end(Status.ABORTED, usage, trouble="client left", upstream_id=relay.tally.id)

    # -- books and cache ----------------------------------------------------------------------

    def settle(self, job: Job) -> None:
        """Books close in the background: a client never waits for a disk."""
        rows, job.rows = job.rows, []
        for watch in self.watchers:
            watch(job, rows)
        if self._settle_at_once is not None:
            self._settle_at_once(job.caller.name, job.request_id, rows)
            return
        task = asyncio.create_task(self._settled(job, rows))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settled(self, job: Job, rows: list[LedgerRow]) -> None:
        await self.state.settle(job.caller.name, job.request_id, rows)

    async def settled(self) -> None:
        """All books of finished requests are closed."""
        while self._settling:
            await asyncio.gather(*self._settling, return_exceptions=True)

    async def _from_cache(self, plan: Plan) -> Reply | None:
        seconds = plan.desk.config.cache.seconds
        if not seconds:
            return None
        plan.cache_digest = cache_digest(plan)
        body = self._cache.get(plan.cache_digest, self.clock())
        if body is None:
            body = await self.state.cache_get(plan.cache_digest, plan.job.at_ms)
        if body is None:
            return None
        model, _, answer = body.partition(b"\n")
        booking = Booking(plan.desk, plan.job, model.decode(), Purpose.ANSWER, self.clock)
        booking.end(Status.CACHED, None)
        headers = self.headers(plan, model.decode(), "the same request was answered before")
        return Reply(body=answer, headers={**headers, "X-FactoryLM-Cache": "hit", "X-FactoryLM-Cost-USD": dollars(0)})

    def _to_cache(self, plan: Plan, reply: Reply) -> None:
        seconds = plan.desk.config.cache.seconds
        if not seconds or len(reply.body) > 1024 * 1024:
            return
        entry = reply.headers["X-FactoryLM-Model"].encode() + b"\n" + reply.body
        limit = plan.desk.config.cache.megabytes * 1_000_000
        self._cache.put(plan.cache_digest, entry, self.clock() + seconds, limit)
        keep = self.state.cache_put(plan.cache_digest, entry, plan.job.at_ms + seconds * 1000)
        task = asyncio.ensure_future(keep)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


def new_request_id(now_ms: int) -> str:
    """Time first, so that every index of the ledger grows at its end."""
    return f"flm-{now_ms:011x}{os.urandom(6).hex()}"


def worst_cost_micro(plan: Plan) -> int:
    """What the request may cost: a cascade may ask everybody, a session may go up, others ask the first model."""
    job, models = plan.job, plan.route.models
    limit = job.body.get("max_completion_tokens") or job.body.get("max_tokens") or job.body.get("max_output_tokens")
    out = limit if isinstance(limit, int) and limit > 0 else USUAL_OUT_TOKENS
    if job.surface == "embeddings":
        out = 0
    usage = Usage(in_tokens=estimated_tokens(job.size), out_tokens=out)
    if plan.route.mode == "single":
        return table_cost_micro(usage, plan.desk.price(models[0]))
    return sum(table_cost_micro(usage, plan.desk.price(model)) for model in models)


def cache_digest(plan: Plan) -> str:
    """Exact match only, and never across keys: one caller's answer is not another's."""
    same = (
        plan.job.caller.name,
        plan.job.surface,
        plan.route.models,
        plan.job.ruling.data_class,
        plan.job.body,
    )
    return hashlib.sha256(orjson.dumps(same, option=orjson.OPT_SORT_KEYS)).hexdigest()
