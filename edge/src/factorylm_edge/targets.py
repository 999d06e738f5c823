"""From an address to the target behind it."""

import asyncio
from dataclasses import dataclass

from factorylm_edge.bus import Bus
from factorylm_edge.forwarder import Target
from factorylm_edge.history import History, TagRecord
from factorylm_edge.outbox import Batch
from factorylm_edge.settings import Forward, Namespace
from factorylm_edge.wire import message


@dataclass
class BusTarget:
    """One message per batch on `factorylm.batches.<gateway>` (forwarder: Target)."""

    bus: Bus
    namespace: Namespace
    prefix: str = "factorylm"

    async def send(self, batch: Batch) -> None:
        """Returns when the bus has stored it."""
        data = message(batch, self.namespace)
        await self.bus.publish(f"{self.prefix}.batches.{batch.gateway}", data, id=batch.id)

    async def close(self) -> None:
        """Let go."""
        await self.bus.close()


@dataclass
class HistoryTarget:
    """Straight into a site's history (forwarder: Target); its numbers make a batch that comes twice harmless."""

    url: str
    tags: list[TagRecord]
    _history: History | None = None

    async def send(self, batch: Batch) -> None:
        """Returns when it is committed there."""
        await asyncio.to_thread(self._append, batch)

    async def close(self) -> None:
        """Let go."""
        if self._history:
            await asyncio.to_thread(self._history.close)

    def _append(self, batch: Batch) -> None:
        if self._history is None:
            from factorylm_edge.postgres_history import PostgresHistory

            self._history = PostgresHistory(self.url)
            self._history.describe(self.tags)
        self._history.append(batch.samples, source=batch.gateway, number=batch.number)


def target_of(forward: Forward, namespace: Namespace, gateway: str, tags: list[TagRecord]) -> Target:
    """The target of one `[[forward]]`; nothing is connected yet."""
    if forward.to.startswith("postgresql://"):
        return HistoryTarget(forward.to, [tag for tag in tags if forward.allows(tag.name)])
    if forward.to.startswith("nats://"):
        from factorylm_edge.nats_bus import NatsBus

        return BusTarget(NatsBus(forward.to), namespace)
    from factorylm_edge.mqtt import MqttLine, MqttTarget

    line = MqttLine(forward.to, f"factorylm-{gateway}-{forward.format}", forward.ca_file)
    if forward.format == "sparkplug":
        from factorylm_edge.sparkplug import SparkplugTarget

        return SparkplugTarget(line, namespace, gateway, [tag for tag in tags if forward.allows(tag.name)])
    return MqttTarget(line, namespace)
