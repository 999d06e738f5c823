"""A subscription for as long as a block lasts: created, asked for news one publish at a time, deleted.

asyncua's own subscriptions run in the background, retry for ever and drop what the reader is too slow for;
here the reader pulls, and a silence is an error.
"""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from factorylm_schema import DeviceError

from factorylm_opcua.library import ua
from factorylm_opcua.plan import batches
from factorylm_opcua.session import Session

_KEEP_ALIVE_S = 2.0


@dataclass(frozen=True)
class Subscription:
    """An open subscription; the server says at least that it lives every `quiet_s`."""

    session: Session
    id: int
    quiet_s: float

    async def monitor(self, items: Sequence[Any]) -> list[Any]:
        """One MonitoredItemCreateResult per item, in order."""
        results: list[Any] = []
        for part in batches(items, self.session.limits.monitored_items):
            request = ua.CreateMonitoredItemsRequest()
            request.Parameters.SubscriptionId = self.id
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
            request.Parameters.ItemsToCreate = list(part)
            reply = await self.session.call(request, ua.CreateMonitoredItemsResponse)
            if len(reply.Results) != len(part):
                raise self.session.misfit(f"{len(reply.Results)} items were made for {len(part)} asked")
            results += reply.Results
        return results

    async def news(self) -> AsyncIterator[list[Any]]:
        """The notifications of each publish; empty where the server only says that it lives."""
        acknowledged: list[Any] = []
        while True:
            request = ua.PublishRequest()
            request.Parameters.SubscriptionAcknowledgements = acknowledged
            timeout_s = self.quiet_s + self.session.endpoint.timeout_s
            reply = await self.session.call(request, ua.PublishResponse, timeout_s=timeout_s)
            message = reply.Parameters.NotificationMessage
            news = message.NotificationData or []
            acknowledged = []
            if news:
                acknowledged = [
                    ua.SubscriptionAcknowledgement(
                        SubscriptionId=reply.Parameters.SubscriptionId, SequenceNumber=message.SequenceNumber
                    )
                ]
            if reply.Parameters.SubscriptionId == self.id:
                yield news


@asynccontextmanager
async def subscribed(session: Session, interval_s: float) -> AsyncIterator[Subscription]:
    """A subscription that publishes every `interval_s`."""
    request = ua.CreateSubscriptionRequest()
    parameters = request.Parameters
    parameters.RequestedPublishingInterval = interval_s * 1000
    parameters.RequestedMaxKeepAliveCount = max(1, math.ceil(_KEEP_ALIVE_S / interval_s))
    # OPC 10000-4, 5.13.2.2: at least three times the keep-alive count; an orphan ends by itself soon
    parameters.RequestedLifetimeCount = max(10, 5 * parameters.RequestedMaxKeepAliveCount)
    parameters.MaxNotificationsPerPublish = 0
    parameters.PublishingEnabled = True
    parameters.Priority = 0
    reply = (await session.call(request, ua.CreateSubscriptionResponse)).Parameters
    quiet_s = reply.RevisedMaxKeepAliveCount * reply.RevisedPublishingInterval / 1000
    try:
        yield Subscription(session, reply.SubscriptionId, quiet_s)
    finally:
        await _delete(session, reply.SubscriptionId)


async def _delete(session: Session, number: int) -> None:
    """Best effort: a lost connection has taken the subscription with it, or it ends by itself."""
    if not session.is_open:
        return
    request = ua.DeleteSubscriptionsRequest()
    request.Parameters.SubscriptionIds = [number]
    try:
        await session.call(request, ua.DeleteSubscriptionsResponse)
    except DeviceError:
        session.drop()
