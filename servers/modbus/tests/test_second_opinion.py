"""Our side against other people's: pymodbus and pyModbusTCP as servers, pymodbus as the client of our simulator."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable

import pytest
from factorylm_modbus import connect, simulate
from factorylm_modbus.address import Table
from factorylm_modbus.endpoint import Link
from factorylm_modbus.simulator import serving
from factorylm_schema import Device, NotConnectedError, Quality
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pyModbusTCP.server import ModbusServer


def _driver(port: int, link: Link = Link.TCP, **options: object):
    return connect(Device(name="d", url=f"{link}://127.0.0.1:{port}?unit=1", options=dict(options)))


@pytest.mark.parametrize(("link", "framer"), [(Link.TCP, FramerType.SOCKET), (Link.RTU_TCP, FramerType.RTU)])
async def test_pymodbus_server_understands_every_service(link, framer, tag, foreign_server):
    async with foreign_server(framer=framer) as port:
        driver = _driver(port, link)
        await driver.write(tag("hr@1"), 99)
        await driver.write(tag("hr@22:REAL"), -1.5)
        await driver.write(tag("co@3"), value=True)
        await driver.write(tag("hr@5.15"), value=True)
        readings = await driver.read(
            [tag(a) for a in ("hr@0", "hr@1", "hr@20:REAL", "hr@22:REAL", "co@3", "co@4", "hr@5", "ir@2", "di@1")]
        )
        identity = await driver.identify()
        await driver.close()
    values = [7, 99, 123456.0, -1.5, True, False, 0x8007, 7, False]
    assert [(r.value, r.quality) for r in readings] == [(value, Quality.Good) for value in values]
    assert (identity.vendor, identity.product) == ("Somebody", "Else")


async def test_pymodbus_server_refuses_what_it_does_not_have_and_only_that_is_lost(tag, foreign_server):
    async with foreign_server() as port:
        driver = _driver(port)
        readings = await driver.read([tag("hr@41"), tag("hr@44"), tag("hr@0")])
        await driver.close()
    assert [r.value for r in readings] == [9, None, 7]
    assert readings[1].quality is Quality.BadNodeIdUnknown


@pytest.fixture
def pipelining_server():
    """pyModbusTCP answers pipelined requests, which pymodbus' server does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ModbusServer(host="127.0.0.1", port=port, no_block=True)
    server.start()
    yield server, port
    server.stop()


async def test_pipelined_requests_are_answered_by_an_independent_server(pipelining_server, tag):
    server, port = pipelining_server
    server.data_bank.set_holding_registers(0, list(range(1000)))
    driver = _driver(port, max_in_flight=8, max_gap=0)
    readings = await driver.read([tag(f"hr@{at}") for at in range(0, 1000, 5)])
    await driver.close()
    assert [r.value for r in readings] == list(range(0, 1000, 5))


# -- our simulator, judged by pymodbus' client --------------------------------------------------


@pytest.mark.parametrize(("link", "framer"), [(Link.TCP, FramerType.SOCKET), (Link.RTU_TCP, FramerType.RTU)])
async def test_pymodbus_client_finds_our_simulator_right(link, framer, simulated_device):
    async with serving(simulated_device, link=link) as port:
        client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, retries=0, timeout=1)
        await client.connect()
        registers = await client.read_holding_registers(10, count=125, device_id=1)
        inputs = await client.read_input_registers(0, count=2, device_id=1)
        coils = await client.read_coils(0, count=10, device_id=1)
        discrete = await client.read_discrete_inputs(0, count=4, device_id=1)
        await client.write_register(1, 5, device_id=1)
        await client.write_registers(2, [6, 7], device_id=1)
        await client.write_coil(1, True, device_id=1)  # noqa: FBT003 (pymodbus' signature)
        await client.write_coils(4, [True, True], device_id=1)
        await client.mask_write_register(address=1, and_mask=0xFFFD, or_mask=0x0002, device_id=1)
        hole = await client.read_holding_registers(290, count=20, device_id=1)
        identity = await client.read_device_information(read_code=2, object_id=0, device_id=1)
        client.close()
    assert registers.registers == list(range(10, 135))
    assert inputs.registers == [1000, 1001]
    assert coils.bits[:10] == [at % 3 == 0 for at in range(10)]
    assert discrete.bits[:4] == [False, True, False, True]
    assert [simulated_device.get(Table.HOLDING_REGISTER, at) for at in (1, 2, 3)] == [7, 6, 7]
    assert [simulated_device.get(Table.COIL, at) for at in (1, 4, 5)] == [1, 1, 1]
    assert (hole.isError(), hole.exception_code) == (True, 2)
    assert identity.information[0] == b"FactoryLM"


