"""An OPC UA server on loopback: the small live pump, or any process, behind a line that misbehaves on request."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from factorylm_skill.faults import FaultSwitches
from factorylm_skill.live_process import LiveProcess
from factorylm_skill.simulated_pump import pump_plant
from factorylm_skill.simulation import Simulation

from factorylm_opcua.faulty_line import FaultyLine
from factorylm_opcua.pump_station import PumpServer
from factorylm_opcua.simulated_process import ProcessServer, process_server

HOST = "127.0.0.1"


@asynccontextmanager
async def serve(
    *,
    port: int = 0,
    process: LiveProcess | None = None,
    device: str = "pump1",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Simulation]:
    """The pump, or `process` as a server of its own, live on 127.0.0.1 (factorylm_skill.simulation.Simulates)."""
    server = process_server(process, device) if process else PumpServer(clock=clock)
    await server.start()
    line = FaultyLine(server.port, FaultSwitches(), port)
    try:
        await line.up()
        url = f"opc.tcp://{HOST}:{line.port}"
        plant = server.plant(url) if isinstance(server, ProcessServer) else pump_plant("factorylm_opcua", url)
        yield Simulation(plant_toml=plant, faults=line.faults)
    finally:
        await line.down()
        await server.stop()
