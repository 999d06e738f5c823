"""What the server has kept of a tag: raw values, page by page, bounds and bad values told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from factorylm_schema import BadRequestError, DeviceError, Reading, Tag

from factorylm_opcua.failures import RefusedError
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.reading import place_of, to_reading_of
from factorylm_opcua.sampling import sample_of
from factorylm_opcua.session import Session, read_parameters

_HISTORY_READ = 0x04  # OPC 10000-3, 8.57: bit 2 of AccessLevel
_NO_DATA = frozenset({ua.StatusCodes.GoodNoData, ua.StatusCodes.GoodMoreData, 0})
_BOUNDS = frozenset({ua.StatusCodes.BadBoundNotFound, ua.StatusCodes.BadBoundNotSupported, ua.StatusCodes.BadNoData})


@dataclass(frozen=True)
class History:
    """Readings oldest first; `more` says that the server has further ones in the same span."""

    readings: list[Reading]
    more: bool


async def read_history(session: Session, tag: Tag, start: datetime, end: datetime, limit: int) -> History:
    """At most `limit` values of `tag` from `start` to `end`."""
    place, node = place_of(session, tag)
    if node is None:
        raise BadRequestError(place.problem, hint=place.hint)
    values: list[Any] = []
    point: bytes | None = None
    while True:
        # one more than wanted tells whether there is more, also where a server cuts without saying so
        found, point = await _page(session, node, start, end, limit + 1 - len(values), point)
        values += found
        if not point or len(values) > limit:
            break
    if point:
        await _release(session, node, point)
    if not values and not await _is_kept(session, node):
        raise BadRequestError(
            f"the server keeps no history of {tag.id}", hint="Sample it instead, or ask for it to be historized"
        )
    now = session.clock()
    readings = [to_reading_of(tag, place.text, sample_of(value), now) for value in values[:limit]]
    return History(readings=readings, more=bool(point) or len(values) > limit)


async def _page(
    session: Session, node: NodeId, start: datetime, end: datetime, most: int, point: bytes | None
) -> tuple[list[Any], bytes | None]:
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified = False
    details.StartTime = start
    details.EndTime = end
    details.NumValuesPerNode = most
    details.ReturnBounds = False
    result = await _asked(session, details, node, point, release=False)
    if result.StatusCode.value not in _NO_DATA and not result.StatusCode.is_good():
        raise RefusedError(result.StatusCode.value, "History read")
    data = result.HistoryData
    values = getattr(data, "DataValues", None) or []
    return _without_bounds(values), result.ContinuationPoint or None


def _without_bounds(values: Sequence[Any]) -> list[Any]:
    """A server may begin or end with 'no bound here' although none was asked for."""
    return [value for value in values if value.StatusCode is None or value.StatusCode.value not in _BOUNDS]


async def _is_kept(session: Session, node: NodeId) -> bool:
    """Some servers answer an empty history where they keep none; the access level tells."""
    [access] = await session.read(read_parameters([node], ua.AttributeIds.AccessLevel))
    return not isinstance(access.value, int) or bool(access.value & _HISTORY_READ)


async def _release(session: Session, node: NodeId, point: bytes) -> None:
    """Let the server forget where we were; it would keep it until the session ends."""
    try:
        await _asked(session, ua.ReadRawModifiedDetails(), node, point, release=True)
    except RefusedError:
        return
    except DeviceError:
        session.drop()


async def _asked(session: Session, details: Any, node: NodeId, point: bytes | None, *, release: bool) -> Any:
    wanted = ua.HistoryReadValueId()
    wanted.NodeId = node
    wanted.ContinuationPoint = point
    request = ua.HistoryReadRequest()
    request.Parameters.HistoryReadDetails = details
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
    request.Parameters.ReleaseContinuationPoints = release
    request.Parameters.NodesToRead = [wanted]
    reply = await session.call(request, ua.HistoryReadResponse)
    if len(reply.Results) != 1:
        raise session.misfit(f"{len(reply.Results)} histories came back for 1 asked")
    return reply.Results[0]
