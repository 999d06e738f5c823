"""An S7 CPU on loopback: the small live pump, or any live process, in DB1, and switches that make it misbehave.

It sits in rack 0, slot 1 and refuses connections to other places. Faults strike answers to jobs and services, not
the handshake. Every fault kind makes sense here but `wrong-unit`: an S7 reply names no slot, so the simulator
answers as if another service had been asked.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from factorylm_skill.faults import FaultKind, FaultSwitches
from factorylm_skill.live_process import LiveProcess
from factorylm_skill.simulated_connection import HOST, listening, misbehave
from factorylm_skill.simulated_pump import Pump, pump_plant
from factorylm_skill.simulation import Simulation

from factorylm_s7.pump_station import pump_station, wall_clock
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.simulated_process import ProcessBlock

_CONNECT, _CONFIRM, _DATA, _DISCONNECT = 0xE0, 0xD0, 0xF0, 0x80
_SETUP, _WRITE = 0xF0, 5
_JOB, _USER_DATA = 1, 7


@asynccontextmanager
async def simulate(
    *,
    port: int = 0,
    process: LiveProcess | None = None,
    device: str = "pump1",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Simulation]:
    """The pump, or `process` as a CPU of its own, live on 127.0.0.1 (factorylm_skill.simulation.Simulates)."""
    faults = FaultSwitches()
    block = ProcessBlock(process, SimulatedCpu(clock=wall_clock)) if process else None
    cpu = block.cpu if block else pump_station(Pump(clock))
    async with serving(cpu, faults, port=port) as bound:
        url = f"s7://{HOST}:{bound}?rack=0&slot=1"
        plant = block.plant(device, url) if block else pump_plant("factorylm_s7", url)
        yield Simulation(plant_toml=plant, faults=faults)


@asynccontextmanager
async def serving(
    cpu: SimulatedCpu, faults: FaultSwitches | None = None, *, port: int = 0, tsap: int = 0x0001
) -> AsyncIterator[int]:
    """Serve `cpu` on 127.0.0.1 for connections to rack and slot `tsap`; gives the port."""
    place = _Rack(cpu, faults or FaultSwitches(), tsap)
    async with listening(lambda: _Connection(place), place.connected, port=port) as bound:
        yield bound


@dataclass
class _Rack:
    """The CPU, its place, and who is connected."""

    cpu: SimulatedCpu
    faults: FaultSwitches
    tsap: int
    connected: list["_Connection"] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One client: TPKT (RFC 1006), COTP class 0 (ISO 8073), and S7 inside."""

    transport: asyncio.Transport

    def __init__(self, rack: _Rack) -> None:
        self._rack = rack
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._rack.connected.append(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._rack.connected.remove(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            end = int.from_bytes(self._buffer[2:4])
            if self._buffer[0] != 3 or end < 7:
                self.transport.abort()
                return
            if len(self._buffer) < end:
                return
            packet = bytes(self._buffer[4:end])
            del self._buffer[:end]
            self._take(packet)

    def _take(self, packet: bytes) -> None:
        if packet[1] == _CONNECT:
            self._connect(packet)
        elif packet[1] == _DATA:
            self._answer(packet[3:])
        else:
            self.transport.close()

    def _connect(self, packet: bytes) -> None:
        """Confirm a call for this rack and slot (the low byte of the called selector), end any other."""
        called = packet.find(b"\xc2\x02")
        if called >= 0 and packet[called + 3] == self._rack.tsap:
            self.send(_packed(bytes([packet[0], _CONFIRM]) + packet[4:6] + b"\0\x01" + packet[6:]))
        else:
            self.send(_packed(bytes([6, _DISCONNECT]) + packet[4:6] + b"\0\x01\x81"))
            self.transport.close()

    # -- answers, right and wrong -------------------------------------------------------------------------

    def _answer(self, question: bytes) -> None:
        if question[1] == _JOB and question[10] == _SETUP:
            self.send(_framed(self._rack.cpu.answer(question)))
            return
        fault = self._rack.faults.take(writing=question[1] == _JOB and question[10] == _WRITE)
        if fault is FaultKind.REFUSE:
            self.send(_framed(_refusal(question)))
            return
        answer = self._rack.cpu.answer(question)
        if fault is None:
            self.send(_framed(answer))
        else:
            misbehave(self, fault, self._rack.faults, _framed(answer), lambda kind: _lie(kind, answer))

    def send_later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.send, data)

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


def _packed(packet: bytes) -> bytes:
    return b"\x03\0" + (len(packet) + 4).to_bytes(2) + packet


def _framed(pdu: bytes) -> bytes:
    return _packed(b"\x02\xf0\x80" + pdu)


def _refusal(question: bytes) -> bytes:
    """PUT/GET not permitted, or no such service."""
    if question[1] == _USER_DATA:
        parameters = b"\0\x01\x12\x08\x12" + bytes([0x80 | question[15] & 15, question[16], 1, 0, 0]) + b"\xd4\x02"
        return question[:6] + b"\0\x0c\0\x04" + parameters + b"\x0a\0\0\0"
    return b"\x32\x03\0\0" + question[4:6] + b"\0\0\0\0\x81\x04"


def _lie(fault: FaultKind, answer: bytes) -> bytes:
    if fault is FaultKind.GARBAGE:
        return bytes(range(0xE0, 0xF8))
    if fault is FaultKind.WRONG_SEQUENCE:
        stranger = (int.from_bytes(answer[4:6]) + 7 & 0xFFFF).to_bytes(2)
        return _framed(answer[:4] + stranger + answer[6:])
    if fault is FaultKind.WRONG_UNIT:
        at = 16 if answer[1] == _USER_DATA else 12
        return _framed(answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :])
    return _framed(_resized(answer, -1 if fault is FaultKind.SHORT else 1))


def _resized(answer: bytes, by: int) -> bytes:
    """The answer with one byte of data fewer or more, all its lengths to match."""
    size = int.from_bytes(answer[8:10]) + by
    head = answer[:8] + size.to_bytes(2) + answer[10:]
    at = 22 if answer[1] == _USER_DATA else 14
    if answer[1] != _USER_DATA and answer[12] == _WRITE:
        return head[:by] if by < 0 else head + b"\xff"
    in_bits = head[at + 1] in (4, 5)
    length = int.from_bytes(head[at + 2 : at + 4]) + by * (8 if in_bits else 1)
    head = head[: at + 2] + length.to_bytes(2) + head[at + 4 :]
    return head[:by] if by < 0 else head + b"\0"
