"""Every protocol's simulator as one plant, for trying out; no device hides another."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

from factorylm_schema import Device, Plant
from factorylm_skill import ProtocolSkill
from factorylm_skill.command import simulated_plant

# What is installed with the host: its simulated pump keeps the plain name, whatever else is installed.
_OWN_SKILL = "modbus"


async def simulated(protocols: Sequence[ProtocolSkill], stack: AsyncExitStack) -> Plant:
    """Start the simulators of `protocols`; they stop with `stack`."""
    devices: dict[str, Device] = {}
    for skill in sorted(protocols, key=lambda skill: skill.name != _OWN_SKILL):
        simulation = await stack.enter_async_context(skill.simulate())
        for device in simulated_plant(simulation.plant_toml, skill).devices.values():
            apart = _called(device, f"{skill.name}_{device.name}") if device.name in devices else device
            devices[apart.name] = apart
    return Plant(name="Simulated plant", devices=devices)


def _called(device: Device, name: str) -> Device:
    """The device under another name: every skill's simulator calls its pump the same."""
    tags = {key: tag.model_copy(update={"device": name}) for key, tag in device.tags.items()}
    return device.model_copy(update={"name": name, "tags": tags})
