"""The simulated pump as an OPC UA server: variables with units and ranges, history, an alarm and a method."""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from asyncua.common.methods import uamethod
from factorylm_skill.simulated_pump import Pump

from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.simulated_server import SimulatedServer, Variable

NAMESPACE = "urn:factorylm:simulator:pump"
_HOT = 55.0  # Cel, where the alarm stands


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
