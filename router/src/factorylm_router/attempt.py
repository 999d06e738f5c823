"""One attempt at one model: said in its dialect, watched to its end, booked whatever happens."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from factorylm_router.config import Config, ModelConfig
from factorylm_router.connection import Connection
from factorylm_router.errors import PriceUnknownError
from factorylm_router.journal import Journal
from factorylm_router.ledger import LedgerRow, Purpose, Status
from factorylm_router.money import NO_COST, Cost, CostSource, Price, Usage, cost_of, table_cost_micro
from factorylm_router.policy import Caller, Ruling
from factorylm_router.redact import Redaction
from factorylm_router.resilience import FailedAttempt, Trouble
from factorylm_router.routes import Route
from factorylm_router.upstream import Provider, Providers, whole_answer
from factorylm_router.wire.chat import Tally, estimated_tokens
from factorylm_router.wire.lines import Line, Surface, line_to
from factorylm_router.wire.messages_out import chat_from_message, usage_of_message
from factorylm_router.wire.responses import usage_of_response


@dataclass(slots=True, kw_only=True)
class Job:
    """One client request on its way through the router."""

    request_id: str
    surface: Surface
    body: dict[str, Any]
    size: int
    caller: Caller
    ruling: Ruling
    started: float
    at_ms: int
    stream: bool = False
    session: str = ""
    why: str = ""
    is_cascade: bool = False
    left_micro: int | None = None  # what it may still cost; None without a budget
    redaction: Redaction | None = None
    hidden_body: dict[str, Any] | None = None
    rows: list[LedgerRow] = field(default_factory=list)
    numbered: int = 0
    still_welcome: Callable[[], bool] = lambda: True

    def spent_micro(self) -> int:
        return sum(row.cost_micro for row in self.rows)


@dataclass(slots=True, kw_only=True)
class Answer:
    """A whole answer: as the provider sent it, and in the dialect that checks understand."""

    model: str
    dialect: Surface
    raw: bytes
    chat: dict[str, Any]
    tally: Tally
    usage: Usage
    cost: Cost
    attempt_id: str
    latency_ms: int


class Desk:
    """The configuration's providers, prices and books, as attempts need them."""

    def __init__(self, config: Config, providers: Providers, journal: Journal) -> None:
        self.config = config
        self.providers = providers
        self.journal = journal
        self.prices: dict[str, Price] = {name: model.price.to_price() for name, model in config.models.items()}
        self.routes: dict[tuple[str, Ruling], Route] = {}
        self.callers: dict[tuple[str | None, str, str], Caller] = {}
        self.premium = config.roles.premium[0] if config.roles.premium else None

    def model(self, name: str) -> ModelConfig:
        return self.config.models[name]

    def provider_of(self, model: str) -> Provider:
        return self.providers[self.config.models[model].provider]

    def is_outside(self, model: str) -> bool:
        return self.provider_of(model).config.where == "outside"

    def price(self, model: str) -> Price:
        try:
            return self.prices[model]
        except KeyError:
            raise PriceUnknownError(
                f"no price for {model}", hint=f"add [models.{model}.price] to the configuration"
            ) from None

    def premium_micro(self, usage: Usage) -> int:
        """What premium would have cost for the same tokens: an estimate, since it would have said other
        words."""
        if self.premium is None:
            return 0
        return table_cost_micro(usage, self.price(self.premium))

    def line(self, job: Job, model: str) -> Line:
        config = self.model(model)
        provider = self.providers[config.provider].config
        hides = job.redaction is not None and provider.where == "outside"
        return line_to(job.surface, self._body(job, hides=hides), model, config, provider, hidden=hides)

    @staticmethod
    def _body(job: Job, *, hides: bool) -> dict[str, Any]:
        if not hides:
            return job.body
        assert job.redaction is not None
        if job.hidden_body is None:
            job.hidden_body = job.redaction.hidden(job.body)
        return job.hidden_body


