"""How close the Modbus driver comes to the limit: requests sent, and time against a bare socket loop.

    ./run bench modbus            all figures (about a minute)
    ./run bench modbus --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds; the median round counts. The floor
is a blocking socket that sends the same minimal requests and only waits for each answer: no checks, no values.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import random
import socket
import statistics
import struct
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import combinations
from multiprocessing.connection import Connection

from factorylm_modbus import connect
from factorylm_modbus.address import Table
from factorylm_modbus.plan import Limits, Span, plan
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.simulator import serving
from factorylm_schema import Device, Tag

DELAY_S = 0.002
DEPTH = 8
SEED = 20260101
_FEWEST_EXCHANGES = 150  # a round is never shorter: a single late wake-up must not decide it

Frames = list[tuple[bytes, int]]


def tag_sets() -> dict[str, list[int]]:
    """1,000 registers each, spread differently over the table."""
    rng = random.Random(SEED)
    clusters = rng.sample(range(0, 59_000, 100), 50)
    return {
        "contiguous": list(range(1000)),
        "dense (50 clusters of 20)": [start + at for start in sorted(clusters) for at in range(20)],
        "scattered over 10,000": sorted(rng.sample(range(10_000), 1000)),
        "sparse over 60,000": sorted(rng.sample(range(60_000), 1000)),
    }


# -- requests ---------------------------------------------------------------------------------


def small_cases_ratio(cases: int = 400) -> float:
    """The worst PDUs sent / minimal PDUs over small random cases, the minimum found by trying every choice."""
    rng = random.Random(SEED)
    return max(_ratio_of_one_case(rng) for _ in range(cases))


def _ratio_of_one_case(rng: random.Random) -> float:
    limits = Limits(max_registers=rng.randint(4, 12), max_gap=rng.randint(0, 6))
    starts = rng.sample(range(40), 7)
    spans = [Span(1, Table.HOLDING_REGISTER, at, at + rng.choice((1, 1, 2, 4))) for at in starts]
    return len(plan(spans, limits)) / _fewest(spans, limits)


def _fewest(spans: list[Span], limits: Limits) -> int:
    """Cover all spans with the fewest allowed requests, by trying every set of candidate requests."""
    wanted = {at for span in spans for at in range(span.start, span.end)}
    candidates = {
        frozenset(span for span in spans if first.start <= span.start and span.end <= last.end)
        for first in spans
        for last in spans
        if _allowed(first.start, last.end, wanted, limits)
    }
    for count in range(1, len(spans) + 1):
        if any(len(frozenset().union(*chosen)) == len(spans) for chosen in combinations(candidates, count)):
            return count
    raise AssertionError("each span alone is always allowed")


def _allowed(start: int, end: int, wanted: set[int], limits: Limits) -> bool:
    longest = run = 0
    for at in range(start, end):
        run = 0 if at in wanted else run + 1
        longest = max(longest, run)
    return 0 < end - start <= limits.max_registers and longest <= limits.max_gap


# -- the device and the delay, each in a process of its own -------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        device = SimulatedDevice()
        device.define(Table.HOLDING_REGISTER, 0, 60_200)
        async with serving(device) as port:
            pipe.send(port)
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(run())


class _Delayed(asyncio.Protocol):
    """Passes bytes on in order, `DELAY_S` later."""

    def __init__(self) -> None:
        self.other: _Delayed | None = None
        self.transport: asyncio.Transport
        self.waiting: deque[bytes] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(DELAY_S, self._pass_on, data)

    def _pass_on(self, data: bytes) -> None:
        if self.other is not None:
            self.other.transport.write(data)
        else:
            self.waiting.append(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


def _delay(pipe: Connection, port: int) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        joining: set[asyncio.Task[None]] = set()

        def accept() -> _Delayed:
            near = _Delayed()
            joining.add(asyncio.ensure_future(join(near)))
            return near

        async def join(near: _Delayed) -> None:
            _, far = await loop.create_connection(_Delayed, "127.0.0.1", port)
            near.other, far.other = far, near
            while near.waiting:
                far.transport.write(near.waiting.popleft())

        server = await loop.create_server(accept, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)

    asyncio.run(run())


@contextmanager
def beside(target: Callable[..., None], *arguments: int) -> Iterator[int]:
    """Run `target` in another process; gives its port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *arguments), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join(5)


# -- the two sides ------------------------------------------------------------------------------


