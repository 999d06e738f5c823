"""The simulator as the demo plant uses it: any process behind it."""

from dataclasses import dataclass, field
from typing import ClassVar

from factorylm_opcua import SKILL
from factorylm_opcua.driver import OpcuaDriver
from factorylm_schema import Value, WriteLimits
from factorylm_skill.live_process import Signal


@dataclass
class Tank:
    """A process with one signal of each type."""

    held: dict[str, Value] = field(default_factory=lambda: {"level": 2.5, "valve": True, "step": 3, "batch": "B-17 ü"})
    signals: ClassVar = [
        Signal(name="level", type="real", unit="m", minimum=0, maximum=5, description='The "level"'),
        Signal(name="valve", type="bool", write=WriteLimits(allowed=[True, False])),
        Signal(name="step", type="int", enum={3: "filling", 4: "full"}, write=WriteLimits(min=0, max=9, max_step=1)),
        Signal(name="batch", type="text"),
    ]

    def advance(self) -> None:
        pass

    def value(self, name: str) -> Value:
        return self.held[name]

    def set(self, name: str, value: Value) -> None:
        self.held[name] = value


async def test_any_process_can_stand_behind_the_simulator(planted):
    tank = Tank()
    async with SKILL.simulate(process=tank, device="tank7") as simulation:
        plant = planted(simulation.plant_toml)
        driver = OpcuaDriver(plant.device("tank7"))
        try:
            readings = await driver.read(list(plant.tags()))
            assert [(r.tag, r.value, r.unit) for r in readings] == [
                ("tank7.level", 2.5, "m"),
                ("tank7.valve", True, ""),
                ("tank7.step", "filling", ""),
                ("tank7.batch", "B-17 ü", ""),
            ]
            assert plant.tag("tank7.level").description == 'The "level"'
            assert plant.tag("tank7.step").write == WriteLimits(min=0, max=9, max_step=1)
            await driver.write(plant.tag("tank7.valve"), value=False)
            [valve] = await driver.read([plant.tag("tank7.valve")])
            assert valve.value is False
        finally:
            await driver.close()
