"""How close the S7 driver comes to the limit: jobs sent against a bound, and time against hand-packed python-snap7.

    ./run bench s7                all figures (about a minute)
    ./run bench s7 --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds of changing order; the median round
counts, and in each round the quickest of five. The peer is python-snap7 used as well as one can by hand: our own jobs
put through its protocol layer, or one read_area for each stretch of a PDU's length, whichever is faster, up to the
bytes of each tag. Ours is timed twice: up to the same bytes, and up to readings (value, unit, quality, time, address,
raw bytes), which are work that bytes are not.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import snap7
from factorylm_s7.driver import S7Driver
from factorylm_s7.plan import Budget, Job, Range, fewest, plan
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.simulator import serving
from factorylm_schema import Device, Tag

BLOCK = 0x84
SEED = 20260101
PDUS = (240, 480, 960)
VALUE = struct.pack(">f", 1.5)
BOUND_ON = "python-snap7 by hand, bytes / our bytes"
LEAST_TIME = 0.8
REPEATS = 5  # of each side in each round, the quickest counts: what else the machine does only adds


def tag_sets() -> dict[str, list[int]]:
    """The first bytes of 1,000 REALs each, spread differently over a data block."""
    chance = random.Random(SEED)
    clusters = chance.sample(range(0, 59_000, 200), 50)
    return {
        "neighbouring": [4 * n for n in range(1000)],
        "50 clusters of 20": [start + 4 * n for start in sorted(clusters) for n in range(20)],
        "scattered over 20,000 bytes": [4 * n for n in sorted(chance.sample(range(5_000), 1000))],
        "scattered over 60,000 bytes": [4 * n for n in sorted(chance.sample(range(15_000), 1000))],
    }


def _ranges(starts: list[int]) -> list[Range]:
    return [Range(BLOCK, 1, start, start + 4) for start in starts]


# -- the CPU, in a process of its own -------------------------------------------------------------


def _serve(pipe: Connection, pdu: int) -> None:
    async def run() -> None:
        cpu = SimulatedCpu(blocks={1: bytearray(VALUE * 15_100)}, pdu=pdu)
        async with serving(cpu) as port:
            pipe.send(port)
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(run())


@contextmanager
def beside(pdu: int) -> Iterator[int]:
    """Serve in another process; gives the port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, pdu), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join(5)


# -- python-snap7 by hand -------------------------------------------------------------------------


def connected(port: int) -> snap7.Client:
    """Its client with the largest PDU, and one job at a time, as it negotiated."""
    client = snap7.Client()
    client.set_param(snap7.type.Parameter.PDURequest, 960)
    client.connect("127.0.0.1", 0, 1, port)
    client.max_parallel = 1
    assert client.pdu_length == 960
    return client


def by_items(client: snap7.Client, jobs: list[Job], starts: list[int]) -> list[bytes]:
    """Our own jobs through its protocol layer (its read_multi_vars plans anew each time, which takes longer)."""
    memory = bytearray(60_400)
    assert client.connection is not None
    for job in jobs:
        places = [(BLOCK, 1, item.start, item.size) for item in job]
        client.connection.send_data(client.protocol.build_multi_read_request(places))
        reply = client.protocol.parse_response(client.connection.receive_data())
        for item, data in zip(job, client.protocol.extract_multi_read_data(reply, len(job)), strict=True):
            memory[item.start : item.end] = data
    return [bytes(memory[start : start + 4]) for start in starts]


def by_stretches(client: snap7.Client, _: list[Job], starts: list[int]) -> list[bytes]:
    """As few read_area calls as reach over all tags, gaps included."""
    parts: list[bytes] = []
    longest, at = client.pdu_length - 18, 0
    while at < len(starts):
        first = starts[at]
        inside = [start for start in starts[at : at + longest] if start + 4 - first <= longest]
        data = client.read_area(snap7.Area.DB, 1, first, inside[-1] + 4 - first)
        parts += [bytes(data[start - first : start - first + 4]) for start in inside]
        at += len(inside)
    return parts


def one_by_one(client: snap7.Client, _: list[Job], starts: list[int]) -> list[bytes]:
    """One read_area for every tag."""
    return [bytes(client.read_area(snap7.Area.DB, 1, start, 4)) for start in starts]


By = Callable[[snap7.Client, list[Job], list[int]], list[bytes]]


