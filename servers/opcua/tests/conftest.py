"""A pump server for all tests, and a fresh line and driver for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from factorylm_opcua.certificates import Pki, self_signed
from factorylm_opcua.dialect import DIALECT
from factorylm_opcua.driver import OpcuaDriver
from factorylm_opcua.faulty_line import FaultyLine
from factorylm_opcua.pump_station import PumpServer
from factorylm_schema import Device, Plant, load_plant
from factorylm_skill.faults import FaultSwitches
from factorylm_skill.simulated_pump import pump_plant

URI = "urn:factorylm:simulator"
USER, PASSWORD = "engineer", "pump-house-7"


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
    return planted(pump_plant("factorylm_opcua", f"opc.tcp://127.0.0.1:{line.port}"))


@pytest.fixture
async def driver(plant: Plant) -> AsyncIterator[OpcuaDriver]:
    one = OpcuaDriver(plant.device("pump1").model_copy(update={"timeout_s": 1.0}))
    yield one
    await one.close()


@pytest.fixture
async def patient(plant: Plant) -> AsyncIterator[OpcuaDriver]:
    """For what is long work, and no test of a timeout."""
    one = OpcuaDriver(plant.device("pump1").model_copy(update={"timeout_s": 10.0}))
    yield one
    await one.close()


# -- a server with security ------------------------------------------------------------------------


def _key_pair(uri: str, folder: Path, name: str) -> tuple[Path, Path]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = self_signed(key, uri, name, datetime.now(UTC))
    files = folder / f"{name}.der", folder / f"{name}.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.DER))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


class Gatekeeper:
    """Lets one user in, or whoever has the one certificate."""

    certificate: bytes | None = None

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is None and certificate is not None and self.certificate in (None, certificate):
            return User(role=UserRole.User)
        return User(role=UserRole.User) if (username, password) == (USER, PASSWORD) else None


@pytest.fixture(scope="session")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return _key_pair(URI, tmp_path_factory.mktemp("server"), "server")


@pytest.fixture(scope="session")
async def secured(server_files: tuple[Path, Path]) -> AsyncIterator[PumpServer]:
    """A server with every policy and no door for strangers."""

    async def secure(server) -> None:
        await server.load_certificate(str(server_files[0]))
        await server.load_private_key(str(server_files[1]))
        server.set_security_policy(
            [
                policy
                for policy in ua.SecurityPolicyType
                if policy.name.startswith(("NoSecurity", "Basic256Sha256", "Aes128", "Aes256"))
            ]
        )

    pump = PumpServer(clock=lambda: 0.0, user_manager=Gatekeeper())
    await pump.start(live=False, secure=secure)
    yield pump
    await pump.stop()


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANT_USER", USER)
    monkeypatch.setenv("PLANT_PASSWORD", PASSWORD)


@pytest.fixture
def trusting(tmp_path: Path, server_files: tuple[Path, Path]) -> Path:
    """A certificate folder whose operator trusts the server."""
    Pki(tmp_path / "pki").trust(server_files[0].read_bytes())
    return tmp_path / "pki"


@pytest.fixture
def secured_device() -> Callable[..., Device]:
    """The device entry of a secured server: `secured_device(secured, trusting, mode="sign")`."""

    def device(server: PumpServer, pki: Path, **options: object) -> Device:
        user = {"user_env": "PLANT_USER", "password_env": "PLANT_PASSWORD"}
        return Device(
            name="d",
            url=f"opc.tcp://127.0.0.1:{server.port}",
            timeout_s=5,
            options={"security": "Basic256Sha256", "pki": str(pki), **user, **options},
        )

    return device


@pytest.fixture(scope="session")
def key_pair() -> Callable[[str, Path, str], tuple[Path, Path]]:
    """Certificate and key files for an application: `key_pair(uri, folder, name)`."""
    return _key_pair
