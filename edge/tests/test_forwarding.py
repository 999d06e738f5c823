"""What leaves: in order, once, and none of it lost while the line is down."""

import asyncio
import random
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from factorylm_edge.bus import Bus, LocalBus, fits
from factorylm_edge.forwarder import Forwarder, SendError
from factorylm_edge.gateway import Gateway
from factorylm_edge.nats_bus import NatsBus
from factorylm_edge.outbox import Batch, OutboxTable
from factorylm_edge.postgres_history import PostgresHistory
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Forward, Namespace, Outbox
from factorylm_edge.site import SiteStore
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_edge.targets import BusTarget, HistoryTarget
from factorylm_edge.wire import batch_of, message
from factorylm_schema import BadRequestError, Plant

BEGIN_US = 1_767_225_600 * SECOND
END_US = BEGIN_US + 86_400 * SECOND


def samples_at(second: int, tags: int = 5) -> list[Sample]:
    return [Sample(f"d.t{at}", BEGIN_US + second * SECOND, second + at / 10) for at in range(tags)]


# -- the bus, in one process and on JetStream ---------------------------------------------------


@pytest.fixture(params=["in-process", "jetstream"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    if request.param == "in-process":
        yield LocalBus()
        return
    prefix = f"edge{secrets.token_hex(6)}"
    found = NatsBus(request.getfixturevalue("nats_url"), stream=prefix.upper(), prefix=prefix, ack_wait_s=1.0)
    yield found
    js = await found._jetstream()
    await js.delete_stream(prefix.upper())
    await found.close()


@pytest.fixture
def subject(bus: Bus) -> str:
    return f"{bus.prefix if isinstance(bus, NatsBus) else 'site'}.batches"


async def heard(bus: Bus, reader: str, count: int, *, acknowledge: bool = True) -> list[bytes]:
    found = []
    async with asyncio.timeout(10):
        async for got in bus.read(reader):
            found.append(got.data)
            if acknowledge:
                await got.acknowledge()
            if len(found) == count:
                return found
    raise AssertionError("the bus ended")


async def test_every_reader_gets_every_message_in_order(bus, subject):
    await bus.join(f"{subject}.>", reader="one")
    await bus.join(f"{subject}.a", reader="two")
    for at in range(20):
        await bus.publish(f"{subject}.{'ab'[at % 2]}", b"%d" % at, id=f"m{at}")
    assert await heard(bus, "one", 20) == [b"%d" % at for at in range(20)]
    assert await heard(bus, "two", 10) == [b"%d" % at for at in range(0, 20, 2)]


async def test_the_same_id_is_delivered_once(bus, subject):
    await bus.join(f"{subject}.>", reader="one")
    for name in ("m1", "m1", "m2", "m1"):
        await bus.publish(f"{subject}.a", name.encode(), id=name)
    assert await heard(bus, "one", 2) == [b"m1", b"m2"]


async def test_what_was_not_acknowledged_comes_again_before_anything_later(bus, subject):
    await bus.join(f"{subject}.>", reader="one")
    for at in range(3):
        await bus.publish(f"{subject}.a", b"%d" % at, id=f"m{at}")
    assert await heard(bus, "one", 1, acknowledge=False) == [b"0"]
    await bus.publish(f"{subject}.a", b"3", id="m3")
    found = []
    async with asyncio.timeout(30):
        async for got in bus.read("one"):
            found.append(got.data)
            await got.acknowledge()
            if got.data == b"3":
                break
    # what is acknowledged late may come once more, but never after something later
    assert list(dict.fromkeys(found)) == [b"0", b"1", b"2", b"3"]
    assert found == sorted(found)


async def test_two_gateways_share_one_store_and_a_batch_that_comes_again_is_kept_once(bus, subject, history, until):
    store = SiteStore(bus, history, prefix=subject.removesuffix(".batches"))
    await store.join()
    running = asyncio.create_task(store.run())
    target = BusTarget(bus, Namespace(), prefix=store.prefix)
    for number in range(1, 11):
        for gateway in ("gw-a", "gw-b"):
            shifted = [s._replace(tag=f"{gateway}.{s.tag}") for s in samples_at(number)]
            await target.send(Batch(gateway=gateway, number=number, samples=shifted))
    again = message(Batch(gateway="gw-a", number=3, samples=samples_at(3)), Namespace())
    await bus.publish(f"{subject}.gw-a", again, id="another id: JetStream forgets ids after minutes")
    await bus.publish(f"{subject}.x", b"nonsense", id="x")
    await until(lambda: store.refused)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert (store.taken, store.repeated, store.refused) == (100, 1, 1)
    for gateway in ("gw-a", "gw-b"):
        found = history.read(f"{gateway}.d.t0", BEGIN_US, END_US).samples
        assert [s.value for s in found] == [float(number) for number in range(1, 11)]


@pytest.mark.parametrize(
    ("name", "pattern", "does"),
    [("a.b", "a.b", True), ("a.b", "a.*", True), ("a.b.c", "a.*", False), ("a.b.c", "a.>", True), ("a", "a.>", False)],
)
def test_a_star_stands_for_one_part_and_an_arrow_for_the_rest(name, pattern, does):
    assert fits(name, pattern) is does


# -- the outbox ---------------------------------------------------------------------------------


class Line:
    """A target that fails when told to, before or after it has taken a batch."""

    def __init__(self, inner: object = None) -> None:
        self.taken: list[Batch] = []
        self.fail: Callable[[], str] = lambda: ""
        self.inner = inner

    async def send(self, batch: Batch) -> None:
        how = self.fail()
        if how == "before":
            raise SendError("down")
        if self.inner:
            await self.inner.send(batch)  # type: ignore[attr-defined]
        self.taken.append(batch)
        if how == "after":
            raise SendError("no acknowledgement")

    async def close(self) -> None:
        if self.inner:
            await self.inner.close()  # type: ignore[attr-defined]


@pytest.fixture
def gateway_history(tmp_path: Path):
    history = SqliteHistory(tmp_path / "history.db", forwarded=True)
    yield history
    history.close()


def forwarder_of(
    history: SqliteHistory, target: object, *, now_s: int = 0, tags: str = "*", **policy: object
) -> Forwarder:
    outbox = OutboxTable(history, Outbox.model_validate(policy))
    forward = Forward(to="nats://somewhere", tags=[tags])
    made = Forwarder(forward, outbox, target, now_us=lambda: BEGIN_US + now_s * SECOND, most_pause_s=0.01)  # type: ignore[arg-type]
    outbox.begin([made.name])
    return made


def is_empty(forwarder: Forwarder) -> bool:
    return not forwarder.outbox.backlog(forwarder.name).batches


async def drained(forwarder: Forwarder, until: Callable[..., Awaitable[None]]) -> None:
    """Run until nothing waits."""
    running = asyncio.create_task(forwarder.run())
    await until(lambda: is_empty(forwarder))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_only_listed_tags_leave(gateway_history, until):
    line = Line()
    forwarder = forwarder_of(gateway_history, line, tags="d.t[01]")
    gateway_history.append(samples_at(1))
    await drained(forwarder, until)
    assert [[s.tag for s in batch.samples] for batch in line.taken] == [["d.t0", "d.t1"]]


async def test_without_a_listed_target_nothing_is_even_put_out_to_leave(tmp_path):
    history = SqliteHistory(tmp_path / "history.db")
    gateway = Gateway(Plant(), [], EdgeSettings(), history)
    gateway.recorder.put(samples_at(1))
    await gateway.recorder.flush()
    assert gateway.forwarders == []
    assert history.read("d.t0", BEGIN_US, END_US).samples == samples_at(1)[:1]
    assert history._db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    history.close()


async def test_what_waited_for_the_line_is_flagged_historical(gateway_history, until):
    line = Line()
    forwarder = forwarder_of(gateway_history, line, now_s=100)
    for second in (50, 89, 91, 99):
        gateway_history.append(samples_at(second))
    await drained(forwarder, until)
    assert [batch.historical for batch in line.taken] == [True, True, False, False]


async def test_after_an_outage_everything_is_there_once_and_in_order(gateway_history, postgres_url, until):
    """A seeded line that fails before or after taking a batch, in between with a new gateway process on the file."""
    rng = random.Random(11)
    site = PostgresHistory(postgres_url)
    line = Line(HistoryTarget(postgres_url, []))
    line.fail = lambda: rng.choice(["", "", "before", "after"])
    forwarder = forwarder_of(gateway_history, line)
    for second in range(60):
        gateway_history.append(samples_at(second))
    await drained(forwarder, until)
    assert len(line.taken) > 60  # some came twice
    for at in range(5):
        found = site.read(f"d.t{at}", BEGIN_US, END_US).samples
        assert found == gateway_history.read(f"d.t{at}", BEGIN_US, END_US).samples
        assert len(found) == 60
    site.close()


async def test_a_target_that_never_acknowledges_loses_nothing_and_stops_nothing(gateway_history):
    class Silent(Line):
        async def send(self, batch: Batch) -> None:
            await asyncio.Event().wait()

    forwarder = forwarder_of(gateway_history, Silent())
    forwarder.timeout_s = 0.02
    gateway_history.append(samples_at(1))
    with pytest.raises(TimeoutError):
        await forwarder.send_next()
    gateway_history.append(samples_at(2))
    assert forwarder.outbox.backlog(forwarder.name).samples == 10


@pytest.mark.parametrize("policy", ["drop-oldest", "refuse-newest"])
def test_a_full_outbox_keeps_to_its_policy_and_the_history_keeps_everything(gateway_history, policy):
    forwarder = forwarder_of(gateway_history, Line(), most_mb=1, when_full=policy)
    noise = secrets.token_hex(30_000)
    for second in range(60):
        gateway_history.append([Sample("d.text", BEGIN_US + second * SECOND, noise + secrets.token_hex(20_000))])
        forwarder.outbox.bound()
    waiting = [samples[0].time_us for _, samples in forwarder.outbox.next(forwarder.name, 100)]
    assert 10 < len(waiting) < 60
    newest_is_there = waiting[-1] == BEGIN_US + 59 * SECOND
    assert newest_is_there is (policy == "drop-oldest")
    assert (forwarder.outbox.dropped > 0) is (policy == "drop-oldest")
    assert len(gateway_history.read("d.text", BEGIN_US, END_US).samples) == 60


def test_a_target_that_is_no_longer_configured_holds_nothing_back(gateway_history):
    outbox = OutboxTable(gateway_history, Outbox())
    outbox.begin(["a", "b"])
    gateway_history.append(samples_at(1))
    outbox.sent("a", 1)
    assert outbox.backlog("b").batches == 1
    outbox.begin(["a"])
    outbox.sent("a", 1)
    assert gateway_history._db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


# -- a real broker that dies ----------------------------------------------------------------------


class Broker:
    """A NATS server of our own, to kill."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command = [program, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(folder)]
        self.url = f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.to_thread(self._begun)
        async with asyncio.timeout(20):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)

    def _begun(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
async def broker(nats_url: str, tmp_path: Path) -> AsyncIterator[Broker]:
    program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
    assert program, "nats-server answers and is not on the PATH: this test kills one of its own"
    found = Broker(program, tmp_path / "nats")
    await found.start()
    yield found
    found.kill()


async def test_three_kills_of_the_broker_lose_and_double_nothing_on_either_side(
    gateway_history, broker, tmp_path, until
):
    site = SqliteHistory(tmp_path / "site.db")
    store = SiteStore(NatsBus(broker.url, ack_wait_s=1.0, timeout_s=1.0), site, most_pause_s=0.2)
    await store.join()
    taking = asyncio.create_task(store.run())
    forwarder = forwarder_of(gateway_history, BusTarget(NatsBus(broker.url, timeout_s=1.0), Namespace()))
    sending = asyncio.create_task(forwarder.run())
    for round_ in range(3):
        for second in range(round_ * 100, round_ * 100 + 100):
            await asyncio.to_thread(gateway_history.append, samples_at(second))
        await until(lambda round_=round_: store.taken > round_ * 500 + 50)
        broker.kill()
        await broker.start()
    await until(lambda: store.taken >= 1500, 60)
    await until(lambda: is_empty(forwarder))
    for task in (sending, taking):
        task.cancel()
    assert [type(ended) for ended in await asyncio.gather(sending, taking, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 2
    await store.bus.close()
    for at in range(5):
        found = site.read(f"d.t{at}", BEGIN_US, END_US).samples
        assert found == [sample for s in range(300) for sample in samples_at(s) if sample.tag == f"d.t{at}"]
    site.close()


# -- what it looks like on the wire ---------------------------------------------------------------


def test_a_batch_is_plain_json_with_its_place_in_the_plant():
    names = Namespace(root="acme/north", devices={"d": "water/line1"})
    batch = Batch(gateway="gw", number=7, samples=[Sample("d.t0", BEGIN_US, 1.5), Sample("d.x", 1500, None, 5)])
    assert message(batch, names).decode() == (
        '{"id":"gw:7","historical":false,"samples":['
        '{"tag":"d.t0","path":"acme/north/water/line1/d/t0","time":1767225600000,"value":1.5},'
        '{"tag":"d.x","path":"acme/north/water/line1/d/x","time":1.5,"value":null,"quality":5}]}'
    )
    assert batch_of(message(batch, names)) == batch


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"id":"a:b","samples":[],"historical":false}', b"\xff"])
def test_what_is_no_batch_is_refused(data):
    with pytest.raises(BadRequestError, match="not a batch"):
        batch_of(data)
