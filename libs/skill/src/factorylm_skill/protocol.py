"""A protocol skill as one value: its driver, texts and simulator. The tools are the same in every protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from factorylm_schema import Plant, PlantDialect

from factorylm_skill.devices import Devices
from factorylm_skill.driver import Connects
from factorylm_skill.protocol_tools import browse_tool, diagnose_tool, list_tool, read_tool
from factorylm_skill.sampling import sample_tool
from factorylm_skill.simulation import Simulates
from factorylm_skill.skill import OpenSkill, Settings
from factorylm_skill.tool import ServedTool
from factorylm_skill.writing import write_gate

MakesTools = Callable[[Devices, Settings], Sequence[ServedTool]]


def _no_more_tools(_: Devices, __: Settings) -> Sequence[ServedTool]:
    return ()


@dataclass(frozen=True, kw_only=True)
class ProtocolSkill:
    """What one protocol brings; `browses` says what browse shows (empty: the protocol has no such thing)."""

    name: str
    title: str
    version: str
    instructions: str
    package: str
    dialect: PlantDialect
    connect: Connects
    simulate: Simulates
    address_example: str
    browses: str = ""
    more_tools: MakesTools = _no_more_tools

    def open(self, settings: Settings) -> OpenSkill:
        """The tools over the devices of the plant that speak this protocol."""
        devices = Devices(settings.plant.only(self.dialect.schemes), self.connect)
        tools: list[ServedTool] = [
            list_tool(self.name, devices),
            read_tool(self.name, devices, self.address_example),
            sample_tool(self.name, devices, settings.shelf),
            diagnose_tool(self.name, devices),
        ]
        if self.browses:
            tools.append(browse_tool(self.name, devices, self.browses))
        tools.extend(self.more_tools(devices, settings))

        async def replant(plant: Plant) -> None:
            await devices.replant(plant.only(self.dialect.schemes))

        reading = OpenSkill(tools=tools, devices=devices, replant=replant, alarms=devices.alarms, close=devices.close)
        if not settings.allow_writes:
            return reading
        gate = write_gate(devices, settings)

        async def close() -> None:
            await gate.finish()
            await devices.close()

        return replace(reading, tools=[*tools, gate.tool(self.name)], close=close)
