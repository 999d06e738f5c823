"""How close the OPC UA driver comes to the library's best: requests sent, time, start-up and tokens.

    ./run bench opcua            all figures (about a minute)
    ./run bench opcua --rounds 9 --json

Every time is a ratio of two things measured in this run, in interleaved rounds; the median round counts. The peer
is asyncua used by hand as well as it can be: the request built once, sent as it is, values taken from the answer
without a look at status, count or order. The server (asyncua's) runs in a process of its own.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from math import ceil
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio
import asyncua
from factorylm_opcua import SKILL, connect
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.faulty_line import FaultyLine
from factorylm_schema import Device, Tag
from factorylm_skill.faults import FaultSwitches
from factorylm_skill.testing import count_tokens, tool_tokens
from factorylm_skill.testing.clients import simulated
from measuring.beside import beside, until_told
from measuring.children import first_answer, interleaved
from measuring.figures import Figure, report

NAMESPACE = "urn:factorylm:bench"
LEAST_TIME = 0.8
LIMITS = (10_000, 100, 7)


def tag_sets() -> dict[str, list[str]]:
    """1,000 addresses each: of one object and type; and with string, number and GUID ids, of four types."""
    scattered = [
        f"s=Area{k % 7}.Machine{k % 41}.Signal{k}" if k % 3 == 0 else f"i={k * 977}" if k % 3 == 1 else f"g={_guid(k)}"
        for k in range(1000)
    ]
    return {
        "1,000 neighbouring values": [f"i={k + 1_000_000}" for k in range(1000)],
        "1,000 scattered values": scattered,
    }


def _guid(k: int) -> str:
    return str(uuid.UUID(int=k))


# -- the server, in a process of its own --------------------------------------------------------


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        from factorylm_opcua.address import parse
        from factorylm_opcua.library import ua
        from factorylm_opcua.nodes import to_node_id
        from factorylm_opcua.small_address_space import SmallInternalServer

        server: Any = asyncua.Server(SmallInternalServer())  # type: ignore[attr-defined]
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        values: list[object] = [1.5, True, 12, "a text of a plant"]
        for number, addresses in enumerate(tag_sets().values()):
            for k, address in enumerate(addresses):
                value = 1.5 if number == 0 else values[k % 4]
                node = to_node_id(parse(address), index)
                await server.nodes.objects.add_variable(node, f"{index}:V{number}-{k}", value)
        await server.start()
        await until_told(pipe, server.bserver.port)
        await server.stop()

    asyncio.run(run())


# -- requests and times --------------------------------------------------------------------------


def tags_of(addresses: list[str]) -> list[Tag]:
    """As a plant file would name them."""
    return [
        Tag(device="d", name=f"t{k}", address=f"nsu={NAMESPACE};{address}", unit="bar")
        for k, address in enumerate(addresses)
    ]


async def requests_ratio(port: int, addresses: list[str], most: int) -> float:
    """Read requests sent / the fewest that the limit allows, counted on the wire."""
    line = FaultyLine(port, FaultSwitches())
    await line.up()
    driver, tags = _driver(line.port, max_nodes_per_read=most), tags_of(addresses)
    await driver.read(tags[:1])
    before = line.requests["Read"]
    await driver.read(tags)
    sent = line.requests["Read"] - before
    await driver.close()
    await line.down()
    return sent / ceil(len(addresses) / most)


async def timed(port: int, addresses: list[str], rounds: int) -> dict[str, float]:
    """Medians of the library's time / ours."""
    from factorylm_opcua.address import parse
    from factorylm_opcua.library import Client, ua
    from factorylm_opcua.nodes import to_node_id

    driver, tags = _driver(port), tags_of(addresses)
    by_hand, naive = [], []
    async with Client(f"opc.tcp://127.0.0.1:{port}", timeout=10, watchdog_intervall=1000) as client:
        index = await client.get_namespace_index(NAMESPACE)
        nodes = [to_node_id(parse(address), index) for address in addresses]
        items = [ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes]
        parameters = ua.ReadParameters(NodesToRead=items)

        async def library() -> list[Any]:
            return [value.Value.Value for value in await client.uaclient.session.read(parameters)]

        async def one_by_one() -> None:
            for node in nodes:
                await client.get_node(node).read_value()

        assert [reading.value for reading in await driver.read(tags)] == await library()
        for number in range(rounds):
            theirs = await _seconds(library)
            ours = await _seconds(lambda: driver.read(tags))
            by_hand.append(theirs / ours)
            if number < 3:
                naive.append(await _seconds(one_by_one) / ours)
    await driver.close()
    return {"by hand": statistics.median(by_hand), "naive": statistics.median(naive)}


