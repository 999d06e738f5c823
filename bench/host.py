"""One process with every installed skill against plain mcp and against a process per skill: memory, start-up, tokens.

Repeat with: ./run bench host
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import anyio
from factorylm.installed import installed_skills
from factorylm_skill.testing import tool_tokens
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from measuring.children import children_cpu, first_answer, interleaved, largest_child_mb
from measuring.figures import Figure, report
from skill import NO_OP, start_import

HOST = ["-m", "factorylm", "serve", "--log-level", "ERROR"]
MOST_MB = 160
TOKENS_PER_SKILL = 1200


def start_to_first_answer() -> None:
    """Start the host with every skill, get the answer to initialize, end."""
    first_answer(*HOST)


async def resident_mb(arguments: Sequence[str], *, asks: bool) -> tuple[float, list[int]]:
    """Resident memory of one server after its tools were listed (and used), and what each tool costs."""
    server = StdioServerParameters(command=sys.executable, args=list(arguments))
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        if asks:
            await ask_everything(client, {tool.name for tool in tools})
        return largest_child_mb(), [tool_tokens(tool) for tool in tools]


async def ask_everything(client: Client, names: set[str]) -> None:
    """Every protocol is spoken once to a device that is not there: what is loaded late is loaded now."""
    for skill in installed_skills().protocols:
        name = f"{skill.name}_read_tags"
        if name in names:
            result = await client.call_tool(name, {"tags": [f"{skill.name}1.value"]})
            assert not result.is_error, result


def plant_file(folder: str) -> Path:
    """One unplugged device for each protocol, so that no simulator counts as memory of the host.

    Long timeouts: what refuses does so at once, and an answer before a library is loaded would not count it.
    """
    file = Path(folder) / "plant.toml"
    parts = [
        f'[devices.{skill.name}1]\nurl = "{_url(skill.name)}"\ntimeout_s = 25\n'
        f'[devices.{skill.name}1.tags]\nvalue = {{ address = "{skill.address_example}" }}\n'
        for skill in installed_skills().protocols
    ]
    file.write_text("\n".join(parts), encoding="utf-8")
    return file


def _url(skill: str) -> str:
    return {
        "modbus": "modbus-tcp://127.0.0.1:9?unit=1",
        "s7": "s7://127.0.0.1:9?rack=0&slot=1",
        "enip": "enip://127.0.0.1:9",
        "opcua": "opc.tcp://127.0.0.1:9",
    }[skill]


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    children_cpu(start_to_first_answer)  # the first start writes compiled modules
    floor, ours = interleaved(rounds, start_import, start_to_first_answer)
    names = sorted(installed_skills().skills)
    plain, _ = anyio.run(partial(resident_mb, ["-c", NO_OP], asks=False))
    with tempfile.TemporaryDirectory() as folder:
        plant = ["--plant", str(plant_file(folder))]
        started, tokens = anyio.run(partial(resident_mb, [*HOST, *plant], asks=False))
        used, _ = anyio.run(partial(resident_mb, [*HOST, *plant], asks=True))
        alone = sum(anyio.run(partial(resident_mb, [*HOST, name], asks=False))[0] for name in names)
    told = f"plain mcp {plain:.0f} MB"
    yield Figure(f"MB of one process with {len(names)} skills, every protocol spoken", used, most=MOST_MB, of=told)
    yield Figure("MB, the same before its first question", started, most=MOST_MB, of=", ".join(names))
    told = f"{started:.0f} MB / {alone:.0f} MB"
    yield Figure("one process / a process per skill, MB", started / alone, most=1, of=told)
    told = f"CPU {ours:.2f} s / {floor:.2f} s"
    yield Figure("host: start to first answer / import mcp.server", ours / floor, most=1.4, of=told)
    yield Figure("tokens of all tools", sum(tokens), most=TOKENS_PER_SKILL * len(names), of=f"{len(tokens)} tools")
    yield Figure("tokens of the largest tool of all", max(tokens), most=300)


if __name__ == "__main__":
    sys.exit(report(__doc__, measured, rounds=5))
