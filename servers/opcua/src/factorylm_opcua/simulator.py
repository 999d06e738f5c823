"""The simulated device of this skill: a pump with limits, history, an alarm and a method; or any live process.

In front of the server lies a line that misbehaves on request.
"""

import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from asyncua.common.methods import uamethod
from factorylm_schema import Value
from factorylm_skill.faults import FaultSwitches
from factorylm_skill.live_process import LiveProcess, Signal
from factorylm_skill.simulated_pump import Pump
from factorylm_skill.simulation import Simulation

from factorylm_opcua.faulty_line import FaultyLine
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.simulated_server import SimulatedServer, Variable

NAMESPACE = "urn:factorylm:simulator:pump"
PROCESS_NAMESPACE = "urn:factorylm:simulator:process"
_PLANT_URL = "opc.tcp://127.0.0.1:4840"
_HOT = 55.0  # Cel, where the alarm stands
_TYPES = {"bool": "Boolean", "int": "Int32", "real": "Double", "text": "String"}


@asynccontextmanager
async def serve(
    *, port: int = 0, process: LiveProcess | None = None, device: str = "pump1"
) -> AsyncIterator[Simulation]:
    """The pump, or `process` as a server of its own, live on 127.0.0.1."""
    server = process_server(process, device) if process else PumpServer()
    await server.start()
    line = FaultyLine(server.port, FaultSwitches(), port)
    try:
        await line.up()
        text = process_plant(process, device, line.port) if process else plant_toml(line.port)
        yield Simulation(plant_toml=text, faults=line.faults)
    finally:
        await line.down()
        await server.stop()


# -- the pump -------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class PumpServer:
    """The pump station: variables, an array, a method, and an alarm of the bearing."""

    clock: Callable[[], float] = time.monotonic
    seed: int = 1
    user_manager: Any = None
    alarm: Any = None
    pump: Pump = field(init=False)
    core: SimulatedServer = field(init=False)

    def __post_init__(self) -> None:
        self.pump = Pump(self.clock, seed=self.seed)
        self.core = SimulatedServer(
            name="Pump",
            namespace=NAMESPACE,
            variables=pump_variables(self.pump),
            advance=self.pump.advance,
            user_manager=self.user_manager,
        )

    @property
    def server(self) -> Any:
        """The library's server."""
        return self.core.server

    @property
    def index(self) -> int:
        """The number of the pump's namespace."""
        return self.core.index

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.core.port

    def node(self, name: str) -> NodeId:
        """The id of a node of the pump."""
        return self.core.node(name)

    async def start(self, *, live: bool = True, secure: Callable[[Any], Awaitable[None]] | None = None) -> None:
        """Build and listen; `secure` may set certificate and policies first."""
        folder = await self.core.prepare(secure)
        spectrum = [round(math.sin(k), 3) for k in range(8)]
        name = f"{self.index}:Spectrum"
        await folder.add_variable(self.node("Pump.Spectrum"), name, spectrum, ua.VariantType.Double)
        await self._add_method(folder)
        await self._add_alarm(folder)
        await self.core.listen(live=live, after=self._watch_bearing)

    async def stop(self) -> None:
        """Stop listening."""
        await self.core.stop()

    async def raise_alarm(self, *, active: bool) -> None:
        """Let the alarm stand or go; acknowledging is the operator's."""
        event = self.alarm.event
        if getattr(event, "ActiveState/Id") == active:
            return
        setattr(event, "ActiveState/Id", active)
        event.ActiveState = ua.LocalizedText("Active" if active else "Inactive", "en")
        if active:
            setattr(event, "AckedState/Id", False)
            event.AckedState = ua.LocalizedText("Unacknowledged", "en")
        event.Retain = active or not getattr(event, "AckedState/Id")
        await self.alarm.trigger(message=f"Bearing temperature {'above' if active else 'back below'} {_HOT:g} °C")

    async def _watch_bearing(self) -> None:
        await self.raise_alarm(active=self.pump.bearing_temperature > _HOT)

    async def _add_method(self, folder: Any) -> None:
        @uamethod
        async def set_beacon(_parent: object, on: bool) -> bool:
            await self.core.put(self.node("Pump.Beacon"), "Boolean", on)
            return on

        boolean = [ua.VariantType.Boolean]
        await folder.add_method(self.node("Pump.SetBeacon"), f"{self.index}:SetBeacon", set_beacon, boolean, boolean)

    async def _add_alarm(self, folder: Any) -> None:
        # emitted by the Server object: asyncua does not pass events up from where they happen
        self.alarm = await self.server.get_event_generator(ua.ObjectIds.OffNormalAlarmType)
        event = self.alarm.event
        event.NodeId = self.node("Pump.BearingHot")
        event.ConditionName = "BearingHot"
        event.SourceName = "Pump"
        event.SourceNode = folder.nodeid
        event.Severity = 700
        event.Retain = False
        event.EnabledState = ua.LocalizedText("Enabled", "en")
        for name, value in (("Active", False), ("Acked", True), ("Enabled", True), ("Confirmed", True)):
            setattr(event, f"{name}State/Id", value)


