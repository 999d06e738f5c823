"""The bus on NATS JetStream: one stream for a site, a durable consumer per reader."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from factorylm_schema import MissingPartError

from factorylm_edge.bus import Message
from factorylm_edge.forwarder import SendError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

_ID_WINDOW_S = 600  # how long JetStream remembers a message's id; longer outages are caught by the store's own numbers


@dataclass
class NatsBus:
    """`stream` holds every subject below `prefix`; made where there is none."""

    url: str
    stream: str = "FACTORYLM"
    prefix: str = "factorylm"
    ack_wait_s: float = 5.0
    timeout_s: float = 5.0
    _client: "Client | None" = None
    _js: "JetStreamContext | None" = None

    async def publish(self, subject: str, data: bytes, *, id: str) -> None:  # noqa: A002
        """Returns when JetStream has stored it."""
        js = await self._jetstream()
        try:
            await js.publish(subject, data, headers={"Nats-Msg-Id": id}, timeout=self.timeout_s)
        except Exception as error:
            raise _told(error, self.url) from error

    async def join(self, subject: str, *, reader: str) -> None:
        """A durable consumer; what is published from now on is kept for it."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        js = await self._jetstream()
        config = ConsumerConfig(
            durable_name=reader,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.NEW,
            ack_wait=self.ack_wait_s,
            # with more than one under way, a later batch would overtake one that comes again, and the store, which
            # takes a gateway's numbers only upwards, would refuse the earlier one: a loss
            max_ack_pending=1,
        )
        try:
            await js.add_consumer(self.stream, config)
        except Exception as error:
            raise _told(error, self.url) from error

    async def read(self, reader: str) -> AsyncIterator[Message]:
        """In order, the next when the one before is acknowledged; what a reader that died had not comes again after
        `ack_wait_s`."""
        js = await self._jetstream()
        subscription = await js.pull_subscribe_bind(reader, self.stream)
        while True:
            try:
                (message,) = await subscription.fetch(1, timeout=1)
            except TimeoutError:  # nothing came; the library raises its own and the builtin one
                continue
            except Exception as error:
                raise _told(error, self.url) from error
            yield Message(message.subject, message.data, partial(self._acknowledge, message))

    async def _acknowledge(self, message: "Msg") -> None:
        try:
            await message.ack_sync(timeout=self.timeout_s)
        except Exception as error:
            raise _told(error, self.url) from error

    async def close(self) -> None:
        """Give the connection back."""
        client, self._client, self._js = self._client, None, None
        if client and not client.is_closed:
            await client.close()

    async def _jetstream(self) -> "JetStreamContext":
        if self._js is None or self._client is None or self._client.is_closed:
            await self.close()
            self._client = await _connected(self.url, self.timeout_s)
            self._js = self._client.jetstream(timeout=self.timeout_s)
            await self._ensure_stream(self._js)
        return self._js

    async def _ensure_stream(self, js: "JetStreamContext") -> None:
        from nats.js.api import StreamConfig
        from nats.js.errors import NotFoundError

        try:
            await js.stream_info(self.stream)
        except NotFoundError:
            config = StreamConfig(name=self.stream, subjects=[f"{self.prefix}.>"], duplicate_window=_ID_WINDOW_S)
            try:
                await js.add_stream(config)
            except Exception as error:
                raise _told(error, self.url) from error
        except Exception as error:
            raise _told(error, self.url) from error


async def _connected(url: str, timeout_s: float) -> "Client":
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise MissingPartError("the NATS client is not installed", hint="pip install 'factorylm-edge[nats]'") from error

    async def silent(_: Exception) -> None:
        return None  # told once by whoever sends

    client = Client()
    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(
                url, connect_timeout=2, max_reconnect_attempts=0, allow_reconnect=False, error_cb=silent
            )
    except Exception as error:
        raise _told(error, url) from error
    return client


def _told(error: Exception, url: str) -> SendError:
    """The one place where the library's errors become ours; a cancellation stays one."""
    said: Any = str(error) or type(error).__name__
    return SendError(f"{url}: {said}", hint="Is the server up, and JetStream on (nats-server -js)?")
