"""The simulator: the pump moves, a write steers it, and any other live process can stand in its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from factorylm_s7 import SKILL, simulate
from factorylm_s7.pump_station import pump_station
from factorylm_schema import Value, WriteLimits
from factorylm_skill.command import simulated_plant
from factorylm_skill.live_process import Signal
from factorylm_skill.simulated_pump import Pump


@dataclass
class Mixer:
    """A process of every type of signal."""

    signals: Sequence[Signal] = (
        Signal(name="on", type="bool", description='switch "main"', write=WriteLimits(allowed=[True, False])),
        Signal(name="recipe", type="text"),
        Signal(name="count", type="int", minimum=0, maximum=100_000),
        Signal(name="level", type="real", unit="%", write=WriteLimits(min=0, max=100)),
        Signal(name="state", type="int", enum={0: "idle", 1: "mixing"}),
    )
    now: dict[str, Value] = field(
        default_factory=lambda: {"on": True, "recipe": "R-7 süß", "count": 70_000, "level": 12.25, "state": 1}
    )
    steps: int = 0

    def advance(self) -> None:
        self.steps += 1

    def value(self, name: str) -> Value:
        return self.now[name]

    def set(self, name: str, value: Value) -> None:
        self.now[name] = value


async def test_any_live_process_is_read_and_steered_through_its_plant_file():
    mixer = Mixer()
    async with simulate(process=mixer, device="mixer-2") as simulation:
        plant = simulated_plant(simulation.plant_toml, SKILL)
        driver = SKILL.connect(plant.devices["mixer-2"])
        tags = list(plant.tags())
        assert [tag.id for tag in tags] == [f"mixer-2.{signal.name}" for signal in mixer.signals]
        assert [r.value for r in await driver.read(tags)] == [True, "R-7 süß", 70_000, 12.25, "mixing"]
        await driver.write(plant.tag("mixer-2.level"), 40.5)
        await driver.write(plant.tag("mixer-2.on"), value=False)
        assert (mixer.now["level"], mixer.now["on"], mixer.now["count"]) == (40.5, False, 70_000)
        assert mixer.steps >= 3
        await driver.close()


async def test_the_pump_follows_its_set_point(bench):
    now = [0.0]
    pump = Pump(lambda: now[0])
    async with bench(pump_station(pump)) as b:
        assert await b.values("DB1:0:REAL") == [1200.0]
        b.cpu.put("DB1.DBW4:INT", 900)
        b.cpu.written(b.cpu)
        now[0] = 60.0
        speed, setpoint = await b.values("DB1:0:REAL", "DB1:4:INT")
        assert setpoint == 900
        assert abs(speed - 900) < 1
