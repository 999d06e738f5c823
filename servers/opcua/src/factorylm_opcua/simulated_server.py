"""An OPC UA server on loopback made of variables that move: asyncua's server, and what keeps it moving."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asyncua import Server  # type: ignore[attr-defined]
from asyncua.common.callback import CallbackType
from asyncua.common.utils import ServiceError
from factorylm_schema import Value

from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.small_address_space import SmallInternalServer

_CURRENT_TIME = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
_TICK_S = 0.1
_MOST_KEPT = 1000


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One variable; `unece` is its unit's code (OPC 10000-8, 5.6.3.4). What `writes` takes may be set by clients."""

    name: str
    type: str
    reads: Callable[[], Value]
    writes: Callable[[Any], None] | None = None
    unit: str = ""
    unece: str = ""
    low: float | None = None
    high: float | None = None
    historized: bool = False


@dataclass(kw_only=True)
class SimulatedServer:
    """Variables below one object called `name`. `most_reads` makes it refuse larger Read requests."""

    name: str
    namespace: str
    variables: Sequence[Variable]
    advance: Callable[[], None]
    user_manager: Any = None
    most_reads: int = 0
    server: Any = None
    index: int = 0
    _ticking: asyncio.Task[None] | None = None
    _after: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where the server listens."""
        return int(self.server.bserver.port)

    def node(self, name: str) -> NodeId:
        """The id of a node of this server."""
        return ua.NodeId(name, self.index)

    async def prepare(self, secure: Callable[[Any], Awaitable[None]] | None = None) -> Any:
        """Build the address space, not listening yet; gives the object that holds the variables."""
        core = SmallInternalServer(self.user_manager)
        core.bind_condition_methods = 500
        self.server = Server(core)
        await self.server.init()
        # asyncua's clock task takes a second to stop; the tick tells the time instead
        self.server.disable_clock()
        self.server.set_endpoint("opc.tcp://127.0.0.1:0")
        self.server.set_server_name("FactoryLM simulator")
        await self.server.set_application_uri("urn:factorylm:simulator")
        await self.server.set_build_info(
            "urn:factorylm:simulator", "FactoryLM", f"{self.name} simulator", "0.1.0", "1", now()
        )
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if secure:
            await secure(self.server)
        self.server.subscribe_server_callback(CallbackType.PreRead, self._check_count)
        self.index = await self.server.register_namespace(self.namespace)
        folder = await self.server.nodes.objects.add_object(self.node(self.name), f"{self.index}:{self.name}")
        for variable in self.variables:
            await self._add(folder, variable)
        return folder

    async def listen(self, *, live: bool = True, after: Callable[[], Awaitable[None]] | None = None) -> None:
        """Listen on a free port; `live` ticks by itself, `after` is done after each tick."""
        if after:
            self._after.append(after)
        await self.server.start()
        for variable in self.variables:
            if variable.historized:
                node = self.server.get_node(self._node_of(variable))
                await self.server.historize_node_data_change(node, period=None, count=_MOST_KEPT)
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

    async def tick(self) -> None:
        """Take over what clients wrote, advance, publish the values and the time."""
        await self.put(_CURRENT_TIME, "DateTime", now())
        for variable in self.variables:
            if variable.writes:
                variable.writes(self.server.read_attribute_value(self._node_of(variable)).Value.Value)
        taken = [variable.reads() for variable in self.variables]
        self.advance()
        for variable, before in zip(self.variables, taken, strict=True):
            # a variable that clients write is only published when the process itself changed it
            if not variable.writes or variable.reads() != before:
                await self.put(self._node_of(variable), variable.type, variable.reads())
        for job in self._after:
            await job()

    async def put(self, node: NodeId, type_name: str, value: Any) -> None:
        """Set a value from inside the server."""
        data = ua.DataValue(ua.Variant(value, getattr(ua.VariantType, type_name)), SourceTimestamp=now())
        await self.server.write_attribute_value(node, data)

    def _node_of(self, variable: Variable) -> NodeId:
        return self.node(f"{self.name}.{variable.name}")

    async def _add(self, folder: Any, variable: Variable) -> None:
        vtype = getattr(ua.VariantType, variable.type)
        node_id = self._node_of(variable)
        node = await folder.add_variable(node_id, f"{self.index}:{variable.name}", variable.reads(), vtype)
        if variable.writes:
            await node.set_writable()
        if variable.unit:
            unit = ua.EUInformation()
            unit.NamespaceUri = "http://www.opcfoundation.org/UA/units/un/cefact"
            unit.UnitId = int.from_bytes(variable.unece.encode(), "big") or -1
            unit.DisplayName = ua.LocalizedText(variable.unit)
            await node.add_property(0, "EngineeringUnits", unit)
        if variable.low is not None and variable.high is not None:
            await node.add_property(0, "EURange", ua.Range(variable.low, variable.high))
        await self.put(node_id, variable.type, variable.reads())

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self.tick()

    def _check_count(self, event: Any, _dispatcher: object = None) -> None:
        if self.most_reads and event.is_external and len(event.request_params.NodesToRead) > self.most_reads:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)


def now() -> datetime:
    """The simulator's values carry the real time."""
    return datetime.now(UTC)
