"""One process with every installed skill against plain mcp and against a process per skill: memory, start-up, tokens.

Repeat with: ./run bench host
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio
from factorylm.installed import installed_skills
from factorylm_skill.testing import tool_tokens
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from skill import INITIALIZE, NO_OP, children_cpu, interleaved, start_import

HOST = ["-m", "factorylm", "serve", "--log-level", "ERROR"]
MOST_MB = 160
TOKENS_PER_SKILL = 1200


def start_to_first_answer() -> None:
    """Start the host with every skill, get the answer to initialize, end."""
    command = [sys.executable, *HOST]
    done = subprocess.run(command, input=json.dumps(INITIALIZE) + "\n", capture_output=True, text=True, check=True)
    assert '"serverInfo"' in done.stdout, done.stderr


async def resident_mb(arguments: Sequence[str], *, asks: bool) -> tuple[float, list[int]]:
    """Resident memory of one server after its tools were listed (and used), and what each tool costs."""
    server = StdioServerParameters(command=sys.executable, args=list(arguments))
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        if asks:
            await ask_everything(client, {tool.name for tool in tools})
        return max(_resident_mb(pid) for pid in _children(os.getpid())), [tool_tokens(tool) for tool in tools]


async def ask_everything(client: Client, names: set[str]) -> None:
    """Every protocol is spoken once to a device that is not there: what is loaded late is loaded now."""
    for skill in installed_skills().protocols:
        name = f"{skill.name}_read_tags"
        if name in names:
            result = await client.call_tool(name, {"tags": [f"{skill.name}1.value"]})
            assert not result.is_error, result


def plant_file(folder: str) -> Path:
    """One unplugged device for each protocol, so that no simulator counts as memory of the host."""
    file = Path(folder) / "plant.toml"
    parts = [
        f'[devices.{skill.name}1]\nurl = "{_url(skill.name)}"\ntimeout_s = 0.5\n'
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


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default 5)")
    options = parser.parse_args(argv)
    children_cpu(start_to_first_answer)  # the first start writes compiled modules
    floor, ours = interleaved(options.rounds, start_import, start_to_first_answer)
    names = sorted(installed_skills().skills)
    plain, _ = anyio.run(lambda: resident_mb(["-c", NO_OP], asks=False))
    with tempfile.TemporaryDirectory() as folder:
        plant = ["--plant", str(plant_file(folder))]
        started, tokens = anyio.run(lambda: resident_mb([*HOST, *plant], asks=False))
        used, _ = anyio.run(lambda: resident_mb([*HOST, *plant], asks=True))
        alone = [anyio.run(lambda name=name: resident_mb([*HOST, name], asks=False))[0] for name in names]
    figures = [
        (
            f"MB of one process with {len(names)} skills, every protocol spoken",
            used,
            MOST_MB,
            f"plain mcp {plain:.0f} MB",
        ),
        ("MB, the same before its first question", started, MOST_MB, ", ".join(names)),
        ("one process / a process per skill, MB", started / sum(alone), 1, f"{started:.0f} MB / {sum(alone):.0f} MB"),
        ("start to first answer / import mcp.server", ours / floor, 1.4, f"CPU {ours:.2f} s / {floor:.2f} s"),
        ("tokens of all tools", sum(tokens), TOKENS_PER_SKILL * len(names), f"{len(tokens)} tools"),
        ("tokens of the largest tool", max(tokens), 300, ""),
    ]
    for what, figure, bound, of in figures:
        kept = "kept" if figure <= bound else "BROKEN"
        print(f"{what:56} {figure:8.2f}   at most {bound:<6g} {kept:7} {of}".rstrip())
    print("repeat: ./run bench host")
    return int(any(figure > bound for _, figure, bound, _ in figures))


if __name__ == "__main__":
    sys.exit(main())
