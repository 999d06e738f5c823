"""Where the demo happens: the plant with half a day behind it, its history, and the collector that goes on with it."""

import asyncio
import csv
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from factorylm_schema import FactoryLMError
from factorylm_skill import AuditLog

from factorylm.demo_plant import DemoPlant, PlantFault
from factorylm.demo_plant.areas import SIGNALS
from factorylm.demo_plant.export import Story, record
from factorylm.demo_plant.serving import ServedPlant, served
from factorylm.demo_plant.trial import Trial
from factorylm.findings import VIBRATION
from factorylm.installed import InstalledSkills, installed_skills
from factorylm.printing import print_line

# What has happened before the engineer comes: the drive was tried out while all was well, then a bearing began to wear,
# and somebody set a limit into the noise
PAST = Story(
    days=0.5,
    seed=4,
    step_s=20,
    faults=(
        PlantFault(name="bearing_wear", begin_h=2.0, grows_h=12.0),
        PlantFault(name="chattering_limit", begin_h=9.0),
    ),
    moves_per_day=0,
    bearings=24,
    trial=Trial(begin_h=0.25, minutes=40),
)
# A process that is told to end commits and closes first; a machine that is busy gets time for it
_PATIENCE_S = 20.0
# The latest three hours of the vibration, as the history gives it out
RECENT, _RECENT_H = "vibration.csv", 3
_EDGE = (sys.executable, "-m", "factorylm_edge")
_YES_OR_NO = frozenset(
    f"{area}.{signal.name}" for area, signals in SIGNALS.items() for signal in signals if signal.type == "bool"
)


class DemoError(FactoryLMError):
    """A step of the demo did not go as it must."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The running plant, its files, its truth, and the audit trail; `lived_until` is where the simulated past ends."""

    folder: Path
    plant: DemoPlant
    served: ServedPlant
    found: InstalledSkills
    truth: dict[str, Any]
    lived_until: datetime

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

    @property
    def quiet_hour(self) -> tuple[datetime, datetime]:
        """What the shift log calls in order: after the speed trial, until the bearing began to wear."""
        trial, wear = self.truth["trial"], self.truth["faults"][0]
        return datetime.fromisoformat(trial["end"]), datetime.fromisoformat(wear["begin"])


@asynccontextmanager
async def running_scene() -> AsyncIterator[Scene]:
    """The plant lives through its past, then goes on in real time on its protocols; its history is collected."""
    found, now = installed_skills(), asyncio.get_running_loop().time
    begin, begun = datetime.now(UTC).replace(microsecond=0) - timedelta(days=PAST.days), now()
    plant = DemoPlant(seed=PAST.seed, begin=begin, faults=list(PAST.faults))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="factorylm-demo-")))
        print_line(f"{PAST.days * 24:g} hours of the plant's past are simulated, then it runs on in real time ...")
        truth = record(plant, folder, PAST)
        past, lived_until = plant.second, plant.now
        skills = {skill.name: skill for skill in found.protocols}
        running = await stack.enter_async_context(served(plant, skills, lambda: past + now() - begun))
        scene = Scene(
            folder=folder, plant=plant, served=running, found=found, truth=truth, lived_until=lived_until
        )  # fmt: skip
        scene.plant_file.write_text(running.plant_toml, encoding="utf-8")
        print_line(f"It speaks {', '.join(skill.title for skill in skills.values())} on 127.0.0.1.")
        if running.unserved:
            print_line(f"No installed skill speaks to {', '.join(running.unserved)}; the demo goes on without.")
        if "history" in found.skills:
            await _remembered(scene)
            await stack.enter_async_context(_collected(scene))
        yield scene


async def _remembered(scene: Scene) -> None:
    """The simulated past comes into the history as any past does: as a CSV that the edge imports."""
    past = scene.folder / "past.csv"
    with past.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["tag", "time", "value"])
        for name in ("history.csv", "speed_trial.csv"):
            writer.writerows(long_rows(scene.folder / name))
    told = await _edge("import", str(past), "--data", str(scene.folder))
    past.unlink()
    kept = told.partition(" tags")[0]
    print_line(f"The history took it: {kept} tags. A collector goes on from there.")
    recent = ("--to", str(scene.folder / RECENT), "--tag", VIBRATION, "--hours", f"{_RECENT_H}")
    await _edge("export", "--data", str(scene.folder), *recent)


async def _edge(*arguments: str) -> str:
    """What `factorylm-edge` says; raises DemoError where it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*_EDGE, *arguments, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
    said, _ = await process.communicate()
    told = said.decode(errors="replace").strip()
    if process.returncode:
        raise DemoError(f"factorylm-edge {arguments[0]}: {told[-500:]}")
    return told


def long_rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """A table with a column for each tag as rows of tag, time, value; what was not communicated is left out."""
    with file.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            time = row.pop("time")
            for tag, cell in row.items():
                if cell:
                    yield tag, time, ("true" if cell == "1" else "false") if tag in _YES_OR_NO else cell


@asynccontextmanager
async def _collected(scene: Scene) -> AsyncIterator[None]:
    """`factorylm-edge run` over the plant's four devices while the block runs."""
    command = [*_EDGE, "run", "--plant", str(scene.plant_file), "--data", str(scene.folder), "--log-level", "ERROR"]
    log = scene.folder / "collector.log"
    with log.open("wb") as said:
        async with beside(command, said) as process:
            yield
            if process.returncode is not None:
                told = log.read_text(encoding="utf-8", errors="replace")
                raise DemoError(f"the collector ended by itself: {told[-500:]}")


@asynccontextmanager
async def beside(command: Sequence[str], said: IO[bytes] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs while the block runs, and is told to end with it; `said` takes what it prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=said, stderr=said)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _PATIENCE_S)
            except TimeoutError:
                process.kill()
                await process.wait()
