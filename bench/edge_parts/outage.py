"""A line that was down for ten minutes: what waited is caught up while broker and gateway are each killed thrice."""

import asyncio
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge_parts.figures import BEGIN_US, SEED, figure, process
from factorylm_edge.forwarder import Forwarder
from factorylm_edge.nats_bus import NatsBus
from factorylm_edge.outbox import OutboxTable
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import Forward, Namespace, Outbox
from factorylm_edge.site import SiteStore
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_edge.targets import BusTarget

TAGS = 1000
KILLS = 3
_NATS = ("nats-server", "/usr/sbin")


@dataclass
class Arrivals(SqliteHistory):
    """The site's history, which also notes the order in which values arrive: reading would sort them."""

    disordered: int = 0
    last_us: dict[str, int] = field(default_factory=dict)

    def append(self, samples: Sequence[Sample], *, source: str = "", number: int = 0) -> bool:
        news = super().append(samples, source=source, number=number)
        for sample in samples if news else ():
            self.disordered += sample.time_us < self.last_us.get(sample.tag, 0)
            self.last_us[sample.tag] = sample.time_us
        return news


def measure(folder: Path, seconds: int) -> bool:
    """1,000 tags a second come while nothing is reached: the time of the plant is simulated, all else is real."""
    return asyncio.run(_measured(folder, seconds))


async def _measured(folder: Path, seconds: int) -> bool:
    program = shutil.which(_NATS[0]) or shutil.which(_NATS[0], path=_NATS[1])
    if program is None:
        print("the outage is left out: nats-server is not installed")
        return False
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ends = Ends([program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "nats")], port, folder / "box")
    ends.box.mkdir()
    _fill(ends.box, ends.url, seconds)
    site = Arrivals(folder / "site.db")
    try:
        await ends.start_broker()
        store = SiteStore(NatsBus(ends.url), site, most_pause_s=0.2)
        await store.join()
        rate, waiting = await _caught_up(ends, store, seconds * TAGS)
    finally:
        ends.stop()
    lost, doubled = _differences(site, seconds)
    site.close()
    print(f"outage of {seconds} s at {TAGS:,} tags a second, then caught up at {rate:,.0f} samples a second")
    print(f"  with {KILLS} kills of the gateway and {KILLS} of the broker; batches that came twice: {store.repeated}")
    return all(
        [
            figure("outage, 3 + 3 kills: samples lost", lost, "most", 0),
            figure("outage: samples doubled", doubled, "most", 0),
            figure("outage: samples out of order when they arrived", site.disordered, "most", 0),
            figure("outage: batches left in the outbox", waiting, "most", 0),
            figure("outage: caught up, times as fast as they came, with the kills", rate / TAGS, "least", 5),
        ]
    )


async def _caught_up(ends: "Ends", store: SiteStore, total: int) -> tuple[float, int]:
    """How fast the site had everything, and what the outbox still held then."""
    rng = random.Random(SEED)
    taking = asyncio.create_task(store.run())
    begun = time.monotonic()
    ends.start_gateway()
    for at in range(2 * KILLS):
        # each kill somewhere in a part of its own: gateway, broker, gateway, ...
        await _until(store, round((at + rng.random()) * total / (2 * KILLS + 1)), taking)
        if at % 2:
            _kill(ends.broker)
            await ends.start_broker()
        else:
            _kill(ends.gateway)
            ends.start_gateway()
    await _until(store, total, taking)
    rate = store.taken / (time.monotonic() - begun)
    waiting = await _left(ends.box, ends.url)
    taking.cancel()
    with suppress(asyncio.CancelledError):
        await taking
    await store.bus.close()
    return rate, waiting


@dataclass
class Ends:
    """The broker and the gateway, as processes to kill."""

    command: list[str]
    port: int
    box: Path
    broker: "subprocess.Popen[bytes] | None" = None
    gateway: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start_broker(self) -> None:
        self.broker = await _started(self.command, self.port)

    def start_gateway(self) -> None:
        self.gateway = subprocess.Popen(process("drain", str(self.box), self.url), stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        _kill(self.gateway)
        _kill(self.broker)


def drain(box: str, url: str) -> None:
    """The gateway that is killed: it sends what waits in its outbox until it is ended."""
    asyncio.run(_forwarder(Path(box), url).run())


def _forwarder(box: Path, url: str) -> Forwarder:
    history = SqliteHistory(box / "history.db", forwarded=True)
    target = BusTarget(NatsBus(url, timeout_s=2.0), Namespace())
    outbox = OutboxTable(history, Outbox())
    forwarder = Forwarder(
        Forward(to=url, tags=["*"]), outbox, target, now_us=lambda: time.time_ns() // 1000, most_pause_s=0.2
    )
    outbox.begin([forwarder.name])
    return forwarder


def _fill(box: Path, url: str, seconds: int) -> None:
    history = _forwarder(box, url).outbox.history
    for second in range(seconds):
        time_us = BEGIN_US + second * SECOND
        history.append([Sample(f"d.t{at}", time_us, second + at / TAGS) for at in range(TAGS)])
    history.close()


async def _left(box: Path, url: str) -> int:
    """Batches that still wait, once the gateway had time to note the last acknowledgement."""
    forwarder = _forwarder(box, url)
    with suppress(TimeoutError):
        async with asyncio.timeout(30):
            while forwarder.outbox.backlog(forwarder.name).batches:  # noqa: ASYNC110 (another process empties it)
                await asyncio.sleep(0.05)
    left = forwarder.outbox.backlog(forwarder.name).batches
    forwarder.outbox.history.close()
    return left


async def _started(command: list[str], port: int) -> "subprocess.Popen[bytes]":
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    async with asyncio.timeout(60):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return running
            await asyncio.sleep(0.02)


def _kill(running: "subprocess.Popen[bytes] | None") -> None:
    if running:
        running.kill()
        running.wait()


async def _until(store: SiteStore, taken: int, work: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(300):
        while store.taken < taken and not work.done():  # noqa: ASYNC110 (another process brings it about)
            await asyncio.sleep(0.02)
    if work.done():
        work.result()


def _differences(site: SqliteHistory, seconds: int) -> tuple[int, int]:
    """How many are missing or not what was sent, and how many are there twice."""
    lost = doubled = 0
    for at in range(TAGS):
        sent = {(BEGIN_US + second * SECOND, second + at / TAGS) for second in range(seconds)}
        got = [(sample.time_us, sample.value) for sample in site.read(f"d.t{at}", BEGIN_US, BEGIN_US * 2).samples]
        lost += len(sent.difference(got))
        doubled += len(got) - len(set(got))
    return lost, doubled
