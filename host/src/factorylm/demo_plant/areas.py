"""The plant as four devices, as a real one is: a drive on Modbus, a Siemens cell, a Logix line, OPC UA utilities."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from factorylm_schema import Value, WriteLimits
from factorylm_skill.live_process import Signal

from factorylm.demo_plant.plant import DemoPlant


def _real(name: str, unit: str, description: str, low: float, high: float, write: WriteLimits | None = None) -> Signal:
    return Signal(name=name, type="real", unit=unit, description=description, minimum=low, maximum=high, write=write)


def _limits(low: float, high: float, step: float) -> WriteLimits:
    return WriteLimits(min=low, max=high, max_step=step, per_minute=6)


SIGNALS: dict[str, tuple[Signal, ...]] = {
    "drive1": (
        _real("speed", "/min", "P-101 motor speed", 0, 1800),
        _real("speed_setpoint", "/min", "P-101 speed set-point", 0, 1500, _limits(600, 1500, 200)),
        Signal(name="running", type="bool", description="P-101 runs"),
        _real("power", "kW", "P-101 shaft power", 0, 15),
        _real("current", "A", "P-101 motor current", 0, 40),
        _real("flow", "m3/h", "Flow behind P-101", 0, 80),
        _real("suction_pressure", "bar", "Pressure before P-101", 0, 4),
        _real("discharge_pressure", "bar", "Pressure behind P-101", 0, 10),
        _real("bearing_temperature", "Cel", "P-101 drive-end bearing", -20, 150),
        _real("vibration", "mm/s", "P-101 drive-end vibration, RMS", 0, 20),
    ),
    "cell1": (
        _real("level", "m", "T-201 level", 0, 5),
        _real("level_setpoint", "m", "T-201 level set-point", 0, 4, _limits(1.2, 2.8, 0.5)),
        _real("inflow", "m3/h", "Into T-201", -2, 80),
        _real("outflow", "m3/h", "Out of T-201", -2, 120),
        _real("valve_command", "%", "V-201 command", 0, 100),
        _real("valve_position", "%", "V-201 position", -2, 102),
    ),
    "pack1": (
        _real("belt_speed", "m/min", "C-401 belt speed", -1, 40),
        _real("belt_setpoint", "m/min", "C-401 belt speed set-point", 0, 36, _limits(10, 30, 5)),
        Signal(name="running", type="bool", description="C-401 runs"),
        _real("load", "%", "How full the belt is", -5, 105),
        _real("motor_current", "A", "C-401 motor current", 0, 20),
        _real("motor_temperature", "Cel", "C-401 motor winding", -20, 180),
        Signal(name="pieces", type="int", unit="{piece}", description="Pieces packed"),
        Signal(name="state", type="int", description="Line state", enum={0: "stopped", 1: "running", 2: "jammed"}),
    ),
    "util1": (
        _real("product_in", "Cel", "E-301 product in", 0, 120),
        _real("product_out", "Cel", "E-301 product out", 0, 120),
        _real("water_in", "Cel", "E-301 river water in", -5, 60),
        _real("water_out", "Cel", "E-301 river water out", -5, 90),
        _real("water_flow", "m3/h", "E-301 river water", 0, 60),
        _real("water_setpoint", "m3/h", "E-301 river water set-point", 0, 60, _limits(8, 40, 6)),
        _real("air_pressure", "bar", "Compressed air", 0, 10),
        _real("ambient", "Cel", "Hall temperature", -30, 60),
    ),
}

# Which protocol each area speaks
AREAS = {"drive1": "modbus", "cell1": "s7", "pack1": "enip", "util1": "opcua"}


@dataclass(frozen=True)
class Area:
    """One area of the plant as a live process (factorylm_skill.live_process)."""

    name: str
    plant: DemoPlant
    seconds: Callable[[], float]

    @property
    def signals(self) -> Sequence[Signal]:
        """The area's signals."""
        return SIGNALS[self.name]

    def advance(self) -> None:
        """Bring the whole plant up to now."""
        self.plant.advance_to(self.seconds())

    def value(self, name: str) -> Value:
        """What the sensor says."""
        return self.plant.values[f"{self.name}.{name}"]

    def set(self, name: str, value: Value) -> None:
        """An operator's write."""
        self.plant.set_values([(f"{self.name}.{name}", value)])
