"""The demo plant in time: machines, faults and alarms stepped together, in real time or as fast as it goes."""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from factorylm_schema import AlarmEvent, Value

from factorylm.demo_plant.faults import PlantFault, strengths
from factorylm.demo_plant.limits import Watch, looked, watches
from factorylm.demo_plant.machines import AirSupply, Conveyor, Exchanger, Pump, Tank, lagged

STEP_S = 1.0
_DAY_S = 86_400.0
_MOST_EVENTS = 10_000


@dataclass
class DemoPlant:
    """`advance_to` moves it; `values` are what its sensors say at that moment, noise and faults included."""

    seed: int = 1
    begin: datetime = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
    faults: list[PlantFault] = field(default_factory=list)
    second: float = 0.0
    pump: Pump = field(default_factory=Pump)
    tank: Tank = field(default_factory=Tank)
    conveyor: Conveyor = field(default_factory=Conveyor)
    exchanger: Exchanger = field(default_factory=Exchanger)
    air: AirSupply = field(default_factory=AirSupply)
    values: dict[str, Value] = field(default_factory=dict)
    events: deque[AlarmEvent] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    written: deque[tuple[datetime, str, Value]] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    _watches: list[Watch] = field(default_factory=watches)
    _random: random.Random = field(init=False)
    returned: float = 4.0
    _demand: float = 0.6
    _returning: float = 4.0
    _balance: float = 2.0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (simulated noise, not a secret)
        self._sense(strengths(self.faults, 0.0))

    @property
    def now(self) -> datetime:
        """The plant's own time."""
        return self.begin + timedelta(seconds=self.second)

    @property
    def hour(self) -> float:
        """Hours since the beginning."""
        return self.second / 3600

    def advance_to(self, second: float) -> list[AlarmEvent]:
        """Step to `second` after the beginning; the alarm events on the way."""
        found: list[AlarmEvent] = []
        while self.second + STEP_S <= second + 1e-9:
            found += self.step()
        return found

    def step(self) -> list[AlarmEvent]:
        """One second."""
        self.second += STEP_S
        faults = strengths(self.faults, self.hour)
        self._move(faults)
        self._sense(faults)
        numbers = {name: float(v) for name, v in self.values.items() if not isinstance(v, str)}
        events = looked(
            self._watches,
            numbers | self._watched_only(faults),
            self.second,
            self.now,
            chattering=faults["chattering_limit"] > 0,
        )
        self.events.extend(events)
        return events

    def inject(self, fault: PlantFault) -> None:
        """Let a fault begin (or be scheduled)."""
        self.faults.append(fault)

    def set_values(self, changes: Sequence[tuple[str, Value]]) -> None:
        """Operators' writes; unknown names raise KeyError."""
        for name, value in changes:
            machine, attribute = SET_POINTS[name]
            setattr(getattr(self, machine), attribute, value)
            self.values[name] = value
            self.written.append((self.now, name, value))

    def physical(self) -> dict[str, float]:
        """The pump as it is, without noise: what readings are judged against."""
        faults, pump = strengths(self.faults, self.hour), self.pump
        return {
            "drive1.speed_setpoint": pump.setpoint,
            "drive1.speed": pump.speed,
            "drive1.flow": pump.flow,
            "drive1.power": pump.power(faults["bearing_wear"]),
            "drive1.suction_pressure": pump.suction,
            "drive1.bearing_temperature": pump.bearing_temperature,
            "drive1.vibration": pump.vibration(faults["bearing_wear"], faults["cavitation"]),
        }

    # -- machines and sensors -------------------------------------------------------------------

    def _move(self, faults: dict[str, float]) -> None:
        ambient = self.ambient
        for machine in (self.pump, self.conveyor, self.exchanger, self.air):
            machine.supplied = faults["power_loss"] == 0
        self.air.step(STEP_S)
        self.pump.step(STEP_S, ambient=ambient, wear=faults["bearing_wear"], cavitation=faults["cavitation"])
        measured = self.tank.level + faults["sensor_drift"] * 0.9
        if self._random.random() < 1 / 1200:
            self._returning = self._random.uniform(0.0, 9.0)
        self.returned = lagged(self.returned, self._returning, 60.0, STEP_S)
        inflow = self.pump.flow + self.returned
        self.tank.step(STEP_S, inflow=inflow, measured=measured, stuck=faults["stuck_valve"] > 0)
        # an open-loop estimate of the level that forgets in ten minutes: what the balance alarm compares with
        change = (inflow - self.tank.outflow) / 3600 / Tank.AREA
        self._balance += change + (self.tank.level - self._balance) / 600
        if self._random.random() < 1 / 900:
            self._demand = self._random.uniform(0.35, 0.85)
        self.conveyor.step(STEP_S, ambient=ambient, demand=self._demand)
        self.exchanger.step(STEP_S, product_in=self.product_in, water_in=self.water_in, fouling=faults["fouling"])

    @property
    def ambient(self) -> float:
        """Cel in the hall, with the day."""
        return 21 + 3 * math.sin(math.tau * (self.second / _DAY_S - 0.1))

    @property
    def product_in(self) -> float:
        """Cel of the product before cooling."""
        return 68 + 2 * math.sin(math.tau * self.second / 7_200)

    @property
    def water_in(self) -> float:
        """Cel of the river."""
        return 16 + 1.5 * math.sin(math.tau * (self.second / _DAY_S - 0.25))

    def _sense(self, faults: dict[str, float]) -> None:
        noisy = self._noisy
        wear, cavitation = faults["bearing_wear"], faults["cavitation"]
        pump, tank, belt, cooler = self.pump, self.tank, self.conveyor, self.exchanger
        power = noisy(pump.power(wear), 0.03)
        self.values.update(
            {
                "drive1.speed": noisy(pump.speed, 1.0),
                "drive1.speed_setpoint": pump.setpoint,
                "drive1.running": pump.turning,
                "drive1.power": power,
                "drive1.current": noisy(2.1 + 1.78 * max(0.0, power), 0.03),
                "drive1.flow": noisy(pump.flow, 0.15),
                "drive1.suction_pressure": noisy(pump.suction, 0.01),
                "drive1.discharge_pressure": noisy(pump.discharge, 0.015 + 0.12 * cavitation),
                "drive1.bearing_temperature": noisy(pump.bearing_temperature, 0.15),
                "drive1.vibration": max(0.0, noisy(pump.vibration(wear, cavitation), 0.05 + 0.25 * cavitation)),
                "cell1.level": noisy(tank.level + 0.9 * faults["sensor_drift"], 0.005),
                "cell1.level_setpoint": tank.level_setpoint,
                "cell1.inflow": noisy(pump.flow + self.returned, 0.2),
                "cell1.outflow": noisy(tank.outflow, 0.2),
                "cell1.valve_command": round(100 * tank.command, 2),
                "cell1.valve_position": noisy(100 * tank.valve, 0.1),
                "pack1.belt_speed": noisy(belt.speed, 0.05),
                "pack1.belt_setpoint": belt.setpoint,
                "pack1.running": belt.turning,
                "pack1.load": noisy(100 * belt.load, 0.5),
                "pack1.motor_current": noisy(belt.current, 0.04),
                "pack1.motor_temperature": noisy(belt.motor_temperature, 0.15),
                "pack1.pieces": int(belt.produced),
                "pack1.state": 1 if belt.turning else 0,
                "util1.product_in": noisy(self.product_in, 0.05),
                "util1.product_out": noisy(cooler.product_out, 0.05),
                "util1.water_in": noisy(self.water_in, 0.05),
                "util1.water_out": noisy(cooler.water_out, 0.05),
                "util1.water_flow": noisy(cooler.flowing, 0.05),
                "util1.water_setpoint": cooler.water_flow,
                "util1.air_pressure": noisy(self.air.pressure + 0.05 * math.sin(math.tau * self.second / 180), 0.04),
                "util1.ambient": noisy(self.ambient, 0.05),
            }
        )

    def _noisy(self, value: float, sigma: float) -> float:
        return round(value + self._random.gauss(0.0, sigma), 4)

    def _watched_only(self, faults: dict[str, float]) -> dict[str, float]:
        """What the control system computes for its alarms and shows nowhere."""
        level = self.values["cell1.level"]
        assert isinstance(level, float)
        return {
            "valve_deviation": abs(self.tank.command - self.tank.valve),
            "level_balance": abs(level - self._balance),
            "cell1_lost": faults["communication_loss"],
            "supply_voltage": 400.0 * (1 - faults["power_loss"]),
        }


# What operators may set: signal -> machine and its attribute
SET_POINTS = {
    "drive1.speed_setpoint": ("pump", "setpoint"),
    "drive1.running": ("pump", "running"),
    "cell1.level_setpoint": ("tank", "level_setpoint"),
    "pack1.belt_setpoint": ("conveyor", "setpoint"),
    "pack1.running": ("conveyor", "running"),
    "util1.water_setpoint": ("exchanger", "water_flow"),
}
