"""10,000 tags at 1 Hz from ten Modbus simulators into the history; the collector is a process of its own."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from edge_parts.figures import figure, peak_mb, process
from factorylm_edge.gateway import Gateway
from factorylm_edge.settings import EdgeSettings, Scan
from factorylm_edge.sqlite_history import SqliteHistory

DEVICES, TAGS = 10, 1000
# connected, planned, first values
_BEFORE_S = 5

_SIMULATOR = """
import asyncio, math, sys, time
from contextlib import AsyncExitStack
from factorylm_modbus import simulate
from factorylm_skill import Signal

class Process:
    signals = [Signal(name=f"t{at}", type="real") for at in range(1000)]
    def advance(self): self.now = time.monotonic()
    def value(self, name): return 50 + math.sin(self.now + int(name[1:]))
    def set(self, name, value): raise AssertionError

async def main():
    async with AsyncExitStack() as stack:
        for name in sys.argv[1:]:
            running = await stack.enter_async_context(simulate(process=Process(), device=name))
            print(running.plant_toml[running.plant_toml.index("[devices."):], flush=True)
        print("END", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def measure(folder: Path, seconds: int) -> bool:
    """Ten devices of 1,000 REALs on Modbus TCP; every value changes every second."""
    with simulators(folder, DEVICES) as plant:
        done = subprocess.run(process("collect", str(plant), str(seconds)), stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    print(f"collected {told['kept']:,} samples in {told['passed_s']:.0f} s from {DEVICES} devices of {TAGS} tags;")
    print(f"  scans that came late {told['overruns']}, samples lost {told['lost']}, compacted {told['compacted']:,}")
    share = told["cpu_s"] / told["passed_s"]
    return all(
        [
            figure("of 10,000 tags at 1 Hz, samples kept a second", told["kept"] / told["passed_s"], "least", 9_500),
            figure("collector and history: processor seconds a plant-second", share, "most", 0.6),
            figure("collector and history: % of one core", share * 100, "most", 60),
            figure("collector and history: MB of memory at most", told["peak_mb"], "most", 256),
            figure("collector and history: samples lost", told["lost"], "most", 0),
        ]
    )


@contextmanager
def simulators(folder: Path, count: int) -> Iterator[Path]:
    """So many devices of 1,000 REALs, in two processes; the plant file that names them."""
    with ExitStack() as stack:
        parts = []
        for first in range(min(2, count)):
            names = [f"d{at}" for at in range(first, count, 2)]
            command = [sys.executable, "-c", _SIMULATOR, *names]
            running = stack.enter_context(
                subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            assert running.stdin
            assert running.stdout
            stack.callback(running.stdin.close)
            parts += iter(running.stdout.readline, "END\n")
        file = folder / "plant.toml"
        file.write_text("".join(parts), encoding="utf-8")
        yield file


def collect(plant_file: str, seconds: str) -> None:
    """The measured process; prints one JSON object."""
    asyncio.run(_collect(Path(plant_file), float(seconds)))


async def _collect(plant_file: Path, seconds: float) -> None:
    from factorylm_modbus import SKILL
    from factorylm_schema import load_plant

    plant = load_plant(plant_file, [SKILL.dialect])
    history = SqliteHistory(plant_file.with_name("collected.db"))
    gateway = Gateway(plant, [SKILL], EdgeSettings(scan=Scan(interval_s=1.0)), history)
    running = asyncio.create_task(gateway.run())
    await asyncio.sleep(_BEFORE_S)
    cpu, begun, kept = time.process_time(), time.monotonic(), gateway.recorder.kept
    await asyncio.sleep(seconds)
    cpu, passed, kept = time.process_time() - cpu, time.monotonic() - begun, gateway.recorder.kept - kept
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    status = gateway.status()
    with history.commit() as db:
        (compacted,) = db.execute("SELECT coalesce(sum(count), 0) FROM chunk").fetchone()
    history.close()
    told = {
        "kept": kept, "cpu_s": cpu, "passed_s": passed, "peak_mb": peak_mb(), "lost": status["lost"],
        "compacted": compacted, "overruns": sum(device["overruns"] for device in status["devices"]),
    }  # fmt: skip
    print(json.dumps(told))
