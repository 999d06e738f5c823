"""What the four protocol skills cost together: memory of one host, tokens, and start-up.

    ./run bench protocols

The simulators run in a process of their own; the host (`factorylm serve`) is their client on all four protocols and has
read every tag and diagnosed every device when its memory is taken. A first start after an installation also compiles
the libraries, and keeps some 50 MB more until the next; so the second start is measured. Start-up is CPU time from the
start of a skill's own command to its answer to initialize, with a plant file, against Modbus' in the same interleaved
rounds.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
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
from measuring.beside import beside, until_told
from measuring.children import first_answer, interleaved, largest_child_mb
from measuring.figures import Figure, report

SKILLS = {
    skill.name: skill
    for skill in (factorylm_modbus.SKILL, factorylm_s7.SKILL, factorylm_enip.SKILL, factorylm_opcua.SKILL)
}


# -- the plant: all four simulators, in a process of their own ---------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            simulations = [await stack.enter_async_context(skill.simulate()) for skill in SKILLS.values()]
            await until_told(pipe, [simulation.plant_toml for simulation in simulations])

    asyncio.run(run())


@contextmanager
def plant_file() -> Iterator[Path]:
    """A plant file with one device for each protocol, named after it."""
    with beside(_serve) as plants, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plant.toml"
        parts = [_device(text, name) for name, text in zip(SKILLS, plants, strict=True)]
        file.write_text("\n".join(parts), encoding="utf-8")
        yield file


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
        memory = largest_child_mb(b"serve")
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


# -- start-up ----------------------------------------------------------------


def start_ratios(rounds: int) -> dict[str, float]:
    """CPU time of each skill's start ÷ Modbus', medians of interleaved rounds."""
    with tempfile.TemporaryDirectory() as folder:
        starts = []
        for name, skill in SKILLS.items():
            plant = Path(folder) / f"{name}.toml"
            _empty_plant(plant, skill)
            starts.append(partial(first_answer, "-m", f"factorylm_{name}", "--plant", plant))
        taken = dict(zip(SKILLS, interleaved(rounds, *starts), strict=True))
    of_modbus = taken.pop("modbus")
    return {name: seconds / of_modbus for name, seconds in taken.items()}


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


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
