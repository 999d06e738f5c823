"""How close the EtherNet/IP driver comes to the limit: packets sent, and time against pycomm3 used as well as it can.

    ./run bench enip              all figures (about half a minute)
    ./run bench enip --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds; the median of the rounds' ratios
counts. On loopback it is CPU time of the client, with the controller in another process; over a line of 2 ms each way
it is the time that passes. The peer is pycomm3's LogixDriver with its tag list uploaded and its requests packed by
hand, which gives a list of numbers. So there are two ratios: numbers against the numbers of our packets with all their
checks, and readings (unit, quality, time) made of pycomm3's numbers against our readings.
"""

import asyncio
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from factorylm_enip.address import parse
from factorylm_enip.driver import EnipDriver
from factorylm_enip.endpoint import parse_url
from factorylm_enip.line import CheckedSocket, Deadline
from factorylm_enip.memory import Memory
from factorylm_enip.plan import Want, plan
from factorylm_enip.session import Session
from factorylm_enip.simulated_controller import Controller
from factorylm_enip.simulated_wire import Wire
from factorylm_enip.values import Elements
from factorylm_schema import Device, Reading, Tag
from factorylm_skill.engineering import to_reading
from measuring.beside import beside, delayed, until_told
from measuring.figures import Figure, report
from pycomm3 import LogixDriver

COUNT = 1000
NAIVE = 100
DELAY_S = 0.002
ROOM = 4000 - 2  # of a packet's 4,000 bytes two are its sequence count
LEAST = 0.8
Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class TagSet:
    """1,000 tags; how pycomm3 is asked for them by hand; and the fewest packets that their bytes need."""

    name: str
    addresses: list[str]
    by_hand: list[str]
    fewest: int


