"""100,000 seeded attempts to write through the gate, judged against the simulated device's memory.

A second, deliberately naive judge decides what may pass. After every attempt the device's memory must hold
exactly what that judge allowed, and no other write may have reached the wire. Every attempt leaves a line in the
audit trail, so the trail counts them.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from factorylm_modbus import SKILL
from factorylm_modbus.address import Table
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.simulator import serving
from factorylm_schema import FactoryLMError, Value
from factorylm_skill import Devices
from factorylm_skill.answers import WriteTag
from factorylm_skill.command import simulated_plant
from factorylm_skill.writing import WriteGate

ATTEMPTS = 100_000
PLANT = """
[devices.p]
url = "modbus-tcp://127.0.0.1:{port}?unit=1"

[devices.p.tags]
level = {{ address = "holding-register:31:UINT", write = {{ min = 0, max = 1800, max_step = 200, per_minute = 6 }} }}
depth = {{ address = "holding-register:32:INT", scale = 0.1, write = {{ min = -50, max = 50, max_step = 10 }} }}
lamp = {{ address = "coil:3", write = {{ allowed = [true, false] }} }}
locked = {{ address = "holding-register:33:UINT" }}
"""
WRITABLE = ("p.level", "p.depth", "p.lamp")
OTHERS = ("p.locked", "p.nothing", "p/holding-register:31:UINT", "p/40031", "q.level", "", "p.level ")


@dataclass
class Records:
    """An audit trail in memory: 100,000 fsyncs would test the disk."""

    events: list[str] = field(default_factory=list)
    attempts: int = 0

    def append(self, event: str, **_: Any) -> int:
        self.events.append(event)
        self.attempts += event != "sending"
        return len(self.events)


@dataclass(frozen=True)
class FakeCall:
    """A client that cannot ask its user."""

    principal: str = "local"
    client: str = "fuzz"
    can_ask: bool = False
    asks_between: bool = False


@dataclass
class Judge:
    """What may be written, decided without any of the gate's code."""

    holds: dict[str, Any] = field(default_factory=lambda: {"p.level": 0, "p.depth": 0, "p.lamp": False})
    sent: dict[str, list[datetime]] = field(default_factory=dict)

    def allows(self, tag: str, value: Value, now: datetime) -> bool:
        if tag == "p.lamp":
            sound = value is True or value is False
        elif tag == "p.level":
            sound = (
                _number(value) and 0 <= value <= 1800 and value == int(value) and abs(value - self.holds[tag]) <= 200
            )
        elif tag == "p.depth":
            sound = _number(value) and -50 <= value <= 50 and abs(value - self.holds[tag]) <= 10
            sound = sound and math.isclose(value * 10, round(value * 10), abs_tol=1e-9)
        else:
            return False
        return sound and sum(now - at < timedelta(minutes=1) for at in self.sent.get(tag, [])[-6:]) < 6

    def note(self, tag: str, value: Value, now: datetime) -> None:
        self.holds[tag] = value
        self.sent.setdefault(tag, []).append(now)


def _number(value: Value) -> bool:
    if isinstance(value, bool | str):
        return False
    return value.bit_length() <= 64 if isinstance(value, int) else math.isfinite(value)


def _values(rng: random.Random, judge: Judge, tag: str) -> Value:
    now = judge.holds.get(tag, 0)
    near = (
        now
        if isinstance(now, bool)
        else now + rng.choice((-201, -200, -10.1, -10, -1, -0.1, 0, 0.1, 1, 10, 10.1, 200, 201))
    )
    near = round(near, 6) if isinstance(near, float) else near
    makers: list[Callable[[], Value]] = [
        lambda: near,
        lambda: near,
        lambda: rng.randint(-100, 2000),
        lambda: round(rng.uniform(-60, 60), 1),
        lambda: rng.choice((True, False)),
        lambda: rng.choice((0, 1, "1", "true", "", "nan", "DROP", 0.5, -0.0, 65536, 10**400, 1e308)),
        lambda: rng.choice((math.nan, math.inf, -math.inf)),
    ]
    return rng.choice(makers)()


async def test_no_attempt_of_100000_changes_the_device_except_as_allowed(tmp_path) -> None:
    rng = random.Random(20261120)
    now = [datetime(2026, 11, 20, tzinfo=UTC)]
    device = SimulatedDevice()
    device.define(Table.HOLDING_REGISTER, 0, 40)
    device.define(Table.COIL, 0, 8)
    async with serving(device, port=0) as port:
        devices = Devices(simulated_plant(PLANT.format(port=port), SKILL), SKILL.connect)
        records = Records()
        gate = WriteGate(devices=devices, audit=records, by_plan=True, clock=lambda: now[0])  # type: ignore[arg-type]
        judge = Judge()
        allowed = 0
        while records.attempts < ATTEMPTS:
            now[0] += timedelta(seconds=rng.choice((0, 0.5, 3, 15)))
            tag = rng.choice(WRITABLE) if rng.random() < 0.7 else rng.choice(OTHERS)
            value = _values(rng, judge, tag)
            expected = judge.allows(tag, value, now[0])
            done = await _attempt(gate, rng, tag, value)
            if done:
                assert expected, (tag, value, judge.holds)
                judge.note(tag, value, now[0])
                allowed += 1
            assert device.faults.writes == allowed, (tag, value)
            assert device.get(Table.HOLDING_REGISTER, 30) == judge.holds["p.level"], (tag, value)
            assert device.get(Table.HOLDING_REGISTER, 31) == round(judge.holds["p.depth"] * 10) % 65536, (tag, value)
            assert device.get(Table.COIL, 2) == judge.holds["p.lamp"], (tag, value)
        await devices.close()
    # a fraction for a whole-number register is refused by the driver, after "sending" was recorded
    assert records.events.count("written") == allowed <= records.events.count("sending")
    assert allowed > 1_000, "the gate let too little pass for the test to mean anything"
    assert records.events.count("refused") > ATTEMPTS / 2


async def _attempt(gate: WriteGate, rng: random.Random, tag: str, value: Value) -> bool:
    """One attempt: with an honest plan, or one that is invented, altered, used up, or of another tag."""
    call: Any = FakeCall()
    plan = ""
    try:
        await gate.run(WriteTag.model_construct(tag=tag, value=value, plan_id=""), call)
    except FactoryLMError as error:
        plan = error.hint.split("plan_id ")[1].split()[0] if "plan_id " in error.hint else ""
    trick = rng.choice(("honest", "honest", "honest", "invented", "altered", "stranger"))
    asked = WriteTag.model_construct(tag=tag, value=value, plan_id=plan if trick != "invented" else "x" * 16)
    if trick == "altered":
        altered = (not value) if isinstance(value, bool) else (value + 1 if _number(value) else 1)
        asked = asked.model_copy(update={"value": altered})
    if trick == "stranger":
        call = FakeCall(principal="somebody else")
    try:
        answer = await gate.run(asked, call)
    except FactoryLMError:
        return False
    assert plan, "written without any plan"
    assert trick == "honest", trick
    assert answer.outcome == "written"
    again = WriteTag.model_construct(tag=tag, value=value, plan_id=plan)
    try:
        await gate.run(again, call)
    except FactoryLMError:
        return True
    raise AssertionError("one plan wrote twice")
