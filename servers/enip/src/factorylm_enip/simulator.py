"""A Logix controller on loopback: the small live pump, and switches that make it misbehave.

Speaks EtherNet/IP on TCP, and ListIdentity on the UDP port of the same number. Every fault kind makes sense here;
before there is a sequence number (session, identity), `wrong-sequence` answers with another sender context.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from factorylm_skill.live_process import LiveProcess
from factorylm_skill.simulated_pump import MODES, Pump
from factorylm_skill.simulation import Simulation

from factorylm_enip.simulated_controller import Controller
from factorylm_enip.simulated_process import ProcessTags, process_plant
from factorylm_enip.simulated_tags import STRING_TEMPLATE, Access, Symbol, got, put, string_template, structure
from factorylm_enip.simulated_wire import LOOPBACK, Wire

_PLANT_URL = "enip://127.0.0.1:44818/0"


@asynccontextmanager
async def simulate(
    *,
    port: int = 0,
    process: LiveProcess | None = None,
    device: str = "pump1",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Simulation]:
    """The simulated pump station, or any process (factorylm_skill.simulation.Simulates)."""
    if process is None:
        controller = pump_station(Pump(clock))
    else:
        controller = Controller(clock=time.time)
        ProcessTags(process, controller, device)
    async with Wire(controller=controller).running(port) as wire:
        url = f"enip://{LOOPBACK}:{wire.port}/0"
        plant = process_plant(process, device, url) if process else _pump_plant(url)
        yield Simulation(plant_toml=plant, faults=wire.faults)


def _pump_plant(url: str) -> str:
    text = files("factorylm_enip").joinpath("simulated_plant.toml").read_text(encoding="utf-8")
    return text.replace(_PLANT_URL, url)


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
