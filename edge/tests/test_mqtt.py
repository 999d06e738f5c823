"""MQTT against a real broker: plain JSON and Sparkplug B."""

import asyncio
import secrets
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from factorylm_edge.forwarder import SendError
from factorylm_edge.mqtt import MqttLine, MqttTarget
from factorylm_edge.outbox import Batch
from factorylm_edge.sample import SECOND, Sample
from factorylm_edge.settings import Namespace
from factorylm_edge.sparkplug import SparkplugTarget
from factorylm_edge.wire import batch_of
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

BEGIN_US = 1_767_225_600 * SECOND


class Listener:
    """Another client on the broker; keeps what comes, in order."""

    def __init__(self, url: str, topic: str) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.subscribed = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{secrets.token_hex(4)}")
        self.client.on_message = lambda _c, _u, m: self.got.append((m.topic, m.payload))
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect("127.0.0.1", int(url.rpartition(":")[2]))
        self.client.subscribe(topic, qos=1)
        self.client.loop_start()
        assert self.subscribed.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def root() -> str:
    return f"test{secrets.token_hex(6)}"


@pytest.fixture
def listener(mqtt_url: str, root: str, request: pytest.FixtureRequest) -> Iterator[Listener]:
    topic = f"spBv1.0/{root}/#" if "sparkplug" in request.node.name else f"{root}/#"
    found = Listener(mqtt_url, topic)
    yield found
    found.close()


async def test_a_batch_is_one_message_for_each_device_on_its_place_in_the_plant(mqtt_url, root, listener, until):
    names = Namespace(root=root, devices={"a": "water/line1"})
    target = MqttTarget(MqttLine(mqtt_url, f"gw-{root}"), names)
    samples = [Sample("a.x", BEGIN_US, 1.0), Sample("b.y", BEGIN_US, "läuft"), Sample("a.z", BEGIN_US, value=True)]
    for number in (1, 2):
        await target.send(Batch(gateway="gw", number=number, samples=samples, historical=True))
    await until(lambda: len(listener.got) == 4)
    await target.close()
    assert [topic for topic, _ in listener.got] == [f"{root}/water/line1/a", f"{root}/b"] * 2
    first, second = (batch_of(data) for _, data in listener.got[:2])
    assert (first.id, first.samples, first.historical) == (f"gw/{root}/water/line1/a:1", [samples[0], samples[2]], True)
    assert second.samples == [samples[1]]


async def test_a_broker_that_accepts_and_never_answers_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        line = MqttLine(f"mqtt://127.0.0.1:{mute.getsockname()[1]}", "gw", timeout_s=0.2)
        with pytest.raises(SendError, match="no answer"):
            await MqttTarget(line, Namespace()).send(Batch(gateway="g", number=1, samples=[Sample("a.x", 0, 1)]))


async def test_a_broker_that_never_acknowledges_is_given_up_in_time():
    """It welcomes everybody (CONNACK) and then only listens."""

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x02\x00\x00")
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    line = MqttLine(f"mqtt://127.0.0.1:{port}", "gw", timeout_s=0.3)
    with pytest.raises(SendError, match="did not acknowledge"):
        await MqttTarget(line, Namespace()).send(Batch(gateway="g", number=1, samples=[Sample("a.x", 0, 1)]))
    assert not line.is_open
    server.close()


async def test_a_broker_that_is_not_there_is_said_so():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SendError, match="refused"):
        await MqttLine(f"mqtt://127.0.0.1:{port}", "gw").open()


# -- Sparkplug ----------------------------------------------------------------------------------


def fields(data: bytes) -> dict[int, list]:
    """Any protocol buffers message, by field number."""
    found: dict[int, list] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value: object = varint()
        elif key & 7 == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        else:
            size = varint()
            value, at = data[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def metrics(data: bytes) -> dict[str, dict[int, list]]:
    return {m[1][0].decode(): m for m in map(fields, fields(data).get(2, []))}


async def test_sparkplug_a_node_is_born_before_its_data_and_again_when_asked(mqtt_url, root, listener, until):
    target = SparkplugTarget(MqttLine(mqtt_url, f"gw-{root}"), Namespace(root=root), "gw1", [])
    values = [Sample("d.f", BEGIN_US, 1.5), Sample("d.n", BEGIN_US, -3), Sample("d.b", BEGIN_US, value=True)]
    await target.send(Batch(gateway="gw1", number=1, samples=values))
    lost = [Sample("d.t", BEGIN_US + SECOND, "on"), Sample("d.f", BEGIN_US + SECOND, 1.5, 0x408F0000)]
    await target.send(Batch(gateway="gw1", number=2, samples=lost, historical=True))
    await until(lambda: len(listener.got) == 5)
    kinds = [topic.split("/")[2] for topic, _ in listener.got]
    assert kinds == ["NBIRTH", "DBIRTH", "DDATA", "DBIRTH", "DDATA"]
    assert [fields(data)[3][0] for _, data in listener.got] == [0, 1, 2, 3, 4]
    birth, device, data, again, late = (payload for _, payload in listener.got)
    assert set(metrics(birth)) == {"bdSeq", "Node Control/Rebirth"}
    assert {name: m[4] for name, m in metrics(device).items()} == {"f": [10], "n": [4], "b": [11]}
    assert metrics(data)["f"][13] == [1.5]
    assert metrics(data)["n"][11] == [2**64 - 3]
    assert (5 in metrics(data)["f"], metrics(late)["t"][5], metrics(late)["t"][15]) == (False, [1], [b"on"])
    assert (9 in metrics(late)["t"], 9 in metrics(late)["f"]) == (False, True)  # a quality only where it is not good
    assert fields(late)[4] == [b"gw1:2"]
    assert set(metrics(again)) == {"f", "n", "b", "t"}
    listener.client.publish(f"spBv1.0/{root}/NCMD/gw1", b"", qos=1)
    await until(lambda: not target._born)
    await target.send(Batch(gateway="gw1", number=3, samples=values))
    await until(lambda: len(listener.got) == 9)
    assert [topic.split("/")[2] for topic, _ in listener.got[5:]] == ["NCMD", "NBIRTH", "DBIRTH", "DDATA"]
    await target.close()


async def test_sparkplug_the_broker_tells_the_death_with_the_number_of_the_birth(mqtt_url, root, listener, until):
    line = MqttLine(mqtt_url, f"gw-{root}")
    target = SparkplugTarget(line, Namespace(root=root), "gw1", [])
    await target.send(Batch(gateway="gw1", number=1, samples=[Sample("d.f", BEGIN_US, 1.5)]))
    await until(lambda: len(listener.got) == 3)
    line._client.socket().shutdown(socket.SHUT_RDWR)  # as a pulled cable, without a farewell
    await until(lambda: len(listener.got) == 4)
    birth, death = listener.got[0], listener.got[3]
    assert death[0] == f"spBv1.0/{root}/NDEATH/gw1"
    assert metrics(death[1])["bdSeq"][11] == metrics(birth[1])["bdSeq"][11]
    await target.close()
