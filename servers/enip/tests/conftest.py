"""A controller with every sort of tag, on a port of its own, and drivers to it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from factorylm_enip.driver import EnipDriver
from factorylm_enip.simulated_controller import Controller, Nameplate
from factorylm_enip.simulated_tags import STRING_TEMPLATE, Access, put, string_template, structure
from factorylm_enip.simulated_wire import Habits, Wire
from factorylm_schema import Device, Tag, WriteLimits
from hypothesis import settings

settings.register_profile("factorylm-enip", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("factorylm-enip")


@pytest.fixture
def anyio_backend():
    return "asyncio"


def _controller(**settings: Any) -> Controller:
    controller = Controller(**settings)
    tags = controller.tags
    for name, kind in [("Speed", "REAL"), ("Mode", "DINT"), ("Run", "BOOL"), ("Small", "SINT"), ("Total", "LINT")]:
        tags.add(name, kind)
    for name, kind in [("Word", "UINT"), ("Level", "LREAL"), ("Int", "INT"), ("Double", "UDINT"), ("Huge", "ULINT")]:
        tags.add(name, kind)
    tags.add("Counts", "DINT", 3000)
    tags.add("Flags", "BOOL", 96)
    tags.add("Grid", "INT", 3, 4)
    tags.add("Label", STRING_TEMPLATE)
    tags.add("Serial", "DINT", access=Access.READ_ONLY)
    tags.add("Secret", "DINT", access=Access.NONE)
    tags.add("__hidden", "DINT")
    tags.add("System", "DINT", type_word=0x10C4)
    tags.add("Local:1:I", "DINT")
    text = controller.learn(string_template(0x123, "STRING20", 20))
    long_text = controller.learn(string_template(0x124, "STRING900", 900))
    motor = controller.learn(
        structure(
            0x125,
            "Motor",
            [("Run", "BOOL", 0), ("Fault", "BOOL", 0), ("Speed", "REAL", 0), ("Name", text, 0), ("Log", "INT", 5)],
        )
    )
    tags.add("M1", motor)
    tags.add("Motors", motor, 40)
    tags.add("Essay", long_text)
    tags.add("Names", text, 10)
    main = controller.add_program("Main")
    main.add("Cycle", "DINT")
    main.add("Routine:MainRoutine", "DINT", type_word=0x106D)
    _fill(controller)
    return controller


def _fill(controller: Controller) -> None:
    tags = controller.tags
    for name, value in [("Speed", 12.3), ("Mode", 5), ("Run", 1), ("Small", -7), ("Total", 2**40), ("Serial", 77)]:
        put(tags.named(name), [], value)
    for name, value in [("Word", 65535), ("Level", 0.1), ("Int", -300), ("Double", 2**31), ("Huge", 2**63)]:
        put(tags.named(name), [], value)
    for index in range(3000):
        put(tags.named("Counts"), [index], 10 * index)
    put(tags.named("Flags"), [1], 1 << 5)
    put(tags.named("Grid"), [1, 2], 12)
    put(tags.named("Label"), [], "Pump 3°")
    put(tags.named("M1"), ["Fault"], 1)
    put(tags.named("M1"), ["Name"], "left")
    put(tags.named("M1"), ["Log", 2], 222)
    put(tags.named("Motors"), [7, "Speed"], 77.5)
    put(tags.named("Essay"), [], "x" * 850)
    put(tags.named("Names"), [4], "four")
    put(controller.programs["main"].named("Cycle"), [], 9)


@pytest.fixture
def make_controller() -> Callable[..., Controller]:
    return _controller


@pytest.fixture
def serving() -> Callable[..., Any]:
    """`async with serving(habits=…, **controller settings) as wire`."""

    @asynccontextmanager
    async def served(habits: Habits | None = None, **settings: Any) -> AsyncIterator[Wire]:
        async with Wire(controller=_controller(**settings), habits=habits or Habits()).running() as wire:
            yield wire

    return served


@pytest.fixture
async def wire(serving) -> AsyncIterator[Wire]:
    async with serving() as served:
        yield served


@pytest.fixture
def tag() -> Callable[..., Tag]:
    def made(address: str, *, writable: bool = True, **keys: Any) -> Tag:
        write = WriteLimits(min=-1e9, max=1e9) if writable else None
        return Tag(device="plc", name=keys.pop("name", ""), address=address, write=write, **keys)

    return made


@pytest.fixture
async def drive() -> AsyncIterator[Callable[..., EnipDriver]]:
    """`drive(wire, timeout_s=…)`: a driver that is closed at the end."""
    drivers: list[EnipDriver] = []

    def made(wire: Wire, route: str = "/0", timeout_s: float = 2.0, **options: Any) -> EnipDriver:
        url = f"enip://127.0.0.1:{wire.port}{route}"
        drivers.append(EnipDriver(Device(name="plc", url=url, timeout_s=timeout_s, options=options)))
        return drivers[-1]

    yield made
    for driver in drivers:
        await driver.close()


@pytest.fixture
def old_nameplate() -> Nameplate:
    return Nameplate(major=20)


@pytest.fixture
def micro800() -> Nameplate:
    return Nameplate(name="2080-LC50-48QWB", major=12)
