"""How close the S7 driver comes to the limit: jobs sent against a bound, and time against hand-packed python-snap7.

    ./run bench s7                all figures (about a minute)
    ./run bench s7 --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds of changing order; the median round
counts, and in each round the quickest of five. The peer is python-snap7 used as well as one can by hand: our own jobs
put through its protocol layer, or one read_area for each stretch of a PDU's length, whichever is faster, up to the
bytes of each tag. Ours is timed twice: up to the same bytes, and up to readings (value, unit, quality, time, address,
raw bytes), which are work that bytes are not.
"""

import asyncio
import random
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import snap7
from factorylm_s7.driver import S7Driver
from factorylm_s7.plan import Budget, Job, Range, fewest, plan
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.simulator import serving
from factorylm_schema import Device, Tag
from measuring.beside import beside, until_told
from measuring.figures import Figure, report

BLOCK = 0x84
SEED = 20260101
PDUS = (240, 480, 960)
VALUE = struct.pack(">f", 1.5)
LEAST_TIME = 0.8
BOUND_CAN_BE_MISSED = 1.1  # no plan can beat the lower bound; where bytes and items both press, some cannot reach it
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
            await until_told(pipe, port)

    asyncio.run(run())


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

    def ratio(self, ours: list[float], theirs: list[float] | None = None) -> float:
        """Theirs (by hand where nothing else is given) / ours; the median of the rounds."""
        return statistics.median(one / other for one, other in zip(theirs or self.by_hand, ours, strict=True))


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


def measured(rounds: int) -> Iterator[Figure]:
    """Jobs against the bound for every set and PDU; times at the largest PDU."""
    with beside(_serve, max(PDUS)) as port:
        for name, starts in tag_sets().items():
            most = 1 if name == "neighbouring" else BOUND_CAN_BE_MISSED
            name = f"1,000 REALs, {name}"
            for pdu in PDUS:
                jobs, least = len(plan(_ranges(starts), Budget(pdu))), fewest(_ranges(starts), Budget(pdu))
                yield Figure(f"{name}: {jobs} jobs sent / lower bound, PDU {pdu}", jobs / least, most=most)
            times = asyncio.run(timed(port, starts, rounds))
            yield Figure(f"{name}: python-snap7 by hand / our bytes", times.ratio(times.our_bytes), least=LEAST_TIME)
            yield Figure(f"{name}: python-snap7 by hand / our readings", times.ratio(times.our_readings))
            naive = times.ratio(times.our_readings, theirs=times.one_by_one)
            yield Figure(f"{name}: python-snap7 tag by tag / our readings", naive)


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
