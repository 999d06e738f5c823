"""`<protocol>_write_tag`: the five locks in order, and every attempt in the audit trail."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import mcp_types as types
from factorylm_schema import (
    AuditError,
    DeviceError,
    DeviceRefusedError,
    FactoryLMError,
    NotConnectedError,
    OutcomeUnknownError,
    Tag,
    Value,
    WriteReceipt,
    WriteRefusedError,
)

from factorylm_skill.answers import WriteAnswer, WriteTag
from factorylm_skill.approval import APPROVAL_FORM, LIFETIME, Plan, PlanBook
from factorylm_skill.audit import AuditLog
from factorylm_skill.call import Call
from factorylm_skill.desk import ApprovalDesk, WriteRequest
from factorylm_skill.devices import Devices
from factorylm_skill.gate import agrees, judge_change, judge_plan, judge_value
from factorylm_skill.reading_table import instant, shown
from factorylm_skill.skill import Settings
from factorylm_skill.tool import Tool
from factorylm_skill.untrusted import told_to_the_model

_QUESTION = "approve_write"
# below what hosts wait for a tool: about 60 s, often less
_PATIENCE_S = 45.0


def _now() -> datetime:
    return datetime.now(UTC)


def write_gate(devices: Devices, settings: Settings) -> "WriteGate":
    """The gate; made only when the operator started the server with --allow-writes (the first lock)."""
    if settings.audit is None:
        raise AuditError("writes need an audit log", hint="Pass --audit FILE")
    by_plan = settings.approve == "plan"
    return WriteGate(devices=devices, audit=settings.audit, by_plan=by_plan, desk=settings.desk)


@dataclass
class WriteGate:
    """One writer at a time; what was sent in the last minute is remembered per tag."""

    devices: Devices
    audit: AuditLog
    by_plan: bool
    desk: ApprovalDesk | None = None
    clock: Callable[[], datetime] = _now
    plans: PlanBook = field(init=False)
    _sent: dict[str, deque[datetime]] = field(default_factory=dict)
    _one_writer: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: set[asyncio.Task[WriteAnswer]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.plans = PlanBook(clock=lambda: self.clock())

    def tool(self, prefix: str) -> Tool:
        """`<prefix>_write_tag`."""
        return Tool(
            name=f"{prefix}_write_tag",
            title="Write a tag",
            description="Writes one tag that the plant file allows, after a person approved it, and reads it back.",
            arguments=WriteTag,
            result=WriteAnswer,
            run=self.run,
            read_only=False,
            destructive=True,
            idempotent=False,
            open_world=True,
            # a person needs time to decide
            timeout_s=LIFETIME.total_seconds() + 25,
        )

    async def finish(self) -> None:
        """Wait until every write that has begun is recorded."""
        await asyncio.gather(*self._begun, return_exceptions=True)

    async def run(self, asked: WriteTag, call: Call) -> WriteAnswer | types.InputRequiredResult:
        """Refused, asked back, or done; refusals and outcomes are audited, a question is not yet an attempt."""
        attempt: dict[str, Any] = {
            "principal": call.principal,
            "client": call.client,
            "tag": asked.tag,
            "value": asked.value,
        }
        who = attempt | _said(_reason(asked))
        try:
            approved = await self._approved(asked, call)
            if isinstance(approved, types.InputRequiredResult):
                return approved
            # what the person was shown is recorded, whatever the call that came back says
            who = attempt | _said(approved.reason)
            return await self._to_the_end(self._write(asked, approved, who))
        except (OutcomeUnknownError, AuditError):
            raise
        except FactoryLMError as error:
            self.audit.append(_why_not(error), **who, reason=error.message)
            raise

    async def _to_the_end(self, write: Coroutine[Any, Any, WriteAnswer]) -> WriteAnswer:
        """A write that has begun is finished and recorded, also when the caller has gone."""
        task = asyncio.ensure_future(write)
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return await asyncio.shield(task)

    # -- locks two to four: may it be written, is the change sound, did a person agree ----------

    async def _approved(self, asked: WriteTag, call: Call) -> Plan | types.InputRequiredResult:
        tag = self.devices.plant.tag(asked.tag)
        if wrong := judge_value(tag, asked.value):
            raise WriteRefusedError(wrong, hint="Ask the operator if the plant file should allow it")
        before = await self._judged_change(tag, asked.value)
        plan_id = asked.plan_id if self.by_plan or self.desk else ""
        if call.can_ask:
            if not call.asks_between:
                return await self._asked_now(tag, asked, before, call)
            if call.params.input_responses is None:
                return self._question(tag, asked, before, call)
            plan_id = self._answered(call)
        elif self.desk:
            plan_id = await self._on_the_desk(self.desk, tag, asked, before, call)
        elif not plan_id:
            raise self._no_person(tag, asked, before, call)
        plan = self.plans.take(plan_id, principal=call.principal, tag=tag.id, value=asked.value)
        if moved := judge_plan(plan.before, before, _tolerance(tag)):
            raise WriteRefusedError(moved)
        return plan

    async def _judged_change(self, tag: Tag, value: Value) -> Value:
        [reading] = await self.devices.read([tag])
        # an implausible present value is a reason to look, not to write on
        before = reading.value if reading.quality.is_good else None
        wrong = judge_change(tag, value, before, self._sent.get(tag.id, ()), self.clock())
        if wrong or before is None:
            raise WriteRefusedError(wrong, hint=reading.problem and f"Reading says: {reading.problem}")
        return before

    async def _asked_now(self, tag: Tag, asked: WriteTag, before: Value, call: Call) -> Plan:
        plan_id = self._planned(tag, asked, before, call)
        answer = await call.ask(_question(tag, asked.value, before) + _claimed(asked), APPROVAL_FORM)
        _demand_yes(answer.action, answer.content)
        plan = self.plans.take(plan_id, principal=call.principal, tag=tag.id, value=asked.value)
        if moved := judge_plan(before, await self._judged_change(tag, asked.value), _tolerance(tag)):
            raise WriteRefusedError(moved)
        return plan

    def _question(self, tag: Tag, asked: WriteTag, before: Value, call: Call) -> types.InputRequiredResult:
        plan_id = self._planned(tag, asked, before, call)
        message = _question(tag, asked.value, before) + _claimed(asked)
        form = types.ElicitRequestFormParams(message=message, requested_schema=APPROVAL_FORM)
        question = types.ElicitRequest(params=form)
        return types.InputRequiredResult(
            input_requests={_QUESTION: question}, request_state=json.dumps({"plan": plan_id})
        )

    def _answered(self, call: Call) -> str:
        answer = (call.params.input_responses or {}).get(_QUESTION)
        if not isinstance(answer, types.ElicitResult):
            raise WriteRefusedError("the question was not answered", hint="Call again to be asked again")
        _demand_yes(answer.action, answer.content)
        try:
            return str(json.loads(call.params.request_state or "{}")["plan"])
        except (ValueError, KeyError, TypeError):
            raise WriteRefusedError("the answer came without its question's state") from None

    async def _on_the_desk(self, desk: ApprovalDesk, tag: Tag, asked: WriteTag, before: Value, call: Call) -> str:
        """Lay it on the operator's desk (or come back to it) and wait as long as a client's patience lasts."""
        plan_id = asked.plan_id
        if not plan_id:
            plan_id = self._planned(tag, asked, before, call)
            desk.put(self._request(plan_id, tag, asked, before, call))
        if await desk.wait(plan_id, _PATIENCE_S):
            return plan_id
        raise ConfirmationRequiredError(
            f"an operator has not yet decided on: {_question(tag, asked.value, before)}",
            hint=f"Call again with plan_id {plan_id} to wait on; it expires {LIFETIME.seconds} s after the first call",
        )

    def _request(self, plan_id: str, tag: Tag, asked: WriteTag, before: Value, call: Call) -> WriteRequest:
        now = self.clock()
        return WriteRequest(
            id=plan_id,
            tag=tag.id,
            description=tag.description,
            unit=tag.unit,
            before=before,
            value=asked.value,
            reason=_reason(asked),
            principal=call.principal,
            client=call.client,
            asked=now,
            expires=now + LIFETIME,
        )

    def _planned(self, tag: Tag, asked: WriteTag, before: Value, call: Call) -> str:
        return self.plans.open(
            principal=call.principal, tag=tag.id, value=asked.value, before=before, reason=_reason(asked)
        )

    def _no_person(self, tag: Tag, asked: WriteTag, before: Value, call: Call) -> WriteRefusedError:
        if not self.by_plan:
            return WriteRefusedError(
                "a person must approve each write, and this client cannot ask one",
                hint="Use a client with elicitation, or let the operator start the console, or --approve plan",
            )
        plan_id = self._planned(tag, asked, before, call)
        return ConfirmationRequiredError(
            _question(tag, asked.value, before),
            hint=f"Ask the user; after a yes call again with plan_id {plan_id} within {LIFETIME.seconds} s",
        )

    # -- the fifth lock: sent once, read back, recorded -----------------------------------------

    async def _write(self, asked: WriteTag, plan: Plan, who: dict[str, Any]) -> WriteAnswer:
        # the plant file may have changed while a person decided: the limits of now hold
        tag = self.devices.plant.tag(asked.tag)
        if wrong := judge_value(tag, asked.value):
            raise WriteRefusedError(wrong, hint="Ask the operator if the plant file should allow it")
        async with self._one_writer:
            # judged again under the lock: two approved writes must not pass one rate limit together
            before = await self._judged_change(tag, asked.value)
            if moved := judge_plan(plan.before, before, _tolerance(tag)):
                raise WriteRefusedError(moved)
            self.audit.append("sending", **who, before=before)
            self._note_sent(tag)
            note = await self._sent_once(tag, asked.value)
            receipt = await self._receipt(tag, asked.value, before, note)
        line = self.audit.append(receipt.outcome, **who, before=before, after=receipt.after, note=receipt.note)
        return _answer(receipt, line)

    async def _sent_once(self, tag: Tag, value: Value) -> str:
        """Empty, or why nobody knows whether it arrived."""
        try:
            await self.devices.line(tag.device).run(lambda driver: driver.write(tag, value))
        except OutcomeUnknownError as error:
            return error.message
        except DeviceRefusedError:
            raise
        except NotConnectedError as error:
            self._sent[tag.id].pop()
            raise NotConnectedError(f"{error.message}; nothing was sent", hint=error.hint) from error
        except DeviceError as error:
            return f"the connection failed while writing: {error.message}"
        return ""

    async def _receipt(self, tag: Tag, value: Value, before: Value, note: str) -> WriteReceipt:
        [found] = await self.devices.read([tag])
        after = found.value
        outcome: Literal["written", "differs", "unknown"]
        if agrees(value, after, _tolerance(tag)):
            outcome, note = "written", note and f"{note}; it reads back as requested"
        elif note or after is None:
            outcome = "unknown"
            note = note or f"sent and acknowledged, but it cannot be read back: {found.problem}"
        else:
            outcome, note = "differs", "the device acknowledged, but another value reads back"
        return WriteReceipt(
            tag=tag.id,
            outcome=outcome,
            before=before,
            requested=value,
            after=after,
            unit=tag.unit,
            time=self.clock(),
            note=note,
        )

    def _note_sent(self, tag: Tag) -> None:
        self._sent.setdefault(tag.id, deque(maxlen=600)).append(self.clock())


def _why_not(error: FactoryLMError) -> str:
    """The audit's word for a write that did not happen."""
    if isinstance(error, DeviceRefusedError):
        return "refused by the device"
    return "not sent" if isinstance(error, NotConnectedError) else "refused"


