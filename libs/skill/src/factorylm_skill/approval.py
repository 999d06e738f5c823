"""The fourth lock: a person says yes to exactly this write, once, and soon."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from factorylm_schema import Value, WriteRefusedError

LIFETIME = timedelta(seconds=120)
_MOST_PLANS = 100

APPROVAL_FORM = {
    "type": "object",
    "properties": {
        "approve": {
            "type": "boolean",
            "title": "Approve this write",
            "description": "It happens once",
        }
    },
    "required": ["approve"],
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A write somebody may approve: bound to who asked, the tag, the value and the value before.

    `reason` is what the asker said for it, as the person was shown it.
    """

    principal: str
    tag: str
    value: Value
    before: Value
    reason: str
    expires: datetime


@dataclass
class PlanBook:
    """Plans waiting for a yes. A plan id is random, used once, and good for `LIFETIME`."""

    clock: Callable[[], datetime]
    token: Callable[[], str] = field(default=lambda: secrets.token_urlsafe(12))
    _plans: OrderedDict[str, Plan] = field(default_factory=OrderedDict)

    def open(self, *, principal: str, tag: str, value: Value, before: Value, reason: str = "") -> str:
        """Note the plan; returns its id."""
        plan_id = self.token()
        expires = self.clock() + LIFETIME
        self._plans[plan_id] = Plan(
            principal=principal, tag=tag, value=value, before=before, reason=reason, expires=expires
        )
        while len(self._plans) > _MOST_PLANS:
            self._plans.popitem(last=False)
        return plan_id

    def take(self, plan_id: str, *, principal: str, tag: str, value: Value) -> Plan:
        """Use the plan up; raises WriteRefusedError when it is unknown, used, too old or for another write."""
        plan = self._plans.pop(plan_id, None)
        again = "Call again without plan_id to get a new one"
        if plan is None:
            raise WriteRefusedError("this plan_id is unknown or was already used", hint=again)
        if self.clock() > plan.expires:
            raise WriteRefusedError(f"this plan_id is older than {LIFETIME.seconds} s", hint=again)
        if (plan.principal, plan.tag, type(plan.value), plan.value) != (principal, tag, type(value), value):
            raise WriteRefusedError("this plan_id was given for another write", hint=again)
        return plan
