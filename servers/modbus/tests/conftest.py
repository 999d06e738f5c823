import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from factorylm_modbus import DIALECT, connect
from factorylm_modbus.address import Table
from factorylm_modbus.driver import ModbusDriver
from factorylm_modbus.endpoint import Link
from factorylm_modbus.simulated_device import SimulatedDevice
from factorylm_modbus.simulator import serving
from factorylm_schema import Device, Tag
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

Opens = Callable[..., AbstractAsyncContextManager[ModbusDriver]]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def simulated_device() -> SimulatedDevice:
    """Every table's first 300 addresses; register n holds n."""
    device = SimulatedDevice()
    for table in Table:
        device.define(table, 0, 300)
    for at in range(300):
        device.put(Table.HOLDING_REGISTER, at, at)
        device.put(Table.INPUT_REGISTER, at, 1000 + at)
        device.put(Table.COIL, at, at % 3 == 0)
        device.put(Table.DISCRETE_INPUT, at, at % 2)
    return device


@pytest.fixture
def opened(simulated_device: SimulatedDevice) -> Opens:
    """A driver on the simulated device: `async with opened(link=…, max_gap=0) as driver`."""

    @asynccontextmanager
    async def open_(
        *, link: Link = Link.TCP, timeout_s: float = 2.0, tags: dict[str, Tag] | None = None, **options: object
    ) -> AsyncIterator[ModbusDriver]:
        async with serving(simulated_device, link=link) as port:
            device = Device(
                name="d",
                url=f"{link}://127.0.0.1:{port}?unit=1",
                timeout_s=timeout_s,
                tags=tags or {},
                options=dict(options),
            )
            DIALECT.check_device(device)
            driver = connect(device)
            try:
                yield driver
            finally:
                await driver.close()

    return open_


@pytest.fixture
def tag() -> Callable[..., Tag]:
    """A tag of device d: `tag("hr@5:UINT", scale=0.1)`."""

    def make(address: str, name: str = "", **keys: object) -> Tag:
        return Tag.model_validate({"device": "d", "name": name, "address": address, **keys})

    return make


@dataclass(frozen=True)
class Certificates:
    """One authority, a device's certificate for 127.0.0.1 and ours, as files."""

    folder: Path

    def client_options(self) -> dict[str, str]:
        return {
            "tls_ca": str(self.folder / "ca.pem"),
            "tls_cert": str(self.folder / "us.pem"),
            "tls_key": str(self.folder / "us.key"),
        }

    def server_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(self.folder / "device.pem", self.folder / "device.key")
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, identity in (("device", "127.0.0.1"), ("us", "factorylm.example")):
        issued = authority.issue_cert(identity)
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    return Certificates(folder)


def _foreign_device() -> SimDevice:
    bits = [SimData(0, count=32, values=False, datatype=DataType.BITS)]
    registers = [SimData(0, count=20, values=7, datatype=DataType.REGISTERS)]
    real = SimData(20, values=123456.0, datatype=DataType.FLOAT32)
    rest = SimData(22, count=20, values=9, datatype=DataType.REGISTERS)
    return SimDevice(id=1, simdata=(bits, bits, [*registers, real, rest], registers))


@asynccontextmanager
async def _foreign_server(**settings: Any) -> AsyncIterator[int]:
    """pymodbus' server on a free port; `tls` gives it certificates."""
    kind = ModbusTlsServer if "sslctx" in settings else ModbusTcpServer
    identity = ModbusDeviceIdentification(info_name={"VendorName": "Somebody", "ProductName": "Else"})
    server = kind(_foreign_device(), address=("127.0.0.1", 0), identity=identity, **settings)
    await server.listen()
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.fixture
def foreign_server() -> Callable[..., AbstractAsyncContextManager[int]]:
    """pymodbus' server: `async with foreign_server(framer=…) as port`."""
    return _foreign_server
