"""Every protocol's simulator as one plant, for trying out; no device hides another."""

import re
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack

from factorylm_schema import Device, Plant
from factorylm_skill import ProtocolSkill
from factorylm_skill.command import simulated_plant


async def simulated(protocols: Sequence[ProtocolSkill], stack: AsyncExitStack) -> Plant:
    """Start the simulators of `protocols`, Modbus first; they stop with `stack`.

    Each simulator calls its device pump1: the second becomes pump2.
    """
    devices: dict[str, Device] = {}
    for skill in sorted(protocols, key=lambda skill: (skill.name != "modbus", skill.name)):
        simulation = await stack.enter_async_context(skill.simulate())
        for device in simulated_plant(simulation.plant_toml, skill).devices.values():
            own = renamed(device, free_name(device.name, devices))
            devices[own.name] = own
    return Plant(name="Simulated plant", devices=devices)


def free_name(name: str, taken: Collection[str]) -> str:
    """`name`, or the next number that is free."""
    stem = re.sub(r"\d+$", "", name)
    number = int(name[len(stem) :] or 1)
    while name in taken:
        number += 1
        name = f"{stem}{number}"
    return name


def renamed(device: Device, name: str) -> Device:
    """The same device, and its tags, under another name."""
    tags = {key: tag.model_copy(update={"device": name}) for key, tag in device.tags.items()}
    return device.model_copy(update={"name": name, "tags": tags})