async def test_pymodbus_client_reads_the_simulated_pump():
    async with simulate(clock=lambda: 0.0) as simulation:
        port = int(simulation.plant_toml.split("127.0.0.1:")[1].split("?")[0])
        client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=1)
        await client.connect()
        answer = await client.read_holding_registers(0, count=3, device_id=1)
        client.close()
    assert answer.registers == [1200, 1200, 2]


# -- TLS --------------------------------------------------------------------------------------


async def test_tls_with_certificates_on_both_sides(certificates, tag, foreign_server):
    async with foreign_server(sslctx=certificates.server_context()) as port:
        driver = _driver(port, Link.TLS, **certificates.client_options())
        readings = await driver.read([tag("hr@0"), tag("hr@20:REAL")])
        await driver.close()
    assert [r.value for r in readings] == [7, 123456.0]


@pytest.mark.parametrize("missing", ["tls_ca", "tls_cert"])
async def test_tls_without_trust_on_either_side_is_no_connection(missing, certificates, tag, foreign_server):
    options = certificates.client_options()
    if missing == "tls_ca":
        del options["tls_ca"]
    else:
        del options["tls_cert"], options["tls_key"]
    async with foreign_server(sslctx=certificates.server_context()) as port:
        driver = _driver(port, Link.TLS, **options)
        with pytest.raises(NotConnectedError):
            await driver.read([tag("hr@0")])
        await driver.close()


async def test_tls_with_another_devices_certificate_is_refused(certificates, tag, foreign_server):
    async with foreign_server(sslctx=certificates.server_context()) as port:
        driver = _driver(port, Link.TLS, **{**certificates.client_options(), "tls_name": "other.example"})
        with pytest.raises(NotConnectedError, match="TLS"):
            await driver.read([tag("hr@0")])
        await driver.close()


# -- a serial line ----------------------------------------------------------------------------


@pytest.fixture
def serial_bridge() -> Callable[[int], str]:
    """A pseudo terminal joined to a TCP port: the serial line of an RTU device. POSIX only."""
    ends: list[int] = []

    def bridge(port: int) -> str:
        outer, inner = os.openpty()
        link = socket.create_connection(("127.0.0.1", port))
        ends.extend((outer, inner, link.fileno()))
        threading.Thread(target=_pump, args=(lambda: os.read(outer, 512), link.sendall), daemon=True).start()
        threading.Thread(
            target=_pump, args=(lambda: link.recv(512), lambda data: os.write(outer, data)), daemon=True
        ).start()
        links.append(link)
        return os.ttyname(inner)

    links: list[socket.socket] = []
    yield bridge
    for link in links:
        link.shutdown(socket.SHUT_RDWR)
        link.close()
    for end in ends[:2]:
        os.close(end)


def _pump(read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    try:
        while data := read():
            write(data)
    except OSError:
        return


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are POSIX")
async def test_a_serial_line_is_read_and_written(serial_bridge, tag, foreign_server):
    async with foreign_server(framer=FramerType.RTU) as port:
        path = await asyncio.to_thread(serial_bridge, port)
        driver = connect(Device(name="d", url=f"modbus-rtu://{path}?baud=115200&parity=N&unit=1"))
        await driver.write(tag("hr@1"), 99)
        readings = await driver.read([tag("hr@1"), tag("hr@20:REAL"), tag("co@3")])
        await driver.close()
    assert [r.value for r in readings] == [99, 123456.0, False]


async def test_a_serial_port_that_is_not_there_is_told(tag):
    driver = connect(Device(name="d", url="modbus-rtu:///dev/ttyNOT1?unit=1"))
    with pytest.raises(NotConnectedError, match="/dev/ttyNOT1 cannot be opened"):
        await driver.read([tag("hr@1")])
