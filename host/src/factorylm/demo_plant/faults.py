"""What can go wrong in the demo plant, by name; each grows in time, and its truth is recorded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FaultKind:
    """One kind of fault: how long it takes to grow from nothing to full, and what it touches.

    Of its alarms the one that comes first stands first.
    """

    description: str
    grows_h: float
    signals: tuple[str, ...]
    alarms: tuple[str, ...]


FAULTS = {
    "bearing_wear": FaultKind(
        description="The pump's drive-end bearing wears: vibration, then temperature and power rise, until it fails",
        grows_h=96.0,
        signals=("drive1.vibration", "drive1.bearing_temperature", "drive1.power"),
        alarms=("P101_VIB_HI", "P101_VIB_HIHI", "P101_BRG_TEMP_HI"),
    ),
    "cavitation": FaultKind(
        description="The suction strainer clogs: suction pressure and flow fall, vibration and pressure noise rise",
        grows_h=2.0,
        signals=("drive1.suction_pressure", "drive1.flow", "drive1.vibration", "drive1.discharge_pressure"),
        alarms=("P101_SUCT_LO", "P101_VIB_HI"),
    ),
    "fouling": FaultKind(
        description="The exchanger fouls: the product leaves warmer at the same water flow",
        grows_h=72.0,
        signals=("util1.product_out", "util1.water_out"),
        alarms=("E301_TEMP_HI",),
    ),
    "stuck_valve": FaultKind(
        description="The outlet valve V-201 sticks: the position no longer follows the command, the level drifts away",
        grows_h=0.0,
        signals=("cell1.valve_position", "cell1.valve_command", "cell1.level"),
        alarms=("V201_DEVIATION", "T201_LEVEL_HI", "T201_LEVEL_LO"),
    ),
    "sensor_drift": FaultKind(
        description="The level sensor of T-201 drifts upwards; the controller follows it and empties the tank",
        grows_h=24.0,
        signals=("cell1.level", "cell1.outflow"),
        alarms=("T201_BALANCE",),
    ),
    "chattering_limit": FaultKind(
        description="The low-pressure limit of the air supply is set into the noise without deadband: it chatters",
        grows_h=0.0,
        signals=("util1.air_pressure",),
        alarms=("AIR_PRESS_LO",),
    ),
    "communication_loss": FaultKind(
        description="The Siemens cell stops answering",
        grows_h=0.0,
        signals=("cell1",),
        alarms=("CELL1_COMM",),
    ),
    "power_loss": FaultKind(
        description="The motors lose their supply: pump, belt, cooling water and air stop together",
        grows_h=0.0,
        signals=("drive1.speed", "drive1.flow", "pack1.belt_speed", "util1.water_flow", "util1.air_pressure"),
        alarms=(
            "MCC1_VOLT_LO",
            "UPS1_BATTERY",
            "P101_STOPPED",
            "C401_STOPPED",
            "P301_STOPPED",
            "K501_STOPPED",
            "C401_CURRENT_LO",
            "C401_SPEED_LO",
            "E301_WATER_LO",
            "P101_FLOW_LO",
            "P101_DISCH_LO",
            "E301_TEMP_HI",
            "AIR_PRESS_LO",
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class PlantFault:
    """A fault that begins at `begin_h` hours and ends, if ever, at `end_h`; `grows_h` overrides its kind's."""

    name: str
    begin_h: float = 0.0
    end_h: float | None = None
    grows_h: float | None = None

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"there is no fault {self.name!r}; the faults are {', '.join(FAULTS)}")

    def strength(self, hour: float) -> float:
        """From 0 (absent) to 1 (full) at `hour`; wear accelerates, the others grow evenly."""
        if hour < self.begin_h or (self.end_h is not None and hour >= self.end_h):
            return 0.0
        grows = FAULTS[self.name].grows_h if self.grows_h is None else self.grows_h
        share = 1.0 if grows <= 0 else min(1.0, (hour - self.begin_h) / grows)
        return share**2.2 if self.name == "bearing_wear" else share

    def truth(self) -> dict[str, Any]:
        """What to judge an analysis against."""
        kind = FAULTS[self.name]
        grows = kind.grows_h if self.grows_h is None else self.grows_h
        fails = self.begin_h + grows if self.name == "bearing_wear" else None
        touched = {"signals": list(kind.signals), "alarms": list(kind.alarms)}
        return {**asdict(self), "description": kind.description, **touched, "grows_h": grows, "fails_h": fails}


def strengths(faults: Sequence[PlantFault], hour: float) -> dict[str, float]:
    """Every kind's strength at `hour`; the strongest where one kind is injected twice."""
    found = dict.fromkeys(FAULTS, 0.0)
    for fault in faults:
        found[fault.name] = max(found[fault.name], fault.strength(hour))
    return found
