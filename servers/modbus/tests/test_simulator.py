"""The simulated plant, as an engineer with the plant file finds it."""

from dataclasses import dataclass, field

from factorylm_modbus import SKILL, connect, simulate
from factorylm_schema import Quality, Value, WriteLimits
from factorylm_skill.command import simulated_plant
from factorylm_skill.live_process import Signal


async def test_the_pump_follows_its_setpoint_and_stops_when_switched_off():
    now = [0.0]
    async with simulate(clock=lambda: now[0]) as simulation:
        device = simulated_plant(simulation.plant_toml, SKILL).devices["pump1"]
        driver = connect(device)
        tags = [device.tags[name] for name in ("speed", "running", "status", "flow", "mode", "beacon")]
        await driver.write(device.tags["setpoint"], 1400)
        await driver.write(device.tags["beacon"], value=True)
        now[0] = 60.0
        running = [r.value for r in await driver.read(tags)]
        await driver.write(device.tags["mode"], "off")
        now[0] = 120.0
        stopped = [r.value for r in await driver.read(tags)]
        await driver.close()
    assert running[:3] == [1400, True, "running, automatic"]
    assert isinstance(running[3], float)
    assert 35 < running[3] < 45
    assert running[4:] == ["automatic", True]
    assert stopped == [0, False, "none", 0.0, "off", True]


@dataclass
class Tank:
    """A process of the test's own."""

    now: dict[str, Value] = field(
        default_factory=lambda: {"level": 1.5, "batch": -70000, "full": False, "drain": False, "name": "T1", "state": 1}
    )
    signals = (
        Signal(name="level", type="real", unit="m", minimum=0, maximum=4, write=WriteLimits(min=0, max=4, max_step=1)),
        Signal(name="batch", type="int", description='the "present" batch'),
        Signal(name="full", type="bool"),
        Signal(name="drain", type="bool", write=WriteLimits(allowed=[True, False])),
        Signal(name="name", type="text"),
        Signal(name="state", type="int", enum={0: "idle", 1: "filling"}),
    )

    def advance(self) -> None:
        self.now["full"] = self.now["level"] == 4.0

    def value(self, name: str) -> Value:
        return self.now[name]

    def set(self, name: str, value: Value) -> None:
        self.now[name] = value


async def test_any_live_process_is_served_with_a_plant_file_that_reads_and_writes_it():
    tank = Tank()
    async with simulate(process=tank, device="tank7") as simulation:
        device = simulated_plant(simulation.plant_toml, SKILL).devices["tank7"]
        driver = connect(device)
        before = await driver.read(list(device.tags.values()))
        await driver.write(device.tags["level"], 4.0)
        await driver.write(device.tags["drain"], value=True)
        after = await driver.read(list(device.tags.values()))
        await driver.close()
    assert [r.value for r in before] == [1.5, -70000, False, False, "T1", "filling"]
    assert [r.value for r in after] == [4.0, -70000, True, True, "T1", "filling"]
    assert {r.quality for r in after} == {Quality.Good}
    assert (tank.now["level"], tank.now["drain"]) == (4.0, True)
    assert device.tags["level"].write == WriteLimits(min=0, max=4, max_step=1)
    assert device.tags["batch"].description == 'the "present" batch'
