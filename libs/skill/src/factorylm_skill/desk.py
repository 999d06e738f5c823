"""The operator's desk: where writes wait for a person when the assistant's client cannot ask one."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from factorylm_schema import BadRequestError, UnknownNameError, Value, WriteRefusedError

from factorylm_skill.approval import LIFETIME

_MOST_KEPT = 100


class Decision(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class WriteRequest:
    """A write as a person must see it: exactly what, from, to, who asks; and why, in the asker's own words."""

    id: str
    tag: str
    description: str
    unit: str
    before: Value
    value: Value
    reason: str
    principal: str
    client: str
    asked: datetime
    expires: datetime


@dataclass
class _Entry:
    request: WriteRequest
    decision: Decision = Decision.WAITING
    by: str = ""
    decided: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class ApprovalDesk:
    """Requests and decisions; `changed` is called after each change, so that a page can show it."""

    clock: Callable[[], datetime]
    changed: Callable[[], None] = field(default=lambda: None)
    _entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)

    def put(self, request: WriteRequest) -> None:
        """Lay a request on the desk; the oldest ones that are no longer waiting go."""
        self._entries[request.id] = _Entry(request)
        while len(self._entries) > _MOST_KEPT:
            self._entries.popitem(last=False)
        self.changed()

    def requests(self) -> list[tuple[WriteRequest, Decision, str]]:
        """All requests with their decision and who took it, newest first."""
        for entry in self._entries.values():
            self._expire(entry)
        return [(e.request, e.decision, e.by) for e in reversed(self._entries.values())]

    def request(self, request_id: str) -> WriteRequest:
        """The request with that id."""
        return self._entry(request_id).request

    def decide(self, request_id: str, *, approve: bool, by: str) -> Decision:
        """A person decides, once; a second decision or one that comes too late is refused."""
        entry = self._entry(request_id)
        if entry.decision is not Decision.WAITING:
            raise BadRequestError(f"this write is already {entry.decision.value}", hint="Let the assistant ask again")
        entry.decision, entry.by = (Decision.APPROVED if approve else Decision.REFUSED), by
        entry.decided.set()
        self.changed()
        return entry.decision

    async def wait(self, request_id: str, seconds: float) -> bool:
        """True once approved, False when nobody has decided in `seconds`; raises WriteRefusedError otherwise."""
        entry = self._entry(request_id)
        try:
            async with asyncio.timeout(seconds):
                await entry.decided.wait()
        except TimeoutError:
            self._expire(entry)
        if entry.decision is Decision.WAITING:
            return False
        if entry.decision is Decision.APPROVED:
            entry.decision = Decision.DONE
            self.changed()
            return True
        if entry.decision is Decision.REFUSED:
            raise WriteRefusedError(f"{entry.by} refused this write on the operator's console")
        if entry.decision is Decision.EXPIRED:
            raise WriteRefusedError(f"nobody decided within {LIFETIME.seconds} s", hint="Call again without plan_id")
        raise WriteRefusedError("this approval was already used", hint="Call again without plan_id")

    def _entry(self, request_id: str) -> _Entry:
        try:
            entry = self._entries[request_id]
        except KeyError:
            raise UnknownNameError("write request", request_id, self._entries) from None
        self._expire(entry)
        return entry

    def _expire(self, entry: _Entry) -> None:
        if entry.decision is Decision.WAITING and self.clock() > entry.request.expires:
            entry.decision = Decision.EXPIRED
            entry.decided.set()
            self.changed()