def _driver(port: int, **options: object) -> OpcuaDriver:
    return connect(Device(name="d", url=f"opc.tcp://127.0.0.1:{port}", timeout_s=10, options=dict(options)))


async def _seconds(run: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await run()
    return time.perf_counter() - begun


# -- start-up and tokens -------------------------------------------------------------------------


def start_ratio(rounds: int) -> float:
    """CPU from start to the answer to initialize: OPC UA / Modbus."""
    plants = {
        "factorylm_opcua": '[devices.a]\nurl = "opc.tcp://127.0.0.1:4840"\n[devices.a.tags]\n'
        's = { address = "i=2258" }\n',
        "factorylm_modbus": '[devices.a]\nurl = "modbus-tcp://127.0.0.1:502?unit=1"\n[devices.a.tags]\n'
        's = { address = "holding-register:1:UINT" }\n',
    }
    with tempfile.TemporaryDirectory() as folder:
        starts = []
        for module, text in plants.items():
            plant = Path(folder) / f"{module}.toml"
            plant.write_text(text, encoding="utf-8")
            starts.append(partial(first_answer, "-m", module, "--plant", plant))
        interleaved(1, *starts)  # the first round fills the caches
        opcua, modbus = interleaved(rounds, *starts)
    return opcua / modbus


async def tokens() -> dict[str, float]:
    """What the tool list and a reading cost."""
    async with simulated(SKILL) as (client, _):
        costs = [tool_tokens(tool) for tool in await client.tools()]
        table = await client.ask("opcua_list_tags", limit=500)
        answer = await client.ask("opcua_read_tags", tags=[row[0] for row in table["rows"]])
    text = json.dumps({**answer, "rows": (answer["rows"] * 50)[:50]}, separators=(",", ":"), ensure_ascii=False)
    return {"tool list": sum(costs), "largest tool": max(costs), "50 readings": count_tokens(text)}


# -- the figures ---------------------------------------------------------------------------------


def measured(rounds: int) -> Iterator[Figure]:
    """Everything, as it is found."""
    with beside(_serve) as port:
        for name, addresses in tag_sets().items():
            for most in LIMITS:
                ratio = asyncio.run(requests_ratio(port, addresses, most))
                yield Figure(f"{name}: requests / fewest, {most} a request", ratio, most=1)
            times = asyncio.run(timed(port, addresses, rounds))
            yield Figure(f"{name}: asyncua by hand / our readings", times["by hand"], least=LEAST_TIME)
            yield Figure(f"{name}: asyncua node by node / our readings", times["naive"])
    # two medians of the same thing differ by a few per cent on a busy machine
    yield Figure("CPU from start to first answer: OPC UA / Modbus", start_ratio(rounds), most=1.1)
    costs = anyio.run(tokens)
    yield Figure("tokens of the OPC UA tool list", costs["tool list"], most=1200)
    yield Figure("tokens of the largest OPC UA tool", costs["largest tool"], most=300)
    yield Figure("tokens of 50 good OPC UA readings", costs["50 readings"], most=750)


if __name__ == "__main__":
    sys.exit(report(__doc__, measured))
