"""How close the S7 driver comes to the limit: jobs sent against a bound, and time against hand-packed python-snap7.

    ./run bench s7                all figures (about a minute)
    ./run bench s7 --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds; the median round counts. The peer is
python-snap7 used as well as one can by hand: the items of our own jobs given to read_multi_vars, or one read_area for
each stretch of a PDU's length, whichever is faster, up to the bytes of each tag. Ours is timed twice: up to the same
bytes, and up to readings (value, unit, quality, time, address, raw bytes), which are work that bytes are not.
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
    """Our own jobs through read_multi_vars."""
    memory = bytearray(60_400)
    for job in jobs:
        asked = [{"area": snap7.Area.DB, "db_number": 1, "start": i.start, "size": i.size} for i in job]
        _, found = client.read_multi_vars(asked)
        for item, data in zip(job, found, strict=True):
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


def _theirs_s(by: By, client: snap7.Client, jobs: list[Job], starts: list[int]) -> float:
    begun = time.perf_counter()
    parts = by(client, jobs, starts)
    took = time.perf_counter() - begun
    assert parts == [VALUE] * len(starts)
    return took


# -- both sides -----------------------------------------------------------------------------------


async def timed(port: int, starts: list[int], rounds: int) -> dict[str, float]:
    """Interleaved rounds of python-snap7 by hand, our bytes and our readings; medians of the rounds' ratios."""
    driver = S7Driver(Device(name="d", url=f"s7://127.0.0.1:{port}", timeout_s=20))
    tags = [Tag(device="d", name=f"t{start}", address=f"%DB1.DBD{start}:REAL", unit="bar") for start in starts]
    client = connected(port)
    jobs = plan(_ranges(starts), Budget(client.pdu_length))
    assert all(reading.value == 1.5 for reading in await driver.read(tags))
    bytes_, readings, naive = [], [], []
    for number in range(rounds):
        theirs = min(_theirs_s(by, client, jobs, starts) for by in (by_items, by_stretches))
        bytes_.append(theirs / await _seconds(lambda: driver.fetch(tags)))
        ours = await _seconds(lambda: driver.read(tags))
        readings.append(theirs / ours)
        if number < 3:
            naive.append(_theirs_s(one_by_one, client, jobs, starts) / ours)
    client.disconnect()
    await driver.close()
    medians = {"bytes": bytes_, "readings": readings, "naive": naive}
    return {name: statistics.median(ratios) for name, ratios in medians.items()}


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
            of_set[BOUND_ON] = round(times["bytes"], 2)
            of_set["python-snap7 by hand, bytes / our readings"] = round(times["readings"], 2)
            of_set["python-snap7 tag by tag, bytes / our readings"] = round(times["naive"], 1)
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