def floor_s(port: int, frames: Frames, times: int) -> float:
    """Seconds a blocking socket needs to send the frames one by one and wait for each answer."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _exchange(link, frames[:1])
        begun = time.perf_counter()
        for _ in range(times):
            _exchange(link, frames)
        return (time.perf_counter() - begun) / times


def _exchange(link: socket.socket, frames: Frames) -> None:
    for frame, length in frames:
        link.sendall(frame)
        missing = length
        while missing > 0:
            missing -= len(link.recv(4096))


def frames_of(registers: list[int]) -> Frames:
    """The minimal requests for `registers` as frames, with the length of each answer."""
    blocks = plan([Span(1, Table.HOLDING_REGISTER, at, at + 1) for at in registers], Limits())
    return [
        (struct.pack(">HHHBBHH", at, 0, 6, 1, 3, b.span.start, b.span.size), 9 + 2 * b.span.size)
        for at, b in enumerate(blocks)
    ]


@dataclass
class Rounds:
    """Seconds of each round."""

    floor: list[float]
    requests: list[float]
    readings: list[float]

    def ratio(self, ours: list[float]) -> float:
        """Floor / ours; the median of the rounds."""
        return statistics.median(floor / our for floor, our in zip(self.floor, ours, strict=True))

    def in_round_trips(self, ours: list[float], pdus: int, trips: int) -> float:
        """Ours / `trips` round trips, one being a `pdus`-th of the floor; the median of the rounds."""
        return statistics.median(our / (trips * floor / pdus) for our, floor in zip(ours, self.floor, strict=True))


async def timed(port: int, registers: list[int], frames: Frames, depth: int, rounds: int) -> Rounds:
    """Interleaved rounds of the floor, our requests alone, and our whole read with its values."""
    options = {"max_in_flight": depth}
    driver = connect(Device(name="d", url=f"modbus-tcp://127.0.0.1:{port}", timeout_s=20, options=options))
    tags = [Tag(device="d", name=f"t{at}", address=f"hr@{at}:UINT") for at in registers]
    readings = await driver.read(tags)
    assert all(reading.quality.is_good for reading in readings)
    again = math.ceil(_FEWEST_EXCHANGES / len(frames))
    times = Rounds([], [], [])
    for _ in range(rounds):
        times.floor.append(floor_s(port, frames, again))
        times.requests.append(await _seconds(lambda: driver.fetch(tags), again))
        times.readings.append(await _seconds(lambda: driver.read(tags), again))
    await driver.close()
    return times


async def _seconds(run: Callable[[], Awaitable[object]], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        await run()
    return (time.perf_counter() - begun) / times


# -- the figures --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """One ratio and the bound it must keep, where there is one."""

    of: str
    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def kept(self) -> bool:
        """The bound holds."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )

    def __str__(self) -> str:
        bounds = [f">= {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"<= {self.at_most:g}"] if self.at_most is not None else []
        told = f"  {bounds[0]:8} {'kept' if self.kept else 'BROKEN'}" if bounds else ""
        return f"{self.of:26} {self.what:52} {self.value:6.2f}{told}"


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    yield Figure("400 small random sets", "worst of: requests / fewest by trying all", small_cases_ratio(), at_most=1.0)
    with beside(_serve) as port, beside(_delay, port) as delayed:
        for name, registers in tag_sets().items():
            yield from _figures_of(name, port, delayed, registers, rounds)


def _figures_of(name: str, port: int, delayed: int, registers: list[int], rounds: int) -> Iterator[Figure]:
    frames = frames_of(registers)
    pdus, trips = len(frames), math.ceil(len(frames) / DEPTH)
    yield Figure(name, f"1,000 tags in {pdus} requests / fewest", pdus / _fewest_of_singles(registers), at_most=1.0)
    near = asyncio.run(timed(port, registers, frames, 1, rounds))
    many = pdus >= 50
    yield Figure(name, "loopback: floor / requests", near.ratio(near.requests), at_least=0.5 if many else None)
    yield Figure(name, "loopback: floor / requests and 1,000 readings", near.ratio(near.readings))
    far = asyncio.run(timed(delayed, registers, frames, 1, rounds))
    yield Figure(name, "2 ms delay: floor / requests", far.ratio(far.requests), at_least=0.9 if many else None)
    yield Figure(name, "2 ms delay: floor / requests and readings", far.ratio(far.readings))
    deep = asyncio.run(timed(delayed, registers, frames, DEPTH, rounds))
    what = f"2 ms delay, depth {DEPTH}: requests / {trips} round trips"
    yield Figure(name, what, deep.in_round_trips(deep.requests, pdus, trips), at_most=1.25 if many else None)


def _fewest_of_singles(registers: list[int]) -> int:
    """For single registers: begin at the first that is not covered, reach as far as a request may."""
    limits, count, end, last = Limits(), 0, -1, -(1 << 17)
    for at in registers:
        if at >= end or at - last - 1 > limits.max_gap:
            count, end = count + 1, at + limits.max_registers
        last = at
    return count


def main() -> int:
    """Print the figures; 1 where a bound is broken."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], epilog="example: ./run bench modbus --rounds 9"
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds; the median counts (default: 7)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("--rounds is at least 5: a median of fewer says little")
    kept = True
    for figure in measured(options.rounds):
        kept &= figure.kept
        print(json.dumps({**asdict(figure), "kept": figure.kept}) if options.json else figure, flush=True)
    print(f"repeat: ./run bench modbus --rounds {options.rounds}", file=sys.stderr)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
