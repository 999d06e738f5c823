"""The simulator is a controller also for clients that are not ours, and our driver speaks to a server that is not."""

import asyncio
import json
import re
import socket
import subprocess
import sys

import pytest
from factorylm_enip import SKILL
from factorylm_enip.driver import EnipDriver
from factorylm_enip.simulated_controller import Nameplate
from factorylm_enip.simulated_tags import got
from factorylm_enip.simulated_wire import Habits
from factorylm_enip.simulator import simulate
from factorylm_schema import Device, Quality, WriteLimits
from factorylm_skill.command import simulated_plant
from factorylm_skill.live_process import Signal
from pycomm3 import CIPDriver, LogixDriver


async def _in_thread(client, wire):
    return await asyncio.to_thread(client, wire.port)


@pytest.mark.parametrize("major", [20, 33])
@pytest.mark.parametrize("large", [True, False])
async def test_pycomm3_opens_uploads_reads_writes_and_closes(serving, major, large):
    def client(port):
        with LogixDriver(f"127.0.0.1:{port}/0") as plc:
            tags = ["Mode", "Counts[5]{4}", "Flags[37]", "Label", "M1", "Grid[1,2]", "Program:Main.Cycle", "Essay"]
            values = [tag.value for tag in plc.read(*tags)]
            written = [tag.error for tag in plc.write(("Speed", 2.5), ("Label", "hello"))]
            whole = plc.read("Counts{3000}").value[-1]
            return plc.info, plc.connection_size, sorted(plc.tags), values, written, whole, plc.get_plc_time().error

    async with serving(Habits(large_connections=large), nameplate=Nameplate(major=major)) as wire:
        info, size, tags, values, written, whole, clock = await _in_thread(client, wire)
        assert got(wire.controller.tags.named("Label"), []) == "hello"
    assert (info["name"], info["keyswitch"], info["revision"]["major"]) == ("PumpStation", "REMOTE RUN", major)
    assert info["programs"] == {
        "Main": {"instance_id": info["programs"]["Main"]["instance_id"], "routines": ["MainRoutine"]}
    }
    assert size == (4000 if large else 500)
    assert {"Mode", "M1", "Program:Main.Cycle"} <= set(tags)
    motor = {"Run": False, "Fault": True, "Speed": 0.0, "Name": "left", "Log": [0, 0, 222, 0, 0]}
    assert values == [5, [50, 60, 70, 80], True, "Pump 3°", motor, 12, 9, "x" * 850]
    assert (written, whole, clock) == ([None, None], 29990, None)


# In a process of its own: pylogix leaves sockets open, which is an error in ours
PYLOGIX = """
import json, sys
from pylogix import PLC

with PLC("127.0.0.1", port=int(sys.argv[1])) as plc:
    plc.StringEncoding = "latin-1"
    tags = {tag.TagName: tag.DataType for tag in plc.GetTagList().Value}
    reads = [answer.Value for answer in plc.Read(["Mode", "Speed", "Label", "Counts[3].1", "Flags[37]"])]
    reads.append(plc.Read("Counts[0]", 2000).Value[-1])
    written = [plc.Write("Mode", 9).Status, plc.Write("Flags[70]", True).Status]
    print(json.dumps([tags, reads, written, plc.GetDeviceProperties().Value.ProductName]))
"""


async def test_pylogix_lists_reads_and_writes(wire):
    command = [sys.executable, "-c", PYLOGIX, str(wire.port)]
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    async with asyncio.timeout(30):
        out, _ = await client.communicate()
    tags, reads, written, product = json.loads(out.splitlines()[-1])
    assert {"Mode", "Counts", "Program:Main.Cycle"} <= set(tags)
    assert (tags["M1"], tags["Label"], tags["Counts"]) == ("Motor", "ASCIISTRING82", "DINT")
    assert [round(value, 4) if isinstance(value, float) else value for value in reads] == [
        5,
        12.3,
        "Pump 3°",
        True,
        True,
        19990,
    ]
    assert (written, product) == (["Success", "Success"], "1756-L83E/B simulated")
    assert got(wire.controller.tags.named("Mode"), []) == 9
    assert got(wire.controller.tags.named("Flags"), [2]) == 1 << 6


async def test_list_identity_answers_on_tcp(wire):
    identity = await asyncio.to_thread(CIPDriver.list_identity, f"127.0.0.1:{wire.port}")
    assert (identity["product_name"], identity["revision"]) == ("1756-L83E/B simulated", {"major": 33, "minor": 11})


