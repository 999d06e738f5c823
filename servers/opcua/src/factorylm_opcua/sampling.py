"""Changes as the server reports them: monitored items behind `sample`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from factorylm_schema import NotConnectedError, Reading, Tag

from factorylm_opcua.datavalue import Sample, decode_sample
from factorylm_opcua.library import ua, ua_binary
from factorylm_opcua.reading import Place, bad_reading, place_of, refused, to_reading_of
from factorylm_opcua.session import Session
from factorylm_opcua.status import quality_of, words
from factorylm_opcua.subscription import subscribed

_MOST_QUEUED = 100


async def samples(session: Session, tags: Sequence[Tag], interval_s: float) -> AsyncGenerator[list[Reading], None]:
    """First why some tags cannot be watched, then every change, until the iterator is closed."""
    places = [place_of(session, tag) for tag in tags]
    watched = [number for number, (_, node) in enumerate(places) if node is not None]
    async with subscribed(session, interval_s) as subscription:
        items = [_item(places[number][1], number, interval_s) for number in watched]
        results = await subscription.monitor(items)
        now = session.clock()
        first = [refused(tag, place, now) for tag, (place, node) in zip(tags, places, strict=True) if node is None]
        first += [
            _unwatched(tags[number], places[number][0], result.StatusCode.value, session)
            for number, result in zip(watched, results, strict=True)
            if not result.StatusCode.is_good()
        ]
        if first:
            yield first
        async for news in subscription.news():
            readings = [_reading(item, tags, places, session) for item in _changes(news, session)]
            if readings:
                yield readings


def sample_of(value: Any) -> Sample:
    """The library's DataValue as ours: through its bytes, so that both ways of reading agree."""
    return decode_sample(ua_binary.struct_to_binary(value))


def _item(node: Any, handle: int, interval_s: float) -> Any:
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    item.MonitoringMode = ua.MonitoringMode.Reporting
    parameters = ua.MonitoringParameters()
    parameters.ClientHandle = handle
    parameters.SamplingInterval = interval_s * 1000
    parameters.QueueSize = _MOST_QUEUED
    parameters.DiscardOldest = True
    item.RequestedParameters = parameters
    return item


def _changes(news: Sequence[Any], session: Session) -> list[Any]:
    changes: list[Any] = []
    for part in news:
        if isinstance(part, ua.DataChangeNotification):
            changes += part.MonitoredItems or []
        elif isinstance(part, ua.StatusChangeNotification):
            said, hint = words(part.Status.value)
            raise NotConnectedError(f"{session.endpoint.place} ended the subscription: {said}", hint=hint)
    return changes


def _reading(item: Any, tags: Sequence[Tag], places: Sequence[tuple[Place, Any]], session: Session) -> Reading:
    if not 0 <= item.ClientHandle < len(tags):
        raise session.misfit(f"a change came for item {item.ClientHandle}, which does not exist")
    tag, (place, _) = tags[item.ClientHandle], places[item.ClientHandle]
    return to_reading_of(tag, place.text, sample_of(item.Value), session.clock())


def _unwatched(tag: Tag, place: Place, status: int, session: Session) -> Reading:
    problem, hint = words(status)
    return bad_reading(tag, quality_of(status), problem, hint, session.clock(), place.text)