def tag_sets() -> list[TagSet]:
    """Scattered tags, neighbours in an array, and half of each."""
    scattered = [f"Area_{number % 7}_Value_{number:04}" for number in range(COUNT)]
    neighbours = [f"Counts[{number}]" for number in range(COUNT)]
    half = COUNT // 2
    request, reply = _bytes_of(scattered)
    half_request, half_reply = _bytes_of(scattered[:half])
    return [
        TagSet(
            name="1,000 scattered tags",
            addresses=scattered,
            by_hand=scattered,
            fewest=max(_packets(request, ROOM - 8), _packets(reply, ROOM - 6)),
        ),
        TagSet(
            name="1,000 neighbours",
            addresses=neighbours,
            # two requests: pycomm3 does not fragment Counts{1000}, whose answer is just too long, and fails
            by_hand=[f"Counts[0]{{{half}}}", f"Counts[{half}]{{{half}}}"],
            fewest=_packets(4 * COUNT, (ROOM - 6) // 4 * 4),
        ),
        TagSet(
            name="500 of each",
            addresses=scattered[:half] + neighbours[:half],
            by_hand=[*scattered[:half], f"Counts[0]{{{half}}}"],
            fewest=max(_packets(half_request, ROOM - 8), _packets(half_reply + 4 * half, ROOM - 6)),
        ),
    ]


def _bytes_of(names: Sequence[str]) -> tuple[int, int]:
    """What the services on these DINT tags take in a batch: offset, service, path, count; and offset, head, value."""
    request = sum(2 + 1 + 1 + 2 + len(name) + len(name) % 2 + 2 for name in names)
    return request, len(names) * (2 + 4 + 2 + 4)


def _packets(count: int, each: int) -> int:
    return -(-count // each)


# -- the controller, in a process of its own -----------------------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        controller = Controller()
        controller.tags.add("Counts", "DINT", COUNT)
        for number in range(COUNT):
            controller.tags.add(f"Area_{number % 7}_Value_{number:04}", "DINT")
        async with Wire(controller=controller).running() as wire:
            await until_told(pipe, wire.port)

    asyncio.run(run())


# -- the two sides ------------------------------------------------------------------------------


class Ours:
    """The driver on an event loop of its own, called from outside like the peer."""

    def __init__(self, port: int) -> None:
        self._runner = asyncio.Runner()
        self._driver = EnipDriver(Device(name="d", url=f"enip://127.0.0.1:{port}/0", timeout_s=20))

    def read(self, tags: Sequence[Tag]) -> list[Reading]:
        return self._runner.run(self._driver.read(tags))

    def close(self) -> None:
        self._runner.run(self._driver.close())
        self._runner.close()


class OurPackets:
    """The driver's packets with all their checks, and no readings made of what they bring."""

    def __init__(self, port: int, addresses: Sequence[str]) -> None:
        self._session = Session(parse_url(f"enip://127.0.0.1:{port}/0"), Deadline())
        self._deadline_in(20)
        self._session.start()
        places = [parse(text) for text in addresses]
        wants = [Want(segments=at.array.segments, size=4, element=at.element) for at in places]
        numbers = range(len(wants))
        self._packets = [[part.sent_for(numbers) for part in packet] for packet in plan(wants, self._session.room)]
        self._kinds = Memory()

    def numbers(self) -> list[int | float]:
        self._deadline_in(20)
        found: list[int | float] = []
        for packet in self._packets:
            replies = self._session.ask_all([part.request for part in packet])
            for part, reply in zip(packet, replies, strict=True):
                kind = self._kinds.known_kind(reply.data)
                assert kind is not None
                assert len(reply.data) == 2 + kind.size * part.count
                found += Elements(kind, reply.data[2:]).numbers or ()
        return found

    def close(self) -> None:
        self._session.finish()

    def _deadline_in(self, seconds_: float) -> None:
        self._session.deadline.at = time.monotonic() + seconds_


def values_by_hand(plc: LogixDriver, asked: Sequence[str]) -> list[int]:
    """All values with one call of the library."""
    values: list[int] = []
    for answer in plc.read(*asked):
        assert answer.error is None, answer
        if isinstance(answer.value, list):
            values += answer.value
        else:
            values.append(answer.value)
    return values


def readings_by_hand(plc: LogixDriver, asked: Sequence[str], tags: Sequence[Tag]) -> list[Reading]:
    """The same as an assistant needs them."""
    values, now = values_by_hand(plc, asked), datetime.now(UTC)
    return [to_reading(tag, value, now, address=tag.address) for tag, value in zip(tags, values, strict=True)]


@contextmanager
def counted_packets() -> Iterator[list[int]]:
    """How many packets our driver sends meanwhile."""
    sent, send = [0], CheckedSocket.send

    def counting(self: CheckedSocket, msg: bytes, timeout: float = 0) -> int:
        sent[0] += 1
        return send(self, msg, timeout)

    CheckedSocket.send = counting  # type: ignore[method-assign]
    try:
        yield sent
    finally:
        CheckedSocket.send = send  # type: ignore[method-assign]


def seconds(run: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    begun = clock()
    run()
    return clock() - begun


# -- the figures --------------------------------------------------------------------------------


def figures_of(wanted: TagSet, near: int, far: int, rounds: int) -> list[Figure]:
    """Packets, then times on loopback and over the delay."""
    tags = [Tag(device="d", name=f"t{number}", address=text) for number, text in enumerate(wanted.addresses)]
    figures = [_packets_figure(wanted, tags, near)]
    ways: list[tuple[int, str, Clock]] = [
        (near, "CPU on loopback", time.process_time),
        (far, "2 ms each way", time.perf_counter),
    ]
    for port, where, clock in ways:
        numbers, readings = _times(wanted, tags, port, rounds, clock)
        mark = f"{wanted.name}, {where}: pycomm3 by hand / ours"
        figures.append(Figure(f"{mark}, numbers", numbers, least=LEAST))
        figures.append(Figure(f"{mark}, readings", readings))
    return figures


def _packets_figure(wanted: TagSet, tags: Sequence[Tag], port: int) -> Figure:
    with closing(Ours(port)) as ours:
        readings = ours.read(tags)
        assert all(reading.quality.is_good for reading in readings)
        with counted_packets() as sent:
            ours.read(tags)
    return Figure(
        what=f"{wanted.name}: packets sent / fewest ({wanted.fewest})", measured=sent[0] / wanted.fewest, most=1
    )


def _times(wanted: TagSet, tags: Sequence[Tag], port: int, rounds: int, clock: Clock) -> tuple[float, float]:
    numbers, readings = [], []
    peer = LogixDriver(f"127.0.0.1:{port}/0")
    with closing(Ours(port)) as ours, closing(OurPackets(port, wanted.addresses)) as packets, peer as plc:
        ours.read(tags)
        ours.read(tags)  # planned with what the first has taught
        assert len(packets.numbers()) == len(values_by_hand(plc, wanted.by_hand))
        for _ in range(rounds):
            by_hand = seconds(lambda: values_by_hand(plc, wanted.by_hand), clock)
            numbers.append(by_hand / seconds(packets.numbers, clock))
            by_hand = seconds(lambda: readings_by_hand(plc, wanted.by_hand, tags), clock)
            readings.append(by_hand / seconds(lambda: ours.read(tags), clock))
    return statistics.median(numbers), statistics.median(readings)


def naive(port: int, rounds: int) -> Figure:
    """One call of the library per tag, as most examples do."""
    addresses = tag_sets()[0].addresses[:NAIVE]
    tags = [Tag(device="d", name=text, address=text) for text in addresses]
    ratios = []
    with closing(Ours(port)) as ours, LogixDriver(f"127.0.0.1:{port}/0") as plc:
        ours.read(tags)
        for _ in range(rounds):
            one_by_one = seconds(lambda: [plc.read(text) for text in addresses])
            ratios.append(one_by_one / seconds(lambda: ours.read(tags)))
    return Figure(
        what=f"{NAIVE} scattered tags, loopback: pycomm3 tag by tag / ours", measured=statistics.median(ratios)
    )


def first_value(port: int, rounds: int) -> Figure:
    """From nothing to the first value; pycomm3 uploads the tag list first."""
    tag = Tag(device="d", name="t", address="Area_0_Value_0000")

    def library() -> None:
        with LogixDriver(f"127.0.0.1:{port}/0") as plc:
            assert plc.read(tag.address).error is None

    def mine() -> None:
        with closing(Ours(port)) as ours:
            assert ours.read([tag])[0].quality.is_good

    ratios = [seconds(library) / seconds(mine) for _ in range(rounds)]
    return Figure(
        what="first value of a controller with 1,001 tags: pycomm3 / ours", measured=statistics.median(ratios)
    )


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    socket.setdefaulttimeout(30)
    with beside(_serve) as near, beside(delayed, near, DELAY_S) as far:
        for wanted in tag_sets():
            yield from figures_of(wanted, near, far, rounds)
        yield naive(near, rounds)
        yield first_value(near, rounds)


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