async def test_a_tolerant_controller_ignores_surplus_bytes_and_a_strict_one_refuses_them(serving):
    def client(port):
        with LogixDriver(f"127.0.0.1:{port}/0") as plc:
            return plc.write("Mode", 8).error

    async with serving(strict=False) as wire:
        assert await _in_thread(client, wire) is None
    async with serving(strict=True) as wire:
        assert "Too much data" in await _in_thread(client, wire)


async def test_the_process_follows_what_is_written():
    now = [100.0]
    async with simulate(clock=lambda: now[0]) as simulation:
        url = re.search(r'url = "(.*?)"', simulation.plant_toml)[1]
        plant = simulated_plant(simulation.plant_toml, SKILL)
        driver = EnipDriver(Device(name="pump1", url=url))
        tags = [plant.tag(f"pump1.{name}") for name in ("speed", "setpoint", "beacon", "mode", "bearing_temperature")]
        before = [reading.value for reading in await driver.read(tags)]
        await driver.write(plant.tag("pump1.setpoint"), 1000)
        await driver.write(plant.tag("pump1.beacon"), value=True)
        now[0] += 60
        after = [reading.value for reading in await driver.read(tags)]
        await driver.close()
    assert before[:4] == [1200, 1200, False, "automatic"]
    assert after[:4] == [1000, 1000, True, "automatic"]
    assert after[4] < before[4], "a slower pump runs cooler"


class Tank:
    """A process with a signal of each type."""

    signals = (
        Signal(name="level", type="real", unit="m", minimum=0, maximum=4, write=WriteLimits(min=0, max=4)),
        Signal(name="pump_on", type="bool", write=WriteLimits(allowed=[True, False])),
        Signal(name="state", type="int", enum={0: "idle", 7: "filling"}),
        Signal(name="batch", type="text", description='the "batch"'),
    )

    def __init__(self) -> None:
        self.values = {"level": 1.1, "pump_on": False, "state": 7, "batch": "B-17"}

    def advance(self) -> None: ...

    def value(self, name: str):
        return self.values[name]

    def set(self, name: str, value) -> None:
        self.values[name] = value


async def test_any_process_can_stand_behind_the_simulator():
    tank = Tank()
    async with simulate(process=tank, device="tank-1") as simulation:
        plant = simulated_plant(simulation.plant_toml, SKILL)
        driver = EnipDriver(plant.device("tank-1"))
        tags = list(plant.tags())
        before = [reading.value for reading in await driver.read(tags)]
        await driver.write(tags[0], 2.3)
        await driver.write(tags[1], value=True)
        after = [reading.value for reading in await driver.read(tags)]
        await driver.close()
    assert before == [1.1, False, "filling", "B-17"]
    assert after == [2.3, True, "filling", "B-17"]
    assert tank.values == {"level": 2.3, "pump_on": True, "state": 7, "batch": "B-17"}


# -- a server of other people ---------------------------------------------------------------------


@pytest.fixture
async def cpppo():
    """cpppo (GPLv3) in a process of its own; never imported."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tags = ["Mode=DINT", "Counts=DINT[100]", "Speed=REAL", "Small=SINT"]
    command = [sys.executable, "-m", "cpppo.server.enip", "--address", f"127.0.0.1:{port}", *tags]
    server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await _listening(port, server)
        yield port
    finally:
        server.terminate()
        await server.wait()


async def _listening(port, server):
    async with asyncio.timeout(30):
        while server.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
    raise AssertionError("cpppo does not start; is it installed?")


async def test_another_implementation_is_read_and_written_too(cpppo, tag):
    driver = EnipDriver(Device(name="plc", url=f"enip://127.0.0.1:{cpppo}/0", timeout_s=10))
    await driver.write(tag("Mode"), 5)
    await driver.write(tag("Speed"), 1.5)
    await driver.write(tag("Counts[7]"), 70)
    tags = [tag("Mode"), tag("Speed"), tag("Small"), *(tag(f"Counts[{n}]") for n in range(5, 9)), tag("Nope")]
    readings = await driver.read(tags)
    await driver.close()
    assert [reading.value for reading in readings] == [5, 1.5, 0, 0, 0, 70, 0, None]
    assert readings[-1].quality is Quality.BadNodeIdUnknown
