"""What the kit adds to plain MCP: start-up, a call over stdio, tokens, memory; the Modbus skill on its simulator.

Repeat with: ./run bench skill
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
from factorylm_skill.testing import count_tokens, tool_tokens
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

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
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


def children_cpu(run: Callable[[], object]) -> float:
    """CPU seconds of the child processes that `run` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start_import() -> None:
    subprocess.run([sys.executable, "-c", "import mcp.server"], check=True, stdin=subprocess.DEVNULL)


def start_to_first_answer() -> None:
    """Start the skill on a plant file, get the answer to initialize, end."""
    line = json.dumps(INITIALIZE) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        plant = Path(folder) / "plant.toml"
        plant.write_text(PLANT, encoding="utf-8")
        command = [sys.executable, "-m", "factorylm_modbus", "--plant", str(plant)]
        done = subprocess.run(command, input=line, capture_output=True, text=True, check=True)
    assert '"serverInfo"' in done.stdout, done.stderr


def interleaved(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each, measured in turns so that a busy machine troubles all alike."""
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, seconds in zip(runs, taken, strict=True):
            seconds.append(children_cpu(run))
    return [statistics.median(seconds) for seconds in taken]


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
        memory = max(_resident_mb(pid) for pid in _children(os.getpid()))
    return {"tool list": sum(tools), "largest tool": max(tools), "50 readings": fifty, "memory MB": memory}


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement (default 7)")
    options = parser.parse_args(argv)
    floor, ours = interleaved(options.rounds, start_import, start_to_first_answer)
    no_op = per_call(["-c", NO_OP], "noop", {}, 3)
    read = per_call(SKILL, "modbus_read_tags", {"tags": ["pump1.speed"]}, 3)
    found = anyio.run(tokens_and_memory)
    figures = [
        ("start to first answer / import mcp.server", ours / floor, 1.25, f"CPU {ours:.2f} s / {floor:.2f} s"),
        ("modbus_read_tags / no-op tool of plain mcp", read / no_op, 2, f"CPU {read:.2f} ms / {no_op:.2f} ms"),
        ("tokens of the tool list", found["tool list"], 1200, ""),
        ("tokens of the largest tool", found["largest tool"], 300, ""),
        ("tokens of 50 good readings", found["50 readings"], 750, ""),
        ("MB of one host process with Modbus", found["memory MB"], 100, ""),
    ]
    for name, figure, bound, of in figures:
        kept = "kept" if figure <= bound else "BROKEN"
        print(f"{name:45} {figure:8.2f}   at most {bound:<6g} {kept:7} {of}".rstrip())
    print("repeat: ./run bench skill")
    return int(any(figure > bound for _, figure, bound, _ in figures))


if __name__ == "__main__":
    sys.exit(main())
