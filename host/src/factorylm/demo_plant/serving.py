"""The demo plant on real protocols: each area behind the simulator of the skill that speaks its protocol."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from factorylm_skill import FaultSwitches, ProtocolSkill

from factorylm.demo_plant.areas import AREAS, Area
from factorylm.demo_plant.plant import DemoPlant

PLANT_NAME = "Northgate pump station and packaging"


@dataclass(frozen=True, kw_only=True)
class ServedPlant:
    """The running plant: its plant file, each area's fault switches, and the areas no installed skill speaks to."""

    plant_toml: str
    faults: dict[str, FaultSwitches]
    unserved: tuple[str, ...]


@asynccontextmanager
async def served(
    plant: DemoPlant, skills: dict[str, ProtocolSkill], seconds: Callable[[], float]
) -> AsyncIterator[ServedPlant]:
    """Serve every area on 127.0.0.1 until the block ends; `seconds` is the plant's clock."""
    parts = [f'[plant]\nname = "{PLANT_NAME}"\n']
    faults: dict[str, FaultSwitches] = {}
    async with AsyncExitStack() as stack:
        for area, protocol in AREAS.items():
            if protocol in skills:
                process = Area(area, plant, seconds)
                running = await stack.enter_async_context(skills[protocol].simulate(process=process, device=area))
                parts.append(_devices_of(running.plant_toml))
                faults[area] = running.faults
        unserved = tuple(area for area in AREAS if area not in faults)
        yield ServedPlant(plant_toml="\n".join(parts), faults=faults, unserved=unserved)


def _devices_of(plant_toml: str) -> str:
    """A plant file without its [plant] table, so that several become one."""
    return plant_toml[plant_toml.index("[devices.") :]
