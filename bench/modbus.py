"""How close the Modbus driver comes to the limit: requests sent, and time against a bare socket loop.

    ./run bench modbus            all figures (about two minutes)
    ./run bench modbus --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds; the median round counts, and on
loopback in each round the quickest of five, since what else the machine does only adds. The floor is a blocking socket
that sends the same minimal requests and only waits for each answer: no checks, no values. Ours is timed twice: up to
the checked answers, and up to 1,000 readings (value, unit, quality, time, address, raw bytes), which are work that
answers are not.
"""

import asyncio
import math
import random
import socket
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from multiprocessing.connection import Connection

from factorylm_modbus import connect
from factorylm_modbus.address import Table
from factorylm_modbus.plan import Limits, Span, plan
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.simulator import serving
from factorylm_schema import Device, Tag
from measuring.beside import beside, delayed, until_told
from measuring.figures import Figure, report

DELAY_S = 0.002
DEPTH = 8
SEED = 20260101
MANY = 50  # PDUs from which on a bound is kept: with fewer, the start of a call decides
REPEATS = 5  # of each side in each round on loopback, the quickest counts
_FEWEST_EXCHANGES = 150  # over the slow line no round is shorter: a single late wake-up must not decide it

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


# -- the device, in a process of its own ---------------------------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        device = SimulatedDevice()
        device.define(Table.HOLDING_REGISTER, 0, 60_200)
        async with serving(device) as port:
            await until_told(pipe, port)

    asyncio.run(run())


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

    floor: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    readings: list[float] = field(default_factory=list)

    def ratio(self, ours: list[float]) -> float:
        """Floor / ours; the median of the rounds."""
        return statistics.median(floor / our for floor, our in zip(self.floor, ours, strict=True))

    def in_round_trips(self, pdus: int, trips: int) -> float:
        """Our requests / `trips` round trips, one being a `pdus`-th of the floor; the median of the rounds."""
        pairs = zip(self.requests, self.floor, strict=True)
        return statistics.median(our / (trips * floor / pdus) for our, floor in pairs)


async def timed(port: int, registers: list[int], *, depth: int, rounds: int, repeats: int, exchanges: int) -> Rounds:
    """Interleaved rounds of the floor, our requests alone, and our whole read with its values."""
    frames = frames_of(registers)
    options = {"max_in_flight": depth}
    driver = connect(Device(name="d", url=f"modbus-tcp://127.0.0.1:{port}", timeout_s=20, options=options))
    tags = [Tag(device="d", name=f"t{at}", address=f"hr@{at}:UINT") for at in registers]
    assert all(reading.quality.is_good for reading in await driver.read(tags))
    again = math.ceil(exchanges / len(frames))
    times = Rounds()
    for _ in range(rounds):
        times.floor.append(min(floor_s(port, frames, again) for _ in range(repeats)))
        times.requests.append(min([await _seconds(lambda: driver.fetch(tags), again) for _ in range(repeats)]))
        times.readings.append(min([await _seconds(lambda: driver.read(tags), again) for _ in range(repeats)]))
    await driver.close()
    return times


async def _seconds(run: Callable[[], Awaitable[object]], times: int) -> float:
    begun = time.perf_counter()
    for _ in range(times):
        await run()
    return (time.perf_counter() - begun) / times


# -- the figures --------------------------------------------------------------------------------


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    yield Figure("Modbus PDUs sent / fewest, worst of 400 small random sets", small_cases_ratio(), most=1)
    with beside(_serve) as near, beside(delayed, near, DELAY_S) as far:
        for name, registers in tag_sets().items():
            yield from _figures_of(name, registers, near, far, rounds)


def _figures_of(name: str, registers: list[int], near: int, far: int, rounds: int) -> Iterator[Figure]:
    pdus = len(frames_of(registers))
    trips = math.ceil(pdus / DEPTH)
    many = pdus >= MANY
    name = f"1,000 registers, {name}"
    yield Figure(f"{name}: {pdus} PDUs sent / fewest", pdus / _fewest_of_singles(registers), most=1)

    loopback = asyncio.run(timed(near, registers, depth=1, rounds=rounds, repeats=REPEATS, exchanges=1))
    ratio = loopback.ratio(loopback.requests)
    yield Figure(f"{name}: bare socket loop / ours, loopback", ratio, least=0.5 if many else None)
    yield Figure(f"{name}: bare socket loop / ours with readings, loopback", loopback.ratio(loopback.readings))

    slow = asyncio.run(timed(far, registers, depth=1, rounds=rounds, repeats=1, exchanges=_FEWEST_EXCHANGES))
    yield Figure(f"{name}: bare socket loop / ours, 2 ms delay", slow.ratio(slow.requests), least=0.9 if many else None)
    yield Figure(f"{name}: bare socket loop / ours with readings, 2 ms delay", slow.ratio(slow.readings))

    deep = asyncio.run(timed(far, registers, depth=DEPTH, rounds=rounds, repeats=1, exchanges=_FEWEST_EXCHANGES))
    in_trips = deep.in_round_trips(pdus, trips)
    yield Figure(f"{name}: depth {DEPTH} / {trips} round trips, 2 ms delay", in_trips, most=1.25 if many else None)


def _fewest_of_singles(registers: list[int]) -> int:
    """For single registers: begin at the first that is not covered, reach as far as a request may."""
    limits, count, end, last = Limits(), 0, -1, -(1 << 17)
    for at in registers:
        if at >= end or at - last - 1 > limits.max_gap:
            count, end = count + 1, at + limits.max_registers
        last = at
    return count


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
