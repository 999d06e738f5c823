"""A pump server for all tests, and a fresh line and driver for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from factorylm_opcua.dialect import DIALECT
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.faulty_line import FaultyLine
from factorylm_opcua.simulator import PumpServer, plant_toml
from factorylm_schema import Plant, load_plant
from factorylm_skill.faults import FaultSwitches


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def own_certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the developer's own certificates is touched."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORYLM_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[PumpServer]:
    pump = PumpServer(clock=lambda: 0.0)
    await pump.start(live=False)
    yield pump
    await pump.stop()


@pytest.fixture
async def line(server: PumpServer) -> AsyncIterator[FaultyLine]:
    between = FaultyLine(server.port, FaultSwitches())
    await between.up()
    yield between
    await between.down()


@pytest.fixture
def planted(tmp_path: Path) -> Callable[[str], Plant]:
    """A plant from its text."""

    def load(text: str) -> Plant:
        file = tmp_path / "plant.toml"
        file.write_text(text, encoding="utf-8")
        return load_plant(file, [DIALECT])

    return load


@pytest.fixture
def plant(line: FaultyLine, planted: Callable[[str], Plant]) -> Plant:
    return planted(plant_toml(line.port))


@pytest.fixture
async def driver(plant: Plant) -> AsyncIterator[OpcuaDriver]:
    one = OpcuaDriver(plant.device("pump1").model_copy(update={"timeout_s": 0.5}))
    yield one
    await one.close()
