"""The demo plant's alarms: limits with deadband and on-delay, as a control system configures them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from factorylm_schema import AlarmEvent


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One configured alarm."""

    name: str
    signal: str
    side: Literal["above", "below"]
    at: float
    deadband: float
    delay_s: float
    severity: int
    text: str
    source: str = ""

    @property
    def area(self) -> str:
        """The area that announces it: its own word, or the area of its signal."""
        return self.source or (self.signal.split(".")[0] if "." in self.signal else "cell1")


LIMITS = (
    Limit(name="P101_VIB_HI", signal="drive1.vibration", side="above", at=2.8, deadband=0.2, delay_s=10, severity=500,
          text="P-101 vibration high"),
    Limit(name="P101_VIB_HIHI", signal="drive1.vibration", side="above", at=4.5, deadband=0.3, delay_s=5, severity=800,
          text="P-101 vibration very high"),
    Limit(name="P101_BRG_TEMP_HI", signal="drive1.bearing_temperature", side="above", at=70, deadband=2, delay_s=30,
          severity=600, text="P-101 bearing temperature high"),
    Limit(name="P101_SUCT_LO", signal="drive1.suction_pressure", side="below", at=0.8, deadband=0.05, delay_s=5,
          severity=600, text="P-101 suction pressure low"),
    Limit(name="T201_LEVEL_HI", signal="cell1.level", side="above", at=3.0, deadband=0.1, delay_s=10, severity=600,
          text="T-201 level high"),
    Limit(name="T201_LEVEL_LO", signal="cell1.level", side="below", at=1.0, deadband=0.1, delay_s=10, severity=600,
          text="T-201 level low"),
    Limit(name="V201_DEVIATION", signal="valve_deviation", side="above", at=0.12, deadband=0.03, delay_s=30,
          severity=400, text="V-201 position does not follow its command"),
    Limit(name="T201_BALANCE", signal="level_balance", side="above", at=0.35, deadband=0.05, delay_s=60, severity=300,
          text="T-201 level disagrees with the flow balance"),
    Limit(name="C401_CURRENT_HI", signal="pack1.motor_current", side="above", at=7.4, deadband=0.3, delay_s=10,
          severity=400, text="C-401 motor current high"),
    Limit(name="E301_TEMP_HI", signal="util1.product_out", side="above", at=46, deadband=1, delay_s=60, severity=500,
          text="E-301 product outlet temperature high"),
    Limit(name="AIR_PRESS_LO", signal="util1.air_pressure", side="below", at=5.6, deadband=0.1, delay_s=5,
          severity=500, text="Compressed air pressure low"),
    Limit(name="CELL1_COMM", signal="cell1_lost", side="above", at=0.5, deadband=0, delay_s=3, severity=700,
          text="No communication with the Siemens cell"),
    Limit(name="MCC1_VOLT_LO", signal="supply_voltage", side="below", at=340, deadband=20, delay_s=0, severity=800,
          text="Motor control centre undervoltage", source="util1"),
    Limit(name="UPS1_BATTERY", signal="supply_voltage", side="below", at=320, deadband=20, delay_s=1, severity=600,
          text="Control supply on battery", source="util1"),
    Limit(name="P101_STOPPED", signal="supply_voltage", side="below", at=280, deadband=20, delay_s=2, severity=700,
          text="P-101 drive stopped on undervoltage", source="drive1"),
    Limit(name="C401_STOPPED", signal="supply_voltage", side="below", at=280, deadband=20, delay_s=2, severity=600,
          text="C-401 contactor dropped out", source="pack1"),
    Limit(name="P301_STOPPED", signal="supply_voltage", side="below", at=280, deadband=20, delay_s=3, severity=600,
          text="P-301 river water pump dropped out", source="util1"),
    Limit(name="K501_STOPPED", signal="supply_voltage", side="below", at=280, deadband=20, delay_s=3, severity=600,
          text="K-501 air compressor dropped out", source="util1"),
    Limit(name="P101_FLOW_LO", signal="drive1.flow", side="below", at=3, deadband=1, delay_s=5, severity=600,
          text="P-101 flow low"),
    Limit(name="P101_DISCH_LO", signal="drive1.discharge_pressure", side="below", at=1.5, deadband=0.2, delay_s=5,
          severity=500, text="P-101 discharge pressure low"),
    Limit(name="C401_CURRENT_LO", signal="pack1.motor_current", side="below", at=1, deadband=0.3, delay_s=3,
          severity=300, text="C-401 motor current low"),
    Limit(name="C401_SPEED_LO", signal="pack1.belt_speed", side="below", at=5, deadband=1, delay_s=5, severity=400,
          text="C-401 belt speed low"),
    Limit(name="E301_WATER_LO", signal="util1.water_flow", side="below", at=4, deadband=1, delay_s=5, severity=600,
          text="E-301 river water flow low"),
)  # fmt: skip

# What "set into the noise" means for the fault chattering_limit: at the mean, no deadband, no delay
CHATTERING = {"AIR_PRESS_LO": {"at": 6.2, "deadband": 0.0, "delay_s": 0.0}}


@dataclass
class Watch:
    """One limit while the plant runs; yields an event where its state changes."""

    limit: Limit
    active: bool = False
    beyond_since: float | None = None

    def look(self, value: float, second: float, time: datetime, *, chattering: bool) -> Iterator[AlarmEvent]:
        """Compare, with the limit as configured or as mis-set."""
        own = self.limit
        changed = CHATTERING.get(own.name, {}) if chattering else {}
        at, deadband, delay = (changed.get(k, getattr(own, k)) for k in ("at", "deadband", "delay_s"))
        sign = 1 if own.side == "above" else -1
        beyond = sign * (value - at) > 0
        back = sign * (value - at) <= -deadband
        self.beyond_since = (self.beyond_since if self.beyond_since is not None else second) if beyond else None
        raised = beyond and self.beyond_since is not None and second - self.beyond_since >= delay
        if (not self.active and raised) or (self.active and back and not beyond):
            self.active = not self.active
            yield self._event(time)

    def _event(self, time: datetime) -> AlarmEvent:
        own = self.limit
        return AlarmEvent(
            time=time,
            source=own.area,
            name=own.name,
            text=own.text,
            severity=own.severity,
            active=self.active,
            acknowledged=not self.active,
        )


def watches() -> list[Watch]:
    """All limits, quiet."""
    return [Watch(limit) for limit in LIMITS]


def looked(
    watched: list[Watch], values: Mapping[str, float], second: float, time: datetime, *, chattering: bool
) -> list[AlarmEvent]:
    """The events of one moment."""
    events: list[AlarmEvent] = []
    for watch in watched:
        if watch.limit.signal in values:
            events += watch.look(values[watch.limit.signal], second, time, chattering=chattering)
    return events
