"""A CPU of the test's own making, and drivers to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from factorylm_s7.driver import S7Driver
from factorylm_s7.simulated_cpu import SimulatedCpu
from factorylm_s7.simulator import serving
from factorylm_schema import Device, Reading, Tag
from factorylm_skill import FaultSwitches


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass
class Bench:
    """A simulated CPU, its fault switches, and a driver connected to it."""

    cpu: SimulatedCpu
    faults: FaultSwitches
    port: int
    driver: S7Driver

    async def read(self, *addresses: str, **tag: Any) -> list[Reading]:
        """Readings of raw addresses."""
        return await self.driver.read([raw_tag(address, **tag) for address in addresses])

    async def values(self, *addresses: str) -> list[Any]:
        """Their values; None where there is none."""
        return [reading.value for reading in await self.read(*addresses)]


def raw_tag(address: str, **more: Any) -> Tag:
    return Tag(device="plc", name=more.pop("name", ""), address=address, **more)


def device_at(port: int, *, timeout_s: float = 2.0, slot: int = 1, **options: Any) -> Device:
    return Device(name="plc", url=f"s7://127.0.0.1:{port}?rack=0&slot={slot}", timeout_s=timeout_s, options=options)


@pytest.fixture
def tag() -> Callable[..., Tag]:
    return raw_tag


@pytest.fixture
def device() -> Callable[..., Device]:
    return device_at


@pytest.fixture
def filled() -> Callable[..., SimulatedCpu]:
    """`filled(db1=20)`: a CPU whose data blocks have these sizes."""
    return lambda **sizes: SimulatedCpu(blocks={int(name[2:]): bytearray(size) for name, size in sizes.items()})


@pytest.fixture
def bench() -> Callable[..., Any]:
    """`async with bench(cpu, timeout_s=…, pdu=…) as b`"""

    @asynccontextmanager
    async def opened(cpu: SimulatedCpu | None = None, **options: Any) -> AsyncIterator[Bench]:
        cpu, faults = cpu or SimulatedCpu(blocks={1: bytearray(range(256))}), FaultSwitches()
        async with serving(cpu, faults) as port:
            driver = S7Driver(device_at(port, **options))
            try:
                yield Bench(cpu, faults, port, driver)
            finally:
                await driver.close()

    return opened
