"""`factorylm demo`: a plant on four real protocols, a real host process, a real MCP client; every answer is live."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from factorylm_skill import AuditLog, ProtocolSkill
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from factorylm.demo_export import add_export_options, run_export
from factorylm.demo_plant import DemoPlant, PlantFault
from factorylm.demo_plant.export import Story, record
from factorylm.demo_plant.serving import ServedPlant, served
from factorylm.installed import InstalledSkills, installed_skills
from factorylm.printing import print_line
from factorylm.shift import Shift

# What has happened before the engineer comes: half a day with a bearing that wears and a limit set into the noise
_PAST = Story(
    days=0.5,
    seed=4,
    step_s=20,
    faults=(
        PlantFault(name="bearing_wear", begin_h=1.0, grows_h=17.0),
        PlantFault(name="chattering_limit", begin_h=9.0),
    ),
    moves_per_day=0,
    bearings=24,
)
_CONSOLE = "127.0.0.1:8790"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The subcommand's options."""
    add_export_options(parser)
    parser.add_argument("--keep", action="store_true", help="afterwards leave plant, server and console running")
    parser.add_argument("--port", type=int, default=8765, help="--keep: the server's port on 127.0.0.1 (default 8765)")


def run(options: argparse.Namespace) -> None:
    """Walk the demo; every printed number comes from this run."""
    if options.export:
        run_export(options)
    else:
        anyio.run(_demo, options)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where the demo happens: the running plant, its files, and the audit trail."""

    folder: Path
    plant: DemoPlant
    served: ServedPlant
    found: InstalledSkills

    @property
    def plant_file(self) -> Path:
        """The plant file all four devices stand in."""
        return self.folder / "plant.toml"

    @property
    def audit(self) -> AuditLog:
        """Where the writes are recorded."""
        return AuditLog(self.folder / "audit.jsonl")

    @property
    def serve(self) -> list[str]:
        """The command line of the host process."""
        plant = ["--plant", str(self.plant_file), "--data", str(self.folder)]
        return ["-m", "factorylm", "serve", *plant, "--allow-writes", "--audit", str(self.audit.path)]


async def _demo(options: argparse.Namespace) -> None:
    begun = time.monotonic()
    async with _scene() as scene:
        shift = Shift(audit=scene.audit, installed=frozenset(scene.found.skills))
        server = StdioServerParameters(command=sys.executable, args=scene.serve)
        async with Client(stdio_client(server), elicitation_callback=shift.person) as client:
            await shift.walk(client)
        print_line()
        seconds = time.monotonic() - begun
        print_line(f"{shift.calls} tool calls, {shift.characters:,} characters read, {seconds:.0f} s.")
        print_line(
            f"Connect your own assistant:  {Path(sys.executable).name} -m factorylm connect claude-desktop --write"
        )
        if options.keep:
            await _keep(scene, options.port)


@asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    """The plant lives through its past, then goes on in real time on its protocols."""
    found = installed_skills()
    plant = DemoPlant(seed=_PAST.seed, faults=list(_PAST.faults))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="factorylm-demo-")))
        print_line(f"{_PAST.days * 24:g} hours of the plant's past are simulated, then it runs on in real time ...")
        record(plant, folder, _PAST)
        past, now = plant.second, asyncio.get_running_loop().time
        begun = now()
        skills = {skill.name: skill for skill in found.protocols}
        running = await stack.enter_async_context(served(plant, skills, lambda: past + now() - begun))
        scene = Scene(folder=folder, plant=plant, served=running, found=found)
        scene.plant_file.write_text(running.plant_toml, encoding="utf-8")
        _tell_where(scene, skills)
        yield scene


def _tell_where(scene: Scene, skills: dict[str, ProtocolSkill]) -> None:
    print_line(f"It speaks {', '.join(skill.title for skill in skills.values())} on 127.0.0.1.")
    if scene.served.unserved:
        print_line(f"No installed skill speaks to {', '.join(scene.served.unserved)}; the demo goes on without.")


async def _keep(scene: Scene, port: int) -> None:
    print_line(
        f"Running on until Ctrl-C: http://127.0.0.1:{port}/mcp, and the operator's console at http://{_CONSOLE}/"
    )
    command = [sys.executable, *scene.serve, "--http", f"127.0.0.1:{port}", "--console", _CONSOLE]
    await anyio.run_process(command, stdout=None, stderr=None, check=False)
