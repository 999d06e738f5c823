"""Sparkplug B 3.0: births, deaths, data with the historical flag; the gateway is the edge node, devices are devices.

Sparkplug asks for QoS 0 on data, which nobody acknowledges. So each batch is followed by one small message with
QoS 1 on the same connection: a broker takes packets in order (MQTT 3.1.1, 4.6), so its acknowledgement says that
the data before it arrived.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from factorylm_schema import Value

from factorylm_edge.history import TagRecord
from factorylm_edge.mqtt import MqttLine, Will
from factorylm_edge.outbox import Batch
from factorylm_edge.sample import Sample
from factorylm_edge.settings import Namespace
from factorylm_edge.sparkplug_payload import Metric, metric_type, payload

_REBIRTH = "Node Control/Rebirth"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class SparkplugTarget:
    """One edge node (forwarder: Target)."""

    line: MqttLine
    namespace: Namespace
    gateway: str
    tags: Sequence[TagRecord]
    _known: dict[str, dict[str, Metric]] = field(default_factory=dict)
    _born: bool = False
    _seq: int = 0
    _births: int = -1

    def __post_init__(self) -> None:
        self.line.will = self._death
        self.line.heard = self._heard

    async def send(self, batch: Batch) -> None:
        """Births where they are needed, then the data, then the message whose acknowledgement counts."""
        if not self.line.is_open:
            self._born = False
        fresh = self._learn(batch.samples)
        if not self._born:
            await self._bear()
        else:
            for device in fresh:
                await self._bear_device(device)
        for device, metrics in _by_device(batch).items():
            await self._publish("DDATA", device, metrics, uuid=batch.id)
        await self.line.publish(f"factorylm/{self.gateway}/sent", str(batch.number).encode())

    async def close(self) -> None:
        """Let go; the broker tells our death."""
        await self.line.close()

    def _topic(self, kind: str, device: str = "") -> str:
        group = (self.namespace.root or "factorylm").replace("/", ":")
        return "/".join(part for part in ("spBv1.0", group, kind, self.gateway, device) if part)

    def _death(self) -> Will:
        """Each connection has the next number, and its birth names the same."""
        self._births = (self._births + 1) % 256
        return Will(self._topic("NDEATH"), payload([self._birth_number()], _now_ms(), seq=None))

    def _birth_number(self) -> Metric:
        return Metric(name="bdSeq", value=self._births, time_ms=_now_ms())

    def _heard(self, topic: str, _data: bytes) -> None:
        # the one command a node must obey; anything sent there asks for all births again
        if topic == self._topic("NCMD"):
            self._born = False

    async def _bear(self) -> None:
        await self.line.open()
        self.line.subscribe(self._topic("NCMD"))
        self._seq = 0
        metrics = [self._birth_number(), Metric(name=_REBIRTH, value=False, time_ms=_now_ms())]
        await self.line.publish(self._topic("NBIRTH"), payload(metrics, _now_ms(), seq=self._next_seq()), qos=0)
        for device in self._known:
            await self._bear_device(device)
        self._born = True

    async def _bear_device(self, device: str) -> None:
        await self._publish("DBIRTH", device, list(self._known[device].values()))

    async def _publish(self, kind: str, device: str, metrics: Sequence[Metric], uuid: str = "") -> None:
        data = payload(metrics, _now_ms(), seq=self._next_seq(), uuid=uuid)
        await self.line.publish(self._topic(kind, device), data, qos=0)

    def _next_seq(self) -> int:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        return seq

    def _learn(self, samples: Sequence[Sample]) -> list[str]:
        """Keep each tag's last value for births; the devices with a tag or type that was not in one yet."""
        fresh: dict[str, None] = {}
        for sample in samples:
            device, name = _names(sample.tag)
            known = self._known.setdefault(device, {})
            before = known.get(name)
            metric = _metric(sample)
            if before is None or (sample.value is not None and metric_type(metric.value) != metric_type(before.value)):
                fresh[device] = None
            known[name] = metric
        return list(fresh)


def _by_device(batch: Batch) -> dict[str, list[Metric]]:
    found: dict[str, list[Metric]] = {}
    for sample in batch.samples:
        found.setdefault(_names(sample.tag)[0], []).append(_metric(sample, historical=batch.historical))
    return found


def _names(tag: str) -> tuple[str, str]:
    device, _, name = tag.partition(".")
    return device, name or device


def _metric(sample: Sample, *, historical: bool = False) -> Metric:
    value: Value | None = sample.value
    return Metric(
        name=_names(sample.tag)[1],
        value=value,
        time_ms=sample.time_us // 1000,
        historical=historical,
        good=sample.is_good,
    )