class Booking:
    """An attempt's ledger row, from the journal line before it to the final row after it."""

    __slots__ = (
        "_clock",
        "_desk",
        "_job",
        "_price",
        "_started",
        "attempt_id",
        "ended",
        "first_ms",
        "model",
        "provider",
        "purpose",
    )

    def __init__(self, desk: Desk, job: Job, model: str, purpose: Purpose, clock: Callable[[], float]) -> None:
        job.numbered += 1
        self._desk, self._job, self._clock = desk, job, clock
        self._started = clock()
        self._price = desk.price(model)
        self.attempt_id = f"{job.request_id}-{job.numbered}"
        self.model = model
        self.provider = desk.model(model).provider
        self.purpose = purpose
        self.ended = False
        self.first_ms = 0

    def _row(self, status: Status, used: Usage, cost: Cost, *, trouble: str = "", upstream_id: str = "") -> LedgerRow:
        job = self._job
        return LedgerRow(
            attempt_id=self.attempt_id,
            request_id=job.request_id,
            at_ms=job.at_ms + int((self._started - job.started) * 1000),
            plant=job.caller.plant,
            key=job.caller.name,
            skill=job.caller.skill,
            agent=job.caller.agent,
            surface=job.surface,
            purpose=self.purpose,
            model=self.model,
            provider=self.provider,
            data_class=job.ruling.data_class,
            status=status,
            trouble=trouble,
            in_tokens=used.in_tokens,
            cached_tokens=used.cached_tokens,
            cache_write_tokens=used.cache_write_tokens,
            out_tokens=used.out_tokens,
            cost_micro=cost.micro,
            cost_source=cost.source,
            latency_ms=self.elapsed_ms(),
            first_ms=self.first_ms,
            why=job.why,
            upstream_id=upstream_id,
            premium_micro=self._premium_micro(status, used),
        )

    def _premium_micro(self, status: Status, used: Usage) -> int:
        """Counted once per request: on the answer, or by the cascade on what it accepts."""
        if status is not Status.OK or self._job.is_cascade or self.purpose in BESIDE_THE_ANSWER:
            return 0
        return self._desk.premium_micro(used)

    def sent(self) -> Usage:
        """What has certainly been sent, as far as we can count it."""
        return Usage(in_tokens=estimated_tokens(self._job.size), estimated=True)

    def begin(self) -> None:
        if self._desk.journal.is_open:
            job, sent = self._job, self.sent()
            cost = cost_of(sent, self._price)
            at_ms = job.at_ms + int((self._started - job.started) * 1000)
            who = (job.caller.plant, job.caller.name, job.caller.skill, job.caller.agent)
            what = (job.surface, self.purpose, self.model, self.provider, job.ruling.data_class)
            line = (
                self.attempt_id,
                job.request_id,
                at_ms,
                *who,
                *what,
                sent.in_tokens,
                cost.micro,
                cost.source,
            )
            self._desk.journal.begin(line)

    def first(self) -> None:
        self.first_ms = self.elapsed_ms()

    def elapsed_ms(self) -> int:
        return int((self._clock() - self._started) * 1000)

    def end(self, status: Status, usage: Usage | None, *, trouble: str = "", upstream_id: str = "") -> Cost:
        """Book it. Without usage nothing was sent and nothing can have been billed."""
        cost = cost_of(usage, self._price) if usage else NO_COST
        if not self.ended:
            self.ended = True
            row = self._row(status, usage or NOTHING_USED, cost, trouble=trouble, upstream_id=upstream_id)
            self._job.rows.append(row)
            self._desk.journal.end(self.attempt_id)
        return cost

    def fail(self, failure: FailedAttempt, tally: Tally | None = None) -> None:
        usage = (tally or Tally()).settled_usage(self._job.size) if failure.may_have_cost else None
        upstream_id = tally.id if tally else ""
        self.end(Status.FAILED, usage, trouble=failure.trouble, upstream_id=upstream_id)


NOTHING_USED = Usage()
BESIDE_THE_ANSWER = frozenset({Purpose.SHADOW, Purpose.ESCALATION})


