"""The gateway's history against a plain SQLite table and DuckDB; collecting 10,000 tags a second; an outage caught up.

    ./run bench edge                      all figures (some minutes)
    ./run bench edge --tags 200 --seconds 10 --outage 60

The same samples go into all three stores in the same run: 500 tags, one a second for an hour: noisy REALs, slow
temperatures with one decimal, counters and states. Processor time is this process's own, of all its threads.
"""

import argparse
import asyncio
import math
import os
import random
import resource
import shutil
import signal
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from factorylm_edge.forwarder import Forwarder
from factorylm_edge.gateway import Gateway
from factorylm_edge.nats_bus import NatsBus
from factorylm_edge.outbox import OutboxTable
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import EdgeSettings, Forward, Namespace, Outbox, Scan
from factorylm_edge.site import SiteStore
from factorylm_edge.sqlite_history import SqliteHistory
from factorylm_edge.targets import BusTarget

BEGIN_US = 1_767_225_600 * SECOND
BATCH_S = 20
SEED = 20260101


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=500, help="tags of the comparison (default 500)")
    parser.add_argument("--seconds", type=int, default=30, help="plant-seconds of collecting 10,000 tags (default 30)")
    parser.add_argument(
        "--outage", type=int, default=600, help="seconds of outage at 1,000 tags a second (default 600)"
    )
    parser.add_argument("--drain", nargs=2, metavar=("FOLDER", "URL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        asyncio.run(drain(Path(options.drain[0]), options.drain[1]))
        return 0
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        kept &= stores(Path(folder), options.tags)
        kept &= asyncio.run(collecting(Path(folder), options.seconds))
        kept &= asyncio.run(outage(Path(folder), options.outage))
    return 0 if kept else 1


def figure(what: str, measured: float, kind: str, bound: float) -> bool:
    kept = measured <= bound if kind == "most" else measured >= bound
    print(f"{what:58}  {measured:10.2f}   at {kind} {bound:g}   {'kept' if kept else 'BROKEN'}", flush=True)
    return kept


# -- three stores, the same samples -----------------------------------------------------------


def course(tags: int) -> Iterator[list[Sample]]:
    rng = random.Random(SEED)
    for begin in range(0, 3600, BATCH_S):
        batch = []
        for second in range(begin, begin + BATCH_S):
            time_us = BEGIN_US + second * SECOND + rng.randrange(4) * 1000
            batch += [Sample(f"d{tag // 100}.t{tag}", time_us, value(tag, second, rng)) for tag in range(tags)]
        yield batch


def value(tag: int, second: int, rng: random.Random) -> bool | int | float:
    kind = tag % 10
    if kind < 6:
        return struct.unpack("f", struct.pack("f", 50 + 10 * math.sin(second / 300 + tag) + 0.1 * rng.gauss(0, 1)))[0]
    if kind < 8:
        return round(60 + 5 * math.sin(second / 900 + tag), 1)
    return second // 3 + tag if kind == 8 else second % 600 < 300


def stores(folder: Path, tags: int) -> bool:
    wanted = f"d{tags // 200}.t{tags // 2}"
    ours, ours_read, ours_bytes = _ours(folder, tags, wanted)
    plain, plain_read, plain_bytes = _plain(folder, tags, wanted)
    duck, duck_read, duck_bytes = _duckdb(folder, tags, wanted)
    count = tags * 3600
    print(f"{count:,} samples: processor time, bytes a sample, one tag x one hour read")
    for name, spent, read, size in (
        ("factorylm-edge", ours, ours_read, ours_bytes),
        ("plain SQLite (tag, time)", plain, plain_read, plain_bytes),
        ("DuckDB", duck, duck_read, duck_bytes),
    ):
        print(f"  {name:26} {spent:8.1f} s  {size / count:8.2f} B  {read * 1000:8.2f} ms")
    return all(
        [
            figure("bytes a sample after compaction", ours_bytes / count, "most", 4),
            figure("size / plain SQLite table", ours_bytes / plain_bytes, "most", 0.2),
            figure("one tag x one hour: milliseconds", ours_read * 1000, "most", 5),
            figure("processor milliseconds for 10,000 samples kept", ours / count * 10_000 * 1000, "most", 250),
        ]
    )


def _spent(tags: int, take: Callable[[Sequence[Sample]], object]) -> float:
    """Processor time of keeping, without that of making the samples up."""
    spent = 0.0
    for batch in course(tags):
        begun = time.process_time()
        take(batch)
        spent += time.process_time() - begun
    return spent


def _read_s(read: Callable[[], Sequence[object]]) -> float:
    taken = []
    for _ in range(15):
        begun = time.perf_counter()
        assert len(read()) == 3600
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _ours(folder: Path, tags: int, wanted: str) -> tuple[float, float, float]:
    history = SqliteHistory(folder / "ours.db")
    waiting = 0

    def take(batch: Sequence[Sample]) -> None:
        nonlocal waiting
        # a batch a second, as a gateway commits
        for at in range(0, len(batch), tags):
            history.append(batch[at : at + tags])
        waiting += 1
        if waiting % 3 == 0:
            history.compact()

    spent = _spent(tags, take)
    begun = time.process_time()
    history.compact(everything=True)
    spent += time.process_time() - begun
    read_s = _read_s(lambda: history.read(wanted, BEGIN_US, BEGIN_US + 3600 * SECOND).samples)
    size = history.used_bytes()
    history.close()
    return spent, read_s, size


def _plain(folder: Path, tags: int, wanted: str) -> tuple[float, float, float]:
    path = folder / "plain.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE s (tag TEXT, time INTEGER, value, quality INTEGER, PRIMARY KEY (tag, time)) WITHOUT ROWID")

    def take(batch: Sequence[Sample]) -> None:
        for at in range(0, len(batch), tags):
            with db:
                db.executemany("INSERT OR REPLACE INTO s VALUES (?, ?, ?, ?)", batch[at : at + tags])

    spent = _spent(tags, take)
    asked = "SELECT time, value FROM s WHERE tag = ? AND time >= ? AND time < ?"
    read_s = _read_s(lambda: db.execute(asked, (wanted, BEGIN_US, BEGIN_US + 3600 * SECOND)).fetchall())
    db.close()
    return spent, read_s, path.stat().st_size


def _duckdb(folder: Path, tags: int, wanted: str) -> tuple[float, float, float]:
    """A batch a second too, through Arrow, its fastest way in; booleans and counters as doubles."""
    import duckdb
    import pyarrow as pa

    path = folder / "duck.db"
    db = duckdb.connect(str(path), config={"threads": 1})
    db.execute("CREATE TABLE s (tag VARCHAR, time BIGINT, value DOUBLE, quality INTEGER)")

    def take(batch: Sequence[Sample]) -> None:
        for at in range(0, len(batch), tags):
            names, times, values, codes = zip(*batch[at : at + tags], strict=True)
            part = pa.table({"tag": names, "time": times, "value": list(map(float, values)), "quality": codes})
            db.register("part", part)
            db.execute("INSERT INTO s SELECT * FROM part")

    spent = _spent(tags, take)
    begun = time.process_time()
    db.execute("CHECKPOINT")
    spent += time.process_time() - begun
    asked = "SELECT time, value FROM s WHERE tag = ? AND time >= ? AND time < ? ORDER BY time"
    read_s = _read_s(lambda: db.execute(asked, (wanted, BEGIN_US, BEGIN_US + 3600 * SECOND)).fetchall())
    db.close()
    return spent, read_s, path.stat().st_size


# -- collecting from a simulator --------------------------------------------------------------

_SIMULATOR = """
import asyncio, math, sys, time
from factorylm_modbus import simulate
from factorylm_skill import Signal

class Process:
    signals = [Signal(name=f"t{at}", type="real") for at in range(1000)]
    def advance(self): self.now = time.monotonic()
    def value(self, name): return 50 + math.sin(self.now + int(name[1:]))
    def set(self, name, value): raise AssertionError

async def main():
    async with simulate(process=Process(), device=sys.argv[1]) as running:
        print(running.plant_toml, "END", sep="\\n", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


async def collecting(folder: Path, seconds: int) -> bool:
    """Ten devices of 1,000 REALs on Modbus TCP, each in a process of its own; every value changes every second."""
    from factorylm_modbus import SKILL
    from factorylm_schema import load_plant

    async with AsyncExitStack() as stack:
        parts = []
        for at in range(10):
            command = [sys.executable, "-c", _SIMULATOR, f"d{at}"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            process = subprocess.Popen(command, text=True, **pipes)  # noqa: ASYNC220
            stack.callback(process.wait)
            stack.callback(process.stdin.close)
            lines = iter(process.stdout.readline, "END\n")
            text = "".join(lines)
            parts.append(text[text.index("[devices.") :])
        file = folder / "plant.toml"
        file.write_text("\n".join(parts), encoding="utf-8")
        plant = load_plant(file, [SKILL.dialect])
        history = SqliteHistory(folder / "collected.db")
        gateway = Gateway(plant, [SKILL], EdgeSettings(scan=Scan(interval_s=1.0)), history)
        running = asyncio.create_task(gateway.run())
        await asyncio.sleep(5)  # connected, planned, first values
        cpu, begun, kept = time.process_time(), time.monotonic(), gateway.recorder.kept
        await asyncio.sleep(seconds)
        cpu, passed = time.process_time() - cpu, time.monotonic() - begun
        kept = gateway.recorder.kept - kept
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        status = gateway.status()
        history.close()
    overruns = sum(device["overruns"] for device in status["devices"])
    print(f"collected {kept:,} samples in {passed:.0f} s from 10,000 tags; overruns {overruns}, lost {status['lost']}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  (this process, which also held the comparison: {memory:.0f} MB at most)")
    return all(
        [
            figure("samples kept a second from 10,000 tags at 1 Hz", kept / passed, "least", 9_500),
            figure("processor seconds a plant-second, collector and history", cpu / passed, "most", 0.6),
        ]
    )


# -- an outage --------------------------------------------------------------------------------


async def outage(folder: Path, seconds: int) -> bool:
    """The line is down while 1,000 tags a second come; then broker and gateway are each killed three times."""
    program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
    if program is None:
        print("outage: left out, nats-server is not installed")
        return False
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, box = f"nats://127.0.0.1:{port}", folder / "box"
    box.mkdir()
    command = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "nats")]
    broker = await _start(command, port)
    site = SqliteHistory(folder / "site.db")
    store = SiteStore(NatsBus(url), site, most_pause_s=0.5)
    await store.join()
    _fill(box, url, seconds)
    begun = time.monotonic()
    taking = asyncio.create_task(store.run())
    rng = random.Random(SEED)
    for kill in range(3):
        gateway = await _drainer(box, url)
        await _until(lambda kill=kill: store.taken > (kill + 1) * seconds * 1000 // 5 + rng.randrange(1000), taking)
        gateway.kill()
        gateway.wait()
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking
        await store.bus.close()
        broker.send_signal(signal.SIGKILL)
        broker.wait()
        broker = await _start(command, port)
        store.bus = NatsBus(url)
        taking = asyncio.create_task(store.run())
    gateway = await _drainer(box, url)
    await _until(lambda: store.taken >= seconds * 1000, taking)
    rate = store.taken / (time.monotonic() - begun)
    taking.cancel()
    with suppress(asyncio.CancelledError):
        await taking
    gateway.kill()
    gateway.wait()
    await store.bus.close()
    broker.kill()
    broker.wait()
    lost, doubled, disordered = _differences(site, seconds)
    site.close()
    print(f"caught up {store.taken:,} samples at {rate:,.0f} a second, {store.repeated} batches came twice")
    return all(
        [
            figure("samples lost over 3 broker and 3 gateway kills", lost, "most", 0),
            figure("samples doubled", doubled, "most", 0),
            figure("tags out of order", disordered, "most", 0),
            figure("caught up, times as fast as they came", rate / 1000, "least", 5),
        ]
    )


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
        history.append([Sample(f"d.t{at}", time_us, second + at / 1000) for at in range(1000)])
    history.close()


async def drain(box: Path, url: str) -> None:
    await _forwarder(box, url).run()


async def _drainer(box: Path, url: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(Path(__file__)), "--drain", str(box), url]
    return await asyncio.to_thread(lambda: subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ)))


async def _start(command: list[str], port: int) -> "subprocess.Popen[bytes]":
    process = await asyncio.to_thread(
        lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return process
            await asyncio.sleep(0.02)


async def _until(done: Callable[[], bool], work: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(300):
        while not done() and not work.done():  # noqa: ASYNC110 (another process brings it about)
            await asyncio.sleep(0.02)
    if work.done():
        work.result()


def _differences(site: SqliteHistory, seconds: int) -> tuple[int, int, int]:
    lost = doubled = disordered = 0
    for at in range(1000):
        got = [sample.time_us for sample in site.read(f"d.t{at}", BEGIN_US, BEGIN_US * 2).samples]
        lost += seconds - len(set(got))
        doubled += len(got) - len(set(got))
        disordered += got != sorted(got)
    return lost, doubled, disordered


if __name__ == "__main__":
    sys.exit(main())
