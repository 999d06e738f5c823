"""A simulated OPC UA server on loopback: a pump with limits, history, an alarm and a method.

The server is asyncua's own; in front of it lies a line that misbehaves on request.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from asyncua import Server  # type: ignore[attr-defined]
from asyncua.common.callback import CallbackType
from asyncua.common.methods import uamethod
from asyncua.common.utils import ServiceError
from factorylm_skill.faults import FaultSwitches
from factorylm_skill.simulation import Simulation

from factorylm_opcua.faulty_line import FaultyLine
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.pump import Pump
from factorylm_opcua.small_address_space import SmallInternalServer

NAMESPACE = "urn:factorylm:simulator:pump"
_PLANT_URL = "opc.tcp://127.0.0.1:4840"
_CURRENT_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_TICK_S = 0.1
_HOT = 55.0  # Cel, where the alarm stands


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One variable: its name, type, unit as UCUM and as UNECE code (OPC 10000-8, 5.6.3.4), and range."""

    name: str
    type: str
    reads: Callable[[Pump], Any]
    unit: str = ""
    unece: str = ""
    low: float = 0.0
    high: float = 0.0
    writable: bool = False


SIGNALS = [
    Signal(name="Speed", type="Double", reads=lambda p: p.speed, unit="/min", unece="RPM", high=1800),
    Signal(name="Setpoint", type="UInt16", reads=lambda p: p.setpoint, unit="/min", unece="RPM", high=1800,
           writable=True),
    Signal(name="Current", type="Float", reads=lambda p: p.current, unit="A", unece="AMP", high=40),
    Signal(name="Flow", type="Float", reads=lambda p: p.flow, unit="m3/h", unece="MQH", high=60),
    Signal(name="Pressure", type="Float", reads=lambda p: p.pressure, unit="bar", unece="BAR", high=10),
    Signal(name="BearingTemperature", type="Double", reads=lambda p: p.bearing_temperature, unit="Cel", unece="CEL",
           low=-20, high=120),
    Signal(name="Running", type="Boolean", reads=lambda p: p.running),
    Signal(name="Mode", type="Int32", reads=lambda p: p.mode, writable=True),
    Signal(name="Beacon", type="Boolean", reads=lambda p: p.beacon, writable=True),
    Signal(name="Nameplate", type="String", reads=lambda p: p.nameplate),
]  # fmt: skip


