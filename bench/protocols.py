"""What the four protocol skills cost together: memory of one host, tokens, and start-up.

    ./run bench protocols

The simulators run in a process of their own; the host (`factorylm serve`) is their client on all four protocols and has
read every tag and diagnosed every device when its memory is taken. A first start after an installation also compiles
the libraries, and keeps some 50 MB more until the next; so the second start is measured. Start-up is CPU time from the
start of a skill's own command to its answer to initialize, with a plant file, against Modbus' in the same interleaved
rounds.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import factorylm_enip
import factorylm_modbus
import factorylm_opcua
import factorylm_s7
from factorylm_skill import ProtocolSkill
from factorylm_skill.testing import tool_tokens
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

SKILLS = {
    skill.name: skill
    for skill in (factorylm_modbus.SKILL, factorylm_s7.SKILL, factorylm_enip.SKILL, factorylm_opcua.SKILL)
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


@dataclass(frozen=True)
class Figure:
    """One ratio or count; without a bound it is for information."""

    what: str
    measured: float
    most: float | None = None

    @property
    def kept(self) -> bool:
        """Within its bound."""
        return self.most is None or self.measured <= self.most

    @property
    def line(self) -> str:
        """As `./run bench record` reads it."""
        if self.most is None:
            return f"{self.what:66} {self.measured:8.2f}   for information"
        return f"{self.what:66} {self.measured:8.2f}   at most {self.most:<6g} {'kept' if self.kept else 'BROKEN'}"


# -- the plant: all four simulators, in a process of their own ---------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            simulations = [await stack.enter_async_context(skill.simulate()) for skill in SKILLS.values()]
            pipe.send([simulation.plant_toml for simulation in simulations])
            await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(run())


@contextmanager
def plant_file() -> Iterator[Path]:
    """A plant file with one device for each protocol, named after it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "plant.toml"
            parts = [_device(text, name) for name, text in zip(SKILLS, here.recv(), strict=True)]
            file.write_text("\n".join(parts), encoding="utf-8")
            yield file
    finally:
        here.send(None)
        process.join(10)


def _device(plant_toml: str, name: str) -> str:
    """The device of a simulator's plant file, under another name; without the plant's own head."""
    return re.sub(r"(?m)^\[devices\.pump1", f"[devices.{name}", plant_toml[plant_toml.index("[devices.") :])


# -- the host, as a client of all four ----------------------------------------------------------------


@asynccontextmanager
async def host(plant: Path, *skills: str) -> AsyncIterator[Client]:
    """`factorylm serve` with these skills."""
    command = ["-m", "factorylm", "serve", *skills, "--plant", str(plant)]
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=command))) as client:
        yield client


async def together(plant: Path) -> tuple[dict[str, int], float]:
    """Tokens of each skill's tools, and resident MB of the host that has used all of them."""
    async with host(plant, *SKILLS) as client:
        tools = (await client.list_tools()).tools
        tokens = {name: sum(tool_tokens(tool) for tool in tools if tool.name.startswith(f"{name}_")) for name in SKILLS}
        for name in SKILLS:
            await _use(client, name)
        memory = max(_resident_mb(pid) for pid in _children(os.getpid()) if b"serve" in _command(pid))
    return tokens, memory


async def _use(client: Client, name: str) -> None:
    """Read every tag and diagnose the device."""
    table = (await client.call_tool(f"{name}_list_tags", {"limit": 500})).structured_content
    assert table
    answer = await client.call_tool(f"{name}_read_tags", {"tags": [row[0] for row in table["rows"]]})
    assert answer.structured_content
    assert answer.structured_content["problems"] == [], answer.structured_content
    diagnosis = (await client.call_tool(f"{name}_diagnose", {"device": name})).structured_content
    assert diagnosis
    assert diagnosis["verdict"] == "every step passed", diagnosis


def _children(pid: int) -> list[int]:
    """Of all threads of the process, and theirs in turn."""
    direct = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [*direct, *(grandchild for child in direct for grandchild in _children(child))]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- tokens with the write tool, start-up ----------------------------------------------------------------


def start(name: str, plant: Path) -> Callable[[], None]:
    """Start the skill's own command, get the answer to initialize, end."""

    def run() -> None:
        command = [sys.executable, "-m", f"factorylm_{name}", "--plant", str(plant)]
        line = json.dumps(INITIALIZE) + "\n"
        done = subprocess.run(command, input=line, capture_output=True, text=True, check=True)
        assert '"serverInfo"' in done.stdout, done.stderr

    return run


def _cpu(run: Callable[[], None]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_ratios(rounds: int) -> dict[str, float]:
    """CPU time of each skill's start ÷ Modbus', the median of interleaved rounds."""
    taken: dict[str, list[float]] = {name: [] for name in SKILLS}
    with tempfile.TemporaryDirectory() as folder:
        for name, skill in SKILLS.items():
            _empty_plant(Path(folder) / f"{name}.toml", skill)
        for _ in range(rounds):
            for name, seconds in taken.items():
                seconds.append(_cpu(start(name, Path(folder) / f"{name}.toml")))
    of_modbus = taken.pop("modbus")
    return {
        name: statistics.median(one / other for one, other in zip(seconds, of_modbus, strict=True))
        for name, seconds in taken.items()
    }


def _empty_plant(file: Path, skill: ProtocolSkill) -> None:
    """One device that nobody asks."""
    scheme = min(skill.dialect.schemes & {"modbus-tcp", "s7", "enip", "opc.tcp"})
    file.write_text(f'[devices.d]\nurl = "{scheme}://127.0.0.1:1"\n', encoding="utf-8")


# -- the figures ------------------------------------------------------------------------------------------


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    with plant_file() as plant:
        asyncio.run(together(plant))
        tokens, memory = asyncio.run(together(plant))
    for name, cost in tokens.items():
        yield Figure(f"tokens of the {SKILLS[name].title} tool list", cost, most=1200)
    yield Figure("tokens of all four tool lists", sum(tokens.values()), most=5000)
    yield Figure("MB of one host that is a client on all four protocols", memory, most=140)
    # two medians of the same thing differ by a few per cent on a busy machine
    for name, ratio in start_ratios(rounds).items():
        bound = 1.1 if name == "opcua" else None
        yield Figure(f"CPU from start to first answer: {SKILLS[name].title} / Modbus", ratio, most=bound)


def main() -> int:
    """Print the figures; exit code 1 when a bound is broken."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], epilog="example: ./run bench protocols --rounds 9"
    )
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds of the start-up; the median counts")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args()
    if options.rounds < 5:
        parser.error("--rounds is at least 5: a median of fewer says little")
    figures = []
    for figure in measured(options.rounds):
        figures.append(figure)
        if not options.json:
            print(figure.line, flush=True)
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
    else:
        print(f"repeat: ./run bench protocols --rounds {options.rounds}")
    return int(not all(figure.kept for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
