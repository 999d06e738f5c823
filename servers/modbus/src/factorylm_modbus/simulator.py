"""A Modbus device on loopback: a small live process, and switches that make it misbehave.

Speaks TCP (pipelined requests are answered in order) and RTU over TCP. Every fault kind makes sense here; on RTU,
which has no transaction numbers, `wrong-sequence` answers another function. Like a bridge to a serial bus, the RTU
side sends an answer to whoever is connected when it is ready: that is how a late answer meets the next question.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from factorylm_skill.faults import FaultKind
from factorylm_skill.live_process import LiveProcess
from factorylm_skill.simulated_connection import HOST, listening, misbehave
from factorylm_skill.simulated_pump import Pump, pump_plant
from factorylm_skill.simulation import Simulation

from factorylm_modbus.endpoint import Link
from factorylm_modbus.framing import checksum
from factorylm_modbus.pump_station import pump_station
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.simulated_process import laid_out

_TURN_S = 0.002  # a serial device takes between two answers
_GATEWAY_SILENT = 11  # what a TCP gateway answers for a unit that is not there


@asynccontextmanager
async def simulate(
    *,
    port: int = 0,
    process: LiveProcess | None = None,
    device: str = "pump1",
    clock: Callable[[], float] = time.monotonic,
    link: Link = Link.TCP,
) -> AsyncIterator[Simulation]:
    """The simulated pump, or `process` (factorylm_skill.simulation.Simulates)."""
    layout = laid_out(process) if process else None
    simulated = layout.device() if layout else pump_station(Pump(clock))
    async with serving(simulated, port=port, link=link) as bound:
        url = f"{link}://{HOST}:{bound}?unit=1"
        plant = layout.plant(device, url) if layout else pump_plant("factorylm_modbus", url)
        yield Simulation(plant_toml=plant, faults=simulated.faults)


@dataclass
class _Bus:
    """Who is connected now; on RTU the latest hears every answer."""

    device: SimulatedDevice
    is_rtu: bool
    connected: list["_Connection"] = field(default_factory=list)
    busy_until: float = 0.0


@asynccontextmanager
async def serving(
    device: SimulatedDevice, *, port: int = 0, link: Link = Link.TCP, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve `device` on 127.0.0.1; gives the port."""
    bus = _Bus(device, link.is_rtu)
    async with listening(lambda: _Connection(bus), bus.connected, port=port, tls=tls) as bound:
        yield bound


class _Connection(asyncio.Protocol):
    """One client."""

    transport: asyncio.Transport

    def __init__(self, bus: _Bus) -> None:
        self._bus = bus
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._bus.connected.append(self)
        self._bus.device.connections += 1

    def connection_lost(self, _exc: Exception | None) -> None:
        self._bus.connected.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while question := self._question():
            number, unit, pdu = question
            self._answer(number, unit, pdu)

    # -- frames -------------------------------------------------------------------------------

    def _question(self) -> tuple[bytes, int, bytes] | None:
        """The next whole question: transaction number, unit, PDU."""
        start, end = (0, _rtu_end(self._buffer)) if self._bus.is_rtu else (6, _tcp_end(self._buffer))
        if end is None or len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[:end])
        del self._buffer[:end]
        if not self._bus.is_rtu:
            return frame[:2], frame[6], frame[7:]
        return (b"", frame[start], frame[1:-2]) if checksum(frame[:-2]) == frame[-2:] else None

    def _framed(self, number: bytes, unit: int, pdu: bytes) -> bytes:
        if self._bus.is_rtu:
            body = bytes((unit,)) + pdu
            return body + checksum(body)
        return number + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu

    # -- answers, right and wrong -------------------------------------------------------------

    def _answer(self, number: bytes, unit: int, question: bytes) -> None:
        device = self._bus.device
        device.requests += 1
        if not device.hears(unit, question):
            if unit not in device.units and not self._bus.is_rtu:
                self.send(self._framed(number, unit, bytes((question[0] | 0x80, _GATEWAY_SILENT))))
            return
        fault = device.faults.take(writing=question[0] in (5, 6, 15, 16, 22))
        if fault is FaultKind.REFUSE:
            self.send(self._framed(number, unit, bytes((question[0] | 0x80, device.refusal))))
            return
        answer = device.answer(question)
        if fault is None:
            self.send(self._framed(number, unit, answer))
        else:
            right = self._framed(number, unit, answer)
            misbehave(self, fault, device.faults, right, lambda kind: self._lie(kind, number, unit, answer))

    def _lie(self, fault: FaultKind, number: bytes, unit: int, answer: bytes) -> bytes:
        if fault is FaultKind.GARBAGE:
            return bytes(range(0xE0, 0xF4))
        if fault is FaultKind.WRONG_UNIT:
            return self._framed(number, unit + 1, answer)
        if fault is FaultKind.WRONG_SEQUENCE and not self._bus.is_rtu:
            stranger = (int.from_bytes(number, "big") + 7 & 0xFFFF).to_bytes(2, "big")
            return self._framed(stranger, unit, answer)
        if fault is FaultKind.WRONG_SEQUENCE:
            return self._framed(number, unit, bytes((answer[0] ^ 7,)) + answer[1:])
        return self._framed(number, unit, _resized(answer, -1 if fault is FaultKind.SHORT else 1))

    def send_later(self, delay_s: float, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._bus.busy_until = max(self._bus.busy_until, loop.time() + delay_s)
        loop.call_later(delay_s, self._put, data)

    def send(self, data: bytes) -> None:
        """At once; a serial device first finishes the answer before."""
        loop = asyncio.get_running_loop()
        if self._bus.is_rtu and self._bus.busy_until > loop.time():
            self._bus.busy_until += _TURN_S
            loop.call_at(self._bus.busy_until, self._put, data)
        else:
            self._put(data)

    def _put(self, data: bytes) -> None:
        receiver = self._bus.connected[-1] if self._bus.is_rtu and self._bus.connected else self
        if not receiver.transport.is_closing():
            receiver.transport.write(data)


def _resized(answer: bytes, by: int) -> bytes:
    """A read answer with one register (or eight bits) fewer or more, its byte count to match; others cut or grown."""
    if answer[0] in (1, 2, 3, 4):
        step = by * (1 if answer[0] < 3 else 2)
        size = max(0, answer[1] + step)
        return bytes((answer[0], size)) + answer[2 : 2 + size].ljust(size, b"\0")
    return answer[:by] if by < 0 else answer + b"\0"


def _tcp_end(buffer: bytearray) -> int | None:
    return 6 + int.from_bytes(buffer[4:6], "big") if len(buffer) >= 8 else None


def _rtu_end(buffer: bytearray) -> int | None:
    """Where the question that `buffer` begins with ends."""
    if len(buffer) < 2:
        return None
    if buffer[1] in (15, 16):
        return 9 + buffer[6] if len(buffer) > 6 else None
    return {11: 4, 17: 4, 22: 10, 43: 7}.get(buffer[1], 8)