def pump_variables(pump: Pump) -> list[Variable]:
    """The pump as a controller would hold it: types differ, as they do."""

    def sets(name: str) -> Callable[[Any], None]:
        return lambda value: setattr(pump, name, value)

    return [
        Variable(name="Speed", type="Double", reads=lambda: pump.speed, unit="/min", unece="RPM", low=0, high=1800,
                 historized=True),
        Variable(name="Setpoint", type="UInt16", reads=lambda: pump.setpoint, writes=sets("setpoint"), unit="/min",
                 unece="RPM", low=0, high=1800),
        Variable(name="Current", type="Float", reads=lambda: pump.current, unit="A", unece="AMP", low=0, high=40),
        Variable(name="Flow", type="Float", reads=lambda: pump.flow, unit="m3/h", unece="MQH", low=0, high=60),
        Variable(name="Pressure", type="Float", reads=lambda: pump.pressure, unit="bar", unece="BAR", low=0, high=10),
        Variable(name="BearingTemperature", type="Double", reads=lambda: pump.bearing_temperature, unit="Cel",
                 unece="CEL", low=-20, high=120),
        Variable(name="Running", type="Boolean", reads=lambda: pump.running),
        Variable(name="Mode", type="Int32", reads=lambda: pump.mode, writes=sets("mode")),
        Variable(name="Beacon", type="Boolean", reads=lambda: pump.beacon, writes=sets("beacon")),
        Variable(name="Nameplate", type="String", reads=lambda: pump.nameplate),
    ]  # fmt: skip


def plant_toml(port: int) -> str:
    """The plant file that describes the simulated pump."""
    text = files("factorylm_opcua").joinpath("simulated_plant.toml").read_text(encoding="utf-8")
    return text.replace(_PLANT_URL, f"opc.tcp://127.0.0.1:{port}")


# -- any process ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProcessServer:
    """A live process as a server."""

    core: SimulatedServer

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.core.port

    async def start(self) -> None:
        """Build and listen."""
        await self.core.prepare()
        await self.core.listen()

    async def stop(self) -> None:
        """Stop listening."""
        await self.core.stop()


def process_server(process: LiveProcess, device: str) -> ProcessServer:
    """Each signal a variable `device.signal`; measured values have a history."""
    variables = [_variable(process, signal) for signal in process.signals]
    return ProcessServer(
        SimulatedServer(name=device, namespace=PROCESS_NAMESPACE, variables=variables, advance=process.advance)
    )


def _variable(process: LiveProcess, signal: Signal) -> Variable:
    def writes(value: Value) -> None:
        if value != process.value(signal.name):
            process.set(signal.name, value)

    return Variable(
        name=signal.name,
        type=_TYPES[signal.type],
        reads=lambda: process.value(signal.name),
        writes=writes if signal.write else None,
        unit=signal.unit,
        low=signal.minimum,
        high=signal.maximum,
        historized=signal.type == "real",
    )


def process_plant(process: LiveProcess, device: str, port: int) -> str:
    """The plant file that describes the process."""
    lines = [f"[devices.{device}]", f'url = "opc.tcp://127.0.0.1:{port}"', ""]
    for signal in process.signals:
        lines += [f"[devices.{device}.tags.{json.dumps(signal.name)}]", *_tag_lines(signal, device), ""]
    return "\n".join(lines)


def _tag_lines(signal: Signal, device: str) -> Iterator[str]:
    yield f'address = "nsu={PROCESS_NAMESPACE};s={device}.{signal.name}"'
    for key, value in (("unit", signal.unit), ("description", signal.description)):
        if value:
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    for key, number in (("min", signal.minimum), ("max", signal.maximum)):
        if number is not None:
            yield f"{key} = {number!r}"
    if signal.enum:
        labels = ", ".join(
            f"{number} = {json.dumps(label, ensure_ascii=False)}" for number, label in signal.enum.items()
        )
        yield f"enum = {{ {labels} }}"
    if signal.write:
        limits = signal.write.model_dump(exclude_none=True, exclude_unset=True)
        yield f"write = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in limits.items())} }}"
