"""A Logix controller on loopback: the small live pump, and switches that make it misbehave.

Speaks EtherNet/IP on TCP, and ListIdentity on the UDP port of the same number. Every fault kind makes sense here;
before there is a sequence number (session, identity), `wrong-sequence` answers with another sender context.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from factorylm_skill.live_process import LiveProcess
from factorylm_skill.simulated_pump import Pump, pump_plant
from factorylm_skill.simulation import Simulation

from factorylm_enip.pump_station import pump_station
from factorylm_enip.simulated_controller import Controller
from factorylm_enip.simulated_process import ProcessTags
from factorylm_enip.simulated_wire import LOOPBACK, Wire


@asynccontextmanager
async def simulate(
    *,
    port: int = 0,
    process: LiveProcess | None = None,
    device: str = "pump1",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Simulation]:
    """The simulated pump station, or any process (factorylm_skill.simulation.Simulates)."""
    tags = ProcessTags(process, Controller(clock=time.time), device) if process else None
    controller = tags.controller if tags else pump_station(Pump(clock))
    async with Wire(controller=controller).running(port) as wire:
        url = f"enip://{LOOPBACK}:{wire.port}/0"
        plant = tags.plant(url) if tags else pump_plant("factorylm_enip", url)
        yield Simulation(plant_toml=plant, faults=wire.faults)
