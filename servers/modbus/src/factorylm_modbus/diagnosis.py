"""The ladder from the name on the network to the data: evidence on each rung, a next step where one fails.

What disturbs a device comes last and only where the plant file asks for it: a scan of unit ids, and function codes
that some devices answer by falling silent or hanging up (FC8, FC11, FC17).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from factorylm_schema import DeviceError, Diagnosis, Identity, NotConnectedError, Reading, Rung, Tag
from factorylm_skill.engineering import to_reading

from factorylm_modbus import pdu
from factorylm_modbus.address import DataType, Table
from factorylm_modbus.dialect import DeviceOptions, units_of
from factorylm_modbus.endpoint import Endpoint, Link
from factorylm_modbus.identity import identity_of
from factorylm_modbus.layout import Place
from factorylm_modbus.pdu import Answer, ModbusRefusedError, Request
from factorylm_modbus.plan import Span
from factorylm_modbus.session import Session
from factorylm_modbus.values import decodings

Outcome = Literal["passed", "failed", "skipped"]

_GATEWAY = (10, 11)
_MOST_TAGS = 200
_MOST_SHOWN = 3
_SCAN_PATIENCE_S = 0.3
_RARE = {
    8: "FC8 diagnostics",
    11: "FC11 event counter",
    17: "FC17 server id",
}


class _NoFurtherError(Exception):
    """A rung failed on which all others stand."""


@dataclass(kw_only=True)
class Ladder:
    """One diagnosis of one device."""

    endpoint: Endpoint
    options: DeviceOptions
    session: Session
    scan_session: Callable[[float], Session]
    places: Sequence[Place]
    read: Callable[[Sequence[Tag]], Awaitable[list[Reading]]]
    budget_s: float
    rungs: list[Rung] = field(default_factory=list)
    identity: Identity | None = None

    async def climb(self, device: str) -> Diagnosis:
        """As far as one gets; never raises for a device that is down."""
        try:
            await self._name()
            await self._connection()
            await self._unit()
            await self._functions()
            await self._identity()
            await self._tags()
        except _NoFurtherError:
            pass
        if self.options.scan_units and len(self.rungs) > 1:
            await self._scan(units_of(self.options.scan_units))
        if self.options.probe_rare_functions and len(self.rungs) > 3:
            await self._rare_functions()
        return Diagnosis(device=device, rungs=self.rungs, identity=self.identity)

    # -- from the network to the unit ---------------------------------------------------------

    async def _name(self) -> None:
        if self.endpoint.serial:
            return
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.budget_s):
                found = await loop.getaddrinfo(self.endpoint.host, self.endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:  # TimeoutError is one
            hint = "Check the spelling, or write the IP address in the device's url"
            self._failed("name", f"{self.endpoint.host!r} cannot be resolved: {error}", hint)
        else:
            self._passed("name", f"{self.endpoint.host} is {found[0][4][0]}")

    async def _connection(self) -> None:
        try:
            await self.session.connect(self._deadline())
        except DeviceError as error:
            self._failed("connection", error.message, error.hint)
        how = "serial port" if self.endpoint.serial else "TLS" if self.endpoint.link is Link.TLS else "TCP"
        self._passed("connection", f"{how} connection to {self.endpoint}")

    async def _unit(self) -> None:
        span = self.places[0].span if self.places else self._first_of(Table.HOLDING_REGISTER)
        if span is None:
            self._add("unit", "skipped", "no tag to ask for, and holding register 1 is forbidden")
            return
        unit = span.unit
        answer = await self._answer(pdu.read(unit, span.table, span.start, 1))
        if isinstance(answer, ModbusRefusedError) and answer.exception in _GATEWAY:
            self._failed("unit", f"unit {unit}: {answer.message}", answer.hint)
        if isinstance(answer, DeviceError) and not isinstance(answer, ModbusRefusedError):
            hint = f"{answer.hint}. To find out which units answer, set scan_units for this device"
            self._failed("unit", f"unit {unit}: {answer.message}", hint)
        said = answer.message if isinstance(answer, DeviceError) else "a value"
        self._passed("unit", f"unit {unit} answers ({said})")

    async def _functions(self) -> None:
        """Which tables there are: any answer is a sign, a refusal with exception 1 is a no."""
        said = []
        for table, function in pdu.READ.items():
            span = self._first_of(table)
            if span is None:
                said.append(f"FC{function} {table} not asked (forbidden)")
                continue
            answer = await self._answer(pdu.read(span.unit, table, span.start, 1))
            said.append(f"FC{function} {table} {_in_short(answer)}")
            if isinstance(answer, NotConnectedError):
                break
        self._passed("tables", "; ".join(said))

    async def _identity(self) -> None:
        try:
            self.identity = await identity_of(self.session, self.endpoint.unit, self._deadline())
        except DeviceError as error:
            self._add("identity", "skipped", f"FC43: {error.message}")
            return
        if self.identity == Identity():
            self._add("identity", "skipped", "the device does not tell who it is (FC43 refused); many do not")
        else:
            self._passed("identity", f"{self.identity.vendor} {self.identity.product}".strip())

    # -- the data -----------------------------------------------------------------------------

    async def _tags(self) -> None:
        places = self.places[:_MOST_TAGS]
        if not places:
            self._add("tags", "skipped", "the plant file has no tags for this device")
            return
        try:
            readings = await self.read([place.tag for place in places])
        except DeviceError as error:
            self._failed("tags", error.message, error.hint)
        bad = [reading for reading in readings if not reading.quality.is_good]
        if bad:
            told = "; ".join(f"{reading.tag}: {reading.problem}" for reading in bad[:_MOST_SHOWN])
            self._add("tags", "failed", f"{len(bad)} of {len(readings)} are not good: {told}", bad[0].hint)
        else:
            self._passed("tags", f"all {len(readings)} read good")
        self._byte_order(list(zip(places, readings, strict=True)))

    def _byte_order(self, read: Sequence[tuple[Place, Reading]]) -> None:
        """All four decodings side by side where the order is in doubt; which is right, a person says."""
        numbers = [(p, r) for p, r in read if p.address.count > 1 and p.address.type is not DataType.STRING and r.raw]
        doubtful = [(p, r) for p, r in numbers if not p.order_is_told or not r.quality.is_good]
        if not numbers:
            return
        if not doubtful:
            self._passed("byte order", "the plant file says it for every value longer than one register")
            return
        shown = " | ".join(_side_by_side(place, reading) for place, reading in doubtful[:_MOST_SHOWN])
        self._add(
            "byte order",
            "skipped",
            f"in doubt for {len(doubtful)} values: {shown}",
            "Compare with the device's display, then write byte_order in the plant file; nothing was guessed",
        )

    # -- only where asked for -----------------------------------------------------------------

    async def _scan(self, units: Sequence[int]) -> None:
        found = []
        at = self._first_of(Table.HOLDING_REGISTER)
        if at is None:
            self._add("unit scan", "skipped", "holding register 1, which it would ask for, is forbidden")
            return
        for unit in units:
            session = self.scan_session(_SCAN_PATIENCE_S)
            request = pdu.read(unit, at.table, at.start, 1)
            try:
                [answer] = await session.ask([request], self._deadline(1.5 * _SCAN_PATIENCE_S))
            except DeviceError:
                continue
            finally:
                await session.close()
            if not (isinstance(answer, ModbusRefusedError) and answer.exception in _GATEWAY):
                found.append(str(unit))
        self._passed("unit scan", f"of units {self.options.scan_units}, these answer: {', '.join(found) or 'none'}")

    async def _rare_functions(self) -> None:
        """On a connection of their own, because some devices hang up."""
        said = []
        for function, name in _RARE.items():
            session = self.scan_session(_SCAN_PATIENCE_S)
            try:
                [answer] = await session.ask([_rare(self.endpoint.unit, function)], self._deadline())
                said.append(f"{name} {_in_short(answer)}")
            except DeviceError as error:
                said.append(f"{name} {_in_short(error)}")
            finally:
                await session.close()
        self._passed("rare functions", "; ".join(said))

    # -- building the ladder ------------------------------------------------------------------

    async def _answer(self, request: Request) -> Answer:
        try:
            [answer] = await self.session.ask([request], self._deadline())
        except DeviceError as error:
            return error
        return answer

    def _first_of(self, table: Table) -> Span | None:
        """Where to ask for something of `table`: a tag's place, or its first address unless that is forbidden."""
        for place in self.places:
            if place.span.table is table:
                return place.span
        first = Span(self.endpoint.unit, table, 0, 1)
        return None if self.options.forbids(first) else first

    def _deadline(self, budget_s: float | None = None) -> float:
        return asyncio.get_running_loop().time() + (budget_s or self.budget_s)

    def _add(self, name: str, outcome: Outcome, evidence: str, next_step: str = "") -> None:
        self.rungs.append(Rung(name=name, outcome=outcome, evidence=evidence, next_step=next_step))

    def _passed(self, name: str, evidence: str) -> None:
        self._add(name, "passed", evidence)

    def _failed(self, name: str, evidence: str, next_step: str) -> NoReturn:
        self._add(name, "failed", evidence, next_step)
        raise _NoFurtherError


def _in_short(answer: Answer) -> str:
    if isinstance(answer, ModbusRefusedError):
        return f"exception {answer.exception}"
    return "no answer" if isinstance(answer, DeviceError) else "answers"


def _rare(unit: int, function: int) -> Request:
    if function == pdu.DIAGNOSTICS:
        return pdu.echo(unit, b"\x5a\xa5")
    return Request(unit=unit, pdu=bytes((function,)), begins=bytes((function,)), length=0)


def _side_by_side(place: Place, reading: Reading) -> str:
    data = bytes.fromhex(reading.raw)
    orders = []
    for order, value in decodings(data, place.address).items():
        shown = to_reading(place.tag, value, reading.time).value if not isinstance(value, str) else value
        used = " (used)" if order is place.order else ""
        orders.append(f"{order} {shown:.6g}{used}" if isinstance(shown, float) else f"{order} {shown}{used}")
    return f"{reading.tag} {reading.raw.upper()}: {', '.join(orders)}"