@dataclass
class PumpServer:
    """The server with the pump in it. `most_reads` makes it refuse larger Read requests."""

    clock: Callable[[], float] = time.monotonic
    seed: int = 1
    most_reads: int = 0
    user_manager: Any = None
    server: Any = None
    index: int = 0
    alarm: Any = None
    pump: Pump = field(init=False)
    _ticking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.pump = Pump(self.clock, seed=self.seed)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self.server.bserver.port)

    async def start(self, *, secure: Callable[[Any], Any] | None = None, live: bool = True) -> None:
        """Build the address space and listen on a free port; `secure` may set certificate and policies first."""
        core = SmallInternalServer(self.user_manager)
        core.bind_condition_methods = 500
        self.server = Server(core)
        await self.server.init()
        # asyncua's clock task takes a second to stop; the tick tells the time instead
        self.server.disable_clock()
        self.server.set_endpoint("opc.tcp://127.0.0.1:0")
        self.server.set_server_name("FactoryLM simulator")
        await self.server.set_application_uri("urn:factorylm:simulator")
        await self.server.set_build_info("urn:factorylm:simulator", "FactoryLM", "Pump simulator", "0.1.0", "1", _now())
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if secure:
            await secure(self.server)
        self.index = await self.server.register_namespace(NAMESPACE)
        await self._build()
        self.server.subscribe_server_callback(CallbackType.PreRead, self._check_count)
        await self.server.start()
        await self.server.historize_node_data_change(
            self.server.get_node(self.node("Pump.Speed")), period=None, count=1000
        )
        if live:
            self._ticking = asyncio.create_task(self._tick_for_ever())
        else:
            await self.tick()

    async def stop(self) -> None:
        """Stop ticking and listening."""
        if self._ticking:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking
        await self.server.stop()

    def node(self, name: str) -> NodeId:
        """The id of a node of the pump."""
        return ua.NodeId(name, self.index)

    async def tick(self) -> None:
        """Take over what was written, advance the pump, publish its values, its alarm and the time."""
        await self.server.write_attribute_value(_CURRENT_TIME, _value("DateTime", _now()))
        read = self.server.read_attribute_value
        self.pump.setpoint = read(self.node("Pump.Setpoint")).Value.Value
        self.pump.mode = read(self.node("Pump.Mode")).Value.Value
        self.pump.beacon = read(self.node("Pump.Beacon")).Value.Value
        self.pump.advance()
        for signal in SIGNALS:
            if not signal.writable:
                await self._put(signal, signal.reads(self.pump))
        await self.raise_alarm(active=self.pump.bearing_temperature > _HOT)

    async def raise_alarm(self, active: bool) -> None:
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

    # -- the address space --------------------------------------------------------------------

    async def _build(self) -> None:
        folder = await self.server.nodes.objects.add_object(self.node("Pump"), f"{self.index}:Pump")
        for signal in SIGNALS:
            await self._add(folder, signal)
        spectrum = [round(math.sin(k), 3) for k in range(8)]
        await folder.add_variable(self.node("Pump.Spectrum"), f"{self.index}:Spectrum", spectrum, ua.VariantType.Double)

        @uamethod
        async def set_beacon(_parent: object, on: bool) -> bool:
            await self.server.write_attribute_value(self.node("Pump.Beacon"), _value("Boolean", on))
            return on

        await folder.add_method(
            self.node("Pump.SetBeacon"),
            f"{self.index}:SetBeacon",
            set_beacon,
            [ua.VariantType.Boolean],
            [ua.VariantType.Boolean],
        )
        await self._add_alarm(folder)

    async def _add(self, folder: Any, signal: Signal) -> None:
        node_id = self.node(f"Pump.{signal.name}")
        vtype = getattr(ua.VariantType, signal.type)
        node = await folder.add_variable(node_id, f"{self.index}:{signal.name}", signal.reads(self.pump), vtype)
        if signal.writable:
            await node.set_writable()
        if signal.unit:
            unit = ua.EUInformation()
            unit.NamespaceUri = "http://www.opcfoundation.org/UA/units/un/cefact"
            unit.UnitId = int.from_bytes(signal.unece.encode(), "big")
            unit.DisplayName = ua.LocalizedText(signal.unit)
            await node.add_property(0, "EngineeringUnits", unit)
            await node.add_property(0, "EURange", ua.Range(signal.low, signal.high))
        await self._put(signal, signal.reads(self.pump))

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
        for name, value in {
            "ActiveState": False,
            "AckedState": True,
            "EnabledState": True,
            "ConfirmedState": True,
        }.items():
            setattr(event, f"{name}/Id", value)

    async def _put(self, signal: Signal, value: Any) -> None:
        await self.server.write_attribute_value(self.node(f"Pump.{signal.name}"), _value(signal.type, value))

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self.tick()

    def _check_count(self, event: Any, _dispatcher: object = None) -> None:
        if self.most_reads and event.is_external and len(event.request_params.NodesToRead) > self.most_reads:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)


@asynccontextmanager
async def serve_pump(*, port: int = 0) -> AsyncIterator[Simulation]:
    """The pump, live, on 127.0.0.1."""
    server = PumpServer()
    await server.start()
    line = FaultyLine(server.port, FaultSwitches(), port)
    try:
        await line.up()
        yield Simulation(plant_toml=plant_toml(line.port), faults=line.faults)
    finally:
        await line.down()
        await server.stop()


def plant_toml(port: int) -> str:
    """The plant file that describes the simulated pump."""
    text = files("factorylm_opcua").joinpath("simulated_plant.toml").read_text(encoding="utf-8")
    return text.replace(_PLANT_URL, f"opc.tcp://127.0.0.1:{port}")


def _value(type_name: str, value: Any) -> Any:
    return ua.DataValue(ua.Variant(value, getattr(ua.VariantType, type_name)), SourceTimestamp=_now())


def _now() -> datetime:
    return datetime.now(UTC)