async def _theirs(by: By, client: snap7.Client, jobs: list[Job], starts: list[int]) -> None:
    parts = by(client, jobs, starts)
    assert len(parts) == len(starts)


# -- both sides -----------------------------------------------------------------------------------


@dataclass
class Rounds:
    """Seconds of each round, of each side."""

    by_items: list[float] = field(default_factory=list)
    by_stretches: list[float] = field(default_factory=list)
    one_by_one: list[float] = field(default_factory=list)
    our_bytes: list[float] = field(default_factory=list)
    our_readings: list[float] = field(default_factory=list)

    @property
    def by_hand(self) -> list[float]:
        """The better of the two ways over all rounds (of a single round, the luckier would be taken)."""
        return min(self.by_items, self.by_stretches, key=statistics.median)


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(theirs, ours, strict=True))


async def timed(port: int, starts: list[int], rounds: int) -> Rounds:
    """Interleaved rounds of python-snap7 by hand and tag by tag, our bytes and our readings."""
    driver = S7Driver(Device(name="d", url=f"s7://127.0.0.1:{port}", timeout_s=20))
    tags = [Tag(device="d", name=f"t{start}", address=f"%DB1.DBD{start}:REAL", unit="bar") for start in starts]
    client = connected(port)
    jobs = plan(_ranges(starts), Budget(client.pdu_length))
    assert all(reading.value == 1.5 for reading in await driver.read(tags))
    assert all(by(client, jobs, starts) == [VALUE] * len(starts) for by in (by_items, by_stretches, one_by_one))
    chance, times = random.Random(SEED), Rounds()
    sides = [
        (times.by_items, lambda: _theirs(by_items, client, jobs, starts)),
        (times.our_bytes, lambda: driver.fetch(tags)),
        (times.by_stretches, lambda: _theirs(by_stretches, client, jobs, starts)),
        (times.our_readings, lambda: driver.read(tags)),
        (times.one_by_one, lambda: _theirs(one_by_one, client, jobs, starts)),
    ]
    for _ in range(rounds):
        for seconds, run in sides:
            seconds.append(min([await _seconds(run) for _ in range(REPEATS)]))
        chance.shuffle(sides)  # who runs after whom decides whose memory is warm
    client.disconnect()
    await driver.close()
    return times


async def _seconds(run: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await run()
    return time.perf_counter() - begun


# -- the figures ----------------------------------------------------------------------------------


def measured(rounds: int) -> dict[str, dict[str, float]]:
    """Jobs and bound for every set and PDU; times at the largest PDU."""
    figures: dict[str, dict[str, float]] = {}
    with beside(960) as port:
        for name, starts in tag_sets().items():
            of_set: dict[str, float] = {}
            for pdu in PDUS:
                ranges, budget = _ranges(starts), Budget(pdu)
                jobs = len(plan(ranges, budget))
                of_set[f"PDU {pdu}: jobs sent"] = jobs
                of_set[f"PDU {pdu}: jobs sent / lower bound"] = round(jobs / fewest(ranges, budget), 3)
            times = asyncio.run(timed(port, starts, rounds))
            of_set[BOUND_ON] = round(_ratio(times.by_hand, times.our_bytes), 2)
            of_set["python-snap7 by hand, bytes / our readings"] = round(_ratio(times.by_hand, times.our_readings), 2)
            of_set["python-snap7 tag by tag, bytes / our readings"] = round(
                _ratio(times.one_by_one, times.our_readings), 1
            )
            figures[name] = of_set
    return figures


def main() -> int:
    """Print the figures; exit code 1 when a bound is broken."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], epilog="example: ./run bench s7 --rounds 9"
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds; the median counts")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("--rounds is at least 5: a median of fewer says little")
    figures = measured(options.rounds)
    slow = [name for name, each in figures.items() if each[BOUND_ON] < LEAST_TIME]
    if options.json:
        print(json.dumps(figures, indent=2))
        return int(bool(slow))
    for name, figures_of_set in figures.items():
        print(name)
        for what, figure in figures_of_set.items():
            print(f"    {what:45} {figure}")
    print(f"bound: {BOUND_ON} >= {LEAST_TIME}: {'broken by ' + ', '.join(slow) if slow else 'kept'}")
    print(f"repeat: ./run bench s7 --rounds {options.rounds}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