class Opened:
    """`async with` an answering provider. Whoever enters books the end; what goes wrong is booked here.

    A class and no `@asynccontextmanager`: that generator cost every request more than the ledger does."""

    __slots__ = ("_breaker", "_clock", "_desk", "_job", "_provider", "booking", "connection", "line")

    connection: Connection

    def __init__(
        self, desk: Desk, job: Job, model: str, purpose: Purpose, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._desk, self._job, self._clock = desk, job, clock
        self._provider = desk.provider_of(model)
        self._breaker = self._provider.breaker(model)
        self.line = desk.line(job, model)
        self.booking = Booking(desk, job, model, purpose, clock)

    async def __aenter__(self) -> "Opened":
        model = self.booking.model
        if not self._breaker.lets_through(self._clock()):
            message = f"{model} failed repeatedly and is left alone for a moment"
            failure = FailedAttempt(trouble=Trouble.OPEN, message=message)
            self.booking.fail(failure)
            raise failure
        self.booking.begin()
        try:
            line, attempt_id = self.line, self.booking.attempt_id
            self.connection = await self._provider.post(line.path, line.encoded(), self._job.ruling, attempt_id)
        except BaseException as error:
            self._judge(error)
            raise
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._provider.finish(self.connection)
        if error is None:
            self._breaker.succeeded()
        else:
            self._judge(error)

    def _judge(self, error: BaseException) -> None:
        if not isinstance(error, FailedAttempt):
            self._breaker.gave_up()
            # The client left while the provider was working: tokens seen so far are priced, the rest is unknown.
            self.booking.end(Status.ABORTED, self.booking.sent(), trouble="client left")
            return
        if error.is_the_clients_fault or error.trouble is Trouble.BUSY:
            self._breaker.gave_up()
        else:
            self._breaker.failed(self._clock())
        self.booking.fail(error)


async def ask(desk: Desk, job: Job, model: str, purpose: Purpose) -> Answer:
    """One whole answer, or a FailedAttempt."""
    async with Opened(desk, job, model, purpose) as opened:
        line, booking = opened.line, opened.booking
        raw = await whole_answer(opened.connection, booking.provider)
        booking.first()
        answer = _understood(raw, line, job, booking)
        _restore(answer, job, desk, model)
        answer.cost = booking.end(Status.OK, answer.usage, upstream_id=answer.tally.id)
        return answer


def _understood(raw: bytes, line: Line, job: Job, booking: Booking) -> Answer:
    provider = booking.provider
    try:
        said = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise FailedAttempt(
            trouble=Trouble.GARBAGE, message=f"{provider} answered with something that is not JSON"
        ) from None
    if not isinstance(said, dict):
        raise FailedAttempt(trouble=Trouble.GARBAGE, message=f"{provider} answered with JSON that is not an object")
    if said.get("error") and not said.get("choices"):
        raise FailedAttempt(trouble=Trouble.GARBAGE, message=f"{provider} answered 200 with an error inside")
    tally, chat = _tallied(said, line, provider)
    return Answer(
        model=booking.model,
        dialect=line.dialect,
        raw=raw,
        chat=chat,
        tally=tally,
        usage=tally.settled_usage(job.size),
        cost=Cost(0, CostSource.NONE),
        attempt_id=booking.attempt_id,
        latency_ms=booking.elapsed_ms(),
    )


def _tallied(said: dict[str, Any], line: Line, provider: str) -> tuple[Tally, dict[str, Any]]:
    tally = Tally()
    if line.dialect == "chat":
        if not isinstance(said.get("choices"), list) or not said["choices"]:
            raise FailedAttempt(trouble=Trouble.GARBAGE, message=f"{provider} answered without any choice")
        tally.see_answer(said)
        return tally, said
    if line.dialect == "messages":
        if not isinstance(said.get("content"), list):
            raise FailedAttempt(trouble=Trouble.GARBAGE, message=f"{provider} answered without content")
        chat = chat_from_message(said)
        tally.see_answer(chat)
        tally.usage = usage_of_message(said.get("usage"))
        return tally, chat
    tally.id = str(said.get("id") or "")
    if line.dialect == "responses":
        tally.usage = usage_of_response(said.get("usage"))
    else:
        told = said.get("usage") if isinstance(said.get("usage"), dict) else None
        tally.see_chunk({"usage": {"completion_tokens": 0, **told}} if told else {})
    return tally, said


def _restore(answer: Answer, job: Job, desk: Desk, model: str) -> None:
    if job.redaction is not None and desk.is_outside(model) and job.surface != "embeddings":
        answer.chat = job.redaction.shown_answer(answer.chat)
        answer.raw = orjson.dumps(answer.chat)
        answer.dialect = "chat"