class ConfirmationRequiredError(WriteRefusedError):
    """Not written yet: somebody has to say yes first."""

    code = "CONFIRMATION_REQUIRED"


def _demand_yes(action: str, content: Any) -> None:
    if action == "accept" and isinstance(content, dict) and content.get("approve") is True:
        return
    said = "ticked no" if action == "accept" else {"decline": "declined"}.get(action, "closed the question")
    raise WriteRefusedError(f"the person {said}; nothing was sent")


def _question(tag: Tag, value: Value, before: Value) -> str:
    unit = f" {tag.unit}" if tag.unit else ""
    what = f" ({tag.description})" if tag.description else ""
    return f"Write {_told(value)}{unit} to {tag.id}{what}, now {_told(before)}{unit}?"


def _reason(asked: WriteTag) -> str:
    """The asker's own words, harmless and on one line; a person weighs them, nothing here does."""
    return told_to_the_model(asked.reason.strip()).replace('"', "'")


def _claimed(asked: WriteTag) -> str:
    """What goes last into the question, so that nothing after it can be taken for the server's words."""
    reason = _reason(asked)
    return f' The assistant gives this reason, which nobody has checked: "{reason}"' if reason else ""


def _said(reason: str) -> dict[str, str]:
    """For the audit trail; its own `reason` is why a write was refused."""
    return {"asked_because": reason} if reason else {}


def _told(value: Value) -> str:
    return str(shown(value)).lower() if isinstance(value, bool) else str(shown(value))


def _tolerance(tag: Tag) -> float:
    limits = tag.write
    return limits.tolerance if limits and limits.tolerance is not None else abs(tag.scale) / 2


def _answer(receipt: WriteReceipt, line: int) -> WriteAnswer:
    return WriteAnswer(
        tag=receipt.tag,
        outcome=receipt.outcome,
        before=shown(receipt.before),
        requested=receipt.requested,
        after=shown(receipt.after),
        unit=receipt.unit or None,
        time=instant(receipt.time),
        note=receipt.note or None,
        audit_line=line,
    )
