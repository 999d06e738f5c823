"""The simulated pump as a controller's tags."""

import time
from dataclasses import dataclass, field
from typing import Any

from factorylm_skill.simulated_pump import MODES, Pump

from factorylm_enip.simulated_controller import Controller
from factorylm_enip.simulated_tags import STRING_TEMPLATE, Access, Symbol, got, put, string_template, structure


def pump_station(pump: Pump) -> Controller:
    """The pump as a controller's tags: they follow it, and writing them steers it."""
    controller = Controller(clock=time.time)
    station = _Station(pump, controller)
    controller.refresh = station.show
    controller.written = station.steer
    station.show()
    return controller


@dataclass
class _Station:
    pump: Pump
    controller: Controller
    _unit: Symbol = field(init=False)
    _outputs: Symbol = field(init=False)
    _bearings: Symbol = field(init=False)

    def __post_init__(self) -> None:
        plate = self.controller.learn(string_template(0x1A0, "STRING16", 16))
        kind = self.controller.learn(
            structure(
                0x1A1,
                "UDT_Pump",
                [
                    ("Running", "BOOL", 0),
                    ("Fault", "BOOL", 0),
                    ("Speed", "REAL", 0),
                    ("Setpoint", "DINT", 0),
                    ("Mode", "DINT", 0),
                    ("Status", "DINT", 0),
                    ("Current", "REAL", 0),
                    ("Flow", "REAL", 0),
                    ("Pressure", "REAL", 0),
                    ("Nameplate", plate, 0),
                    ("Starts", "DINT", 10),
                ],
            )
        )
        tags = self.controller.tags
        self._unit = tags.add("Pump1", kind)
        self._outputs = tags.add("Outputs", "BOOL", 64)
        tags.add("Recipe", STRING_TEMPLATE)
        tags.add("SerialNumber", "DINT", access=Access.READ_ONLY)
        tags.add("Counts", "DINT", 1000)
        main = self.controller.add_program("Main")
        self._bearings = main.add("BearingTemperature", "INT", 4)
        main.add("Cycle", "DINT")

    def show(self) -> None:
        """The process moves on and the tags follow."""
        pump = self.pump
        pump.advance()
        warm = pump.bearing_temperature > 80
        shown: dict[str, Any] = {
            "Running": pump.running,
            "Speed": pump.speed,
            "Setpoint": pump.setpoint,
            "Mode": pump.mode,
            "Status": pump.running | (pump.mode == 2) << 1 | warm << 2,
            "Current": pump.current,
            "Flow": pump.flow,
            "Pressure": pump.pressure,
            "Nameplate": pump.nameplate,
        }
        for member, value in shown.items():
            put(self._unit, [member], value)
        put(self._bearings, [0], round(pump.bearing_temperature * 10))
        self._show_beacon()

    def _show_beacon(self) -> None:
        word = got(self._outputs, [1])
        put(self._outputs, [1], word | 2 if self.pump.beacon else word & ~2)

    def steer(self) -> None:
        """A write reaches the process."""
        self.pump.setpoint = got(self._unit, ["Setpoint"])
        mode = got(self._unit, ["Mode"])
        self.pump.mode = mode if mode in MODES else self.pump.mode
        self.pump.beacon = bool(got(self._outputs, [1]) & 2)
