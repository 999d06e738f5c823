"""What the kit adds to plain MCP: start-up, a call over stdio, tokens, memory; the Modbus skill on its simulator.

Repeat with: ./run bench skill
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
from factorylm_skill.testing import count_tokens, tool_tokens
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from measuring.children import first_answer, interleaved, largest_child_mb
from measuring.figures import Figure, report

NO_OP = """
from mcp.server import MCPServer
server = MCPServer("noop")
@server.tool()
async def noop() -> str:
    return "ok"
server.run("stdio")
"""
PLANT = """
[devices.pump1]
url = "modbus-tcp://127.0.0.1:502?unit=1"

[devices.pump1.tags]
speed = { address = "holding-register:1:UINT", unit = "/min" }
"""
HOST = ["-m", "factorylm", "serve", "modbus", "--simulate"]
SKILL = ["-m", "factorylm_modbus", "--simulate"]


def start_import() -> None:
    subprocess.run([sys.executable, "-c", "import mcp.server"], check=True, stdin=subprocess.DEVNULL)


def start_to_first_answer() -> None:
    """Start the skill on a plant file, get the answer to initialize, end."""
    with tempfile.TemporaryDirectory() as folder:
        plant = Path(folder) / "plant.toml"
        plant.write_text(PLANT, encoding="utf-8")
        first_answer("-m", "factorylm_modbus", "--plant", plant)


def calls(arguments: list[str], tool: str, given: dict[str, object], count: int) -> Callable[[], None]:
    """`count` calls of one tool over stdio."""

    async def ask() -> None:
        async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=arguments))) as client:
            for _ in range(count):
                result = await client.call_tool(tool, given)
                assert not result.is_error, result

    return lambda: anyio.run(ask)


def per_call(arguments: list[str], tool: str, given: dict[str, object], rounds: int) -> float:
    """CPU milliseconds the server spends on one call: many calls less few calls."""
    many, few = interleaved(rounds, calls(arguments, tool, given, 420), calls(arguments, tool, given, 20))
    return (many - few) / 400 * 1000


async def tokens_and_memory() -> dict[str, float]:
    """Tool list, 50 readings, and the resident memory of one host process with the Modbus skill."""
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=HOST))) as client:
        tools = [tool_tokens(tool) for tool in (await client.list_tools()).tools]
        table = (await client.call_tool("modbus_list_tags", {"limit": 500})).structured_content
        tags = [row[0] for row in table["rows"]]
        raw = [f"pump1/holding-register:{at}:UINT" for at in range(1, 41)]
        await client.call_tool("modbus_read_tags", {"tags": tags})
        answer = (await client.call_tool("modbus_read_tags", {"tags": tags})).structured_content
        rows = (answer["rows"] * 50)[:50]
        fifty = count_tokens(json.dumps({**answer, "rows": rows}, separators=(",", ":"), ensure_ascii=False))
        await client.call_tool("modbus_read_tags", {"tags": raw})
        memory = largest_child_mb()
    return {"tool list": sum(tools), "largest tool": max(tools), "50 readings": fifty, "memory MB": memory}


def measured(rounds: int) -> Iterator[Figure]:
    """Every figure, as it is ready."""
    floor, ours = interleaved(rounds, start_import, start_to_first_answer)
    told = f"CPU {ours:.2f} s / {floor:.2f} s"
    yield Figure("start to first answer / import mcp.server", ours / floor, most=1.25, of=told)
    no_op = per_call(["-c", NO_OP], "noop", {}, 3)
    read = per_call(SKILL, "modbus_read_tags", {"tags": ["pump1.speed"]}, 3)
    told = f"CPU {read:.2f} ms / {no_op:.2f} ms"
    yield Figure("modbus_read_tags / no-op tool of plain mcp", read / no_op, most=2, of=told)
    found = anyio.run(tokens_and_memory)
    yield Figure("tokens of the tool list", found["tool list"], most=1200)
    yield Figure("tokens of the largest tool", found["largest tool"], most=300)
    yield Figure("tokens of 50 good readings", found["50 readings"], most=750)
    yield Figure("MB of one host process with Modbus", found["memory MB"], most=100)


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
