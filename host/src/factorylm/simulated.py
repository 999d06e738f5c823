"""Every protocol's simulator as one plant, for trying out; no device hides another."""

from collections.abc import Sequence, Set
from contextlib import AsyncExitStack

from factorylm_schema import Device, Plant
from factorylm_skill import ProtocolSkill
from factorylm_skill.command import simulated_plant

# What is installed with the host: its simulated pump keeps the plain name, whatever else is installed.
_OWN_SKILL = "modbus"


async def simulated(protocols: Sequence[ProtocolSkill], stack: AsyncExitStack, wanted: Set[str] | None = None) -> Plant:
    """Start the simulators of `protocols`, or those that may have the devices `wanted`; they stop with `stack`."""
    devices: dict[str, Device] = {}
    ordered = sorted(protocols, key=lambda skill: skill.name != _OWN_SKILL)
    for skill in ordered:
        if wanted is not None and not _may_have(skill, wanted - devices.keys(), ordered):
            continue
        simulation = await stack.enter_async_context(skill.simulate())
        for device in simulated_plant(simulation.plant_toml, skill).devices.values():
            apart = f"{skill.name}_{device.name}"
            named = _called(device, apart) if device.name in devices or apart in (wanted or ()) else device
            devices[named.name] = named
    return Plant(name="Simulated plant", devices=devices)


def _may_have(skill: ProtocolSkill, missing: Set[str], others: Sequence[ProtocolSkill]) -> bool:
    """A name that begins with a skill's is that skill's; any other may be anybody's."""
    for name in missing:
        owners = [other for other in others if name.startswith(f"{other.name}_")]
        if not owners or skill in owners:
            return True
    return False


def _called(device: Device, name: str) -> Device:
    """The device under another name: every skill's simulator calls its pump the same."""
    tags = {key: tag.model_copy(update={"device": name}) for key, tag in device.tags.items()}
    return device.model_copy(update={"name": name, "tags": tags})
