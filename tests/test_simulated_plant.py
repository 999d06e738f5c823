"""`--simulate` in the host: every installed protocol skill's simulator, side by side in one plant."""

from argparse import Namespace
from contextlib import AsyncExitStack

from factorylm.installed import installed_skills
from factorylm.read import read_once
from factorylm.serve import plant_of


async def test_the_simulators_of_all_skills_keep_apart_and_answer() -> None:
    found = installed_skills()
    async with AsyncExitStack() as stack:
        plant = await plant_of(Namespace(plant=None, simulate=True), found, stack)
        schemes = {skill.name: skill.dialect.schemes for skill in found.protocols}
        served = {
            name: [d.name for d in plant.devices.values() if d.scheme in known] for name, known in schemes.items()
        }
        assert {name: len(devices) for name, devices in served.items()} == dict.fromkeys(schemes, 1)
        answer = await read_once(plant, found, [f"{device}.speed" for device in plant.devices])
    assert [row[0] for row in answer.rows] == [f"{device}.speed" for device in plant.devices]
    assert not answer.problems
