"""MQTT: one connection, whose publications are known to have arrived; plain JSON by topic of the namespace."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from factorylm_schema import MissingPartError

from factorylm_edge.forwarder import SendError
from factorylm_edge.outbox import Batch
from factorylm_edge.settings import Namespace
from factorylm_edge.wire import by_path, message

if TYPE_CHECKING:
    from paho.mqtt.client import Client

_TLS_PORT, _PORT = 8883, 1883
_KEEPALIVE_S = 30


@dataclass(frozen=True)
class Will:
    """What the broker says of us when we are gone."""

    topic: str
    payload: bytes


@dataclass
class MqttLine:
    """paho's network thread behind awaits; any doubt drops the connection, the next call makes a new one."""

    url: str
    client_id: str
    ca_file: str = ""
    timeout_s: float = 5.0
    will: Callable[[], Will | None] = lambda: None
    heard: Callable[[str, bytes], None] = lambda _topic, _payload: None
    _client: "Client | None" = None
    _loop: asyncio.AbstractEventLoop | None = None
    _waiting: dict[int, "asyncio.Future[None]"] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Connected, as far as anybody knows."""
        return self._client is not None and self._client.is_connected()

    async def open(self) -> None:
        """Connect where there is no connection."""
        if self.is_open:
            return
        await self.close()
        self._loop = asyncio.get_running_loop()
        connected: asyncio.Future[None] = self._loop.create_future()
        self._client = client = self._made(connected)
        parts = urlsplit(self.url)
        tls = parts.scheme == "mqtts"
        try:
            host, port = parts.hostname or "127.0.0.1", parts.port or (_TLS_PORT if tls else _PORT)
            await asyncio.to_thread(client.connect, host, port, _KEEPALIVE_S)
            client.loop_start()
            await asyncio.wait_for(connected, self.timeout_s)
        except (OSError, TimeoutError) as error:
            await self.close()
            raise _lost(self.url, str(error) or "no answer") from error
        except SendError:
            await self.close()
            raise

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """With QoS 1 returns when the broker has acknowledged; with QoS 0 at once."""
        if self._client is None or self._loop is None:
            raise _lost(self.url, "not connected")
        arrived: asyncio.Future[None] = self._loop.create_future()
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if qos == 0:
            return
        self._waiting[info.mid] = arrived
        if info.is_published():
            return
        try:
            await asyncio.wait_for(arrived, self.timeout_s)
        except TimeoutError:
            await self.close()
            raise _lost(self.url, f"the broker did not acknowledge within {self.timeout_s:g} s") from None
        finally:
            self._waiting.pop(info.mid, None)

    def subscribe(self, topic: str) -> None:
        """What comes there goes to `heard`."""
        if self._client:
            self._client.subscribe(topic, qos=1)

    async def close(self) -> None:
        """Drop the connection. Never raises."""
        client, self._client = self._client, None
        if client:
            client.on_disconnect = None
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _made(self, connected: "asyncio.Future[None]") -> "Client":
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise MissingPartError(
                "the MQTT client is not installed", hint="pip install 'factorylm-edge[mqtt]'"
            ) from error
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, reconnect_on_failure=False)
        parts = urlsplit(self.url)
        if parts.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context(cafile=self.ca_file or None))
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if will := self.will():
            client.will_set(will.topic, will.payload, qos=1)
        self._listen(client, connected)
        return client

    def _listen(self, client: "Client", connected: "asyncio.Future[None]") -> None:
        """Called in paho's thread; everything is handed over to ours."""
        loop = asyncio.get_running_loop()

        def on_connect(_c: Any, _u: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            refused = _lost(self.url, f"the broker refused: {reason}") if reason.is_failure else None
            loop.call_soon_threadsafe(_settle, connected, refused)

        def on_publish(_c: Any, _u: Any, mid: int, _reason: Any, _properties: Any) -> None:
            loop.call_soon_threadsafe(self._arrived, mid, None)

        def on_disconnect(_c: Any, _u: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            loop.call_soon_threadsafe(self._dropped, str(reason))

        def on_message(_c: Any, _u: Any, got: Any) -> None:
            loop.call_soon_threadsafe(self.heard, got.topic, got.payload)

        client.on_connect, client.on_publish = on_connect, on_publish
        client.on_disconnect, client.on_message = on_disconnect, on_message

    def _arrived(self, mid: int, error: SendError | None) -> None:
        if waiting := self._waiting.get(mid):
            _settle(waiting, error)

    def _dropped(self, reason: str) -> None:
        for mid in list(self._waiting):
            self._arrived(mid, _lost(self.url, f"the connection ended: {reason}"))


@dataclass
class MqttTarget:
    """One message per device and batch, on the device's topic in the namespace (forwarder: Target)."""

    line: MqttLine
    namespace: Namespace

    async def send(self, batch: Batch) -> None:
        """QoS 1, in order; the parts of a batch have ids of their own: `gateway/topic:number`."""
        await self.line.open()
        for topic, samples in by_path(batch.samples, self.namespace).items():
            part = Batch(
                gateway=f"{batch.gateway}/{topic}", number=batch.number, samples=samples, historical=batch.historical
            )
            await self.line.publish(topic, message(part, self.namespace))

    async def close(self) -> None:
        """Let go."""
        await self.line.close()


def _settle(future: "asyncio.Future[None]", error: SendError | None) -> None:
    if not future.done():
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)


def _lost(url: str, why: str) -> SendError:
    parts = urlsplit(url)
    return SendError(f"{parts.scheme}://{parts.hostname}: {why}", hint="Is the broker up, and are we allowed in?")
