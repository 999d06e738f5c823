"""The alarms that stand now: subscribe to the server's events, ask it to repeat the standing ones, stop.

After OPC 10000-9, 5.5.7: a refresh is framed by RefreshStart and RefreshEnd events. Nothing is acknowledged.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from factorylm_schema import AlarmEvent

from factorylm_opcua.failures import RefusedError
from factorylm_opcua.library import ua
from factorylm_opcua.session import Session
from factorylm_opcua.subscription import Subscription, subscribed

_IDS = ua.ObjectIds
_EVERY_S = 0.1

# Field: the type that declares it, and its path there (OPC 10000-9, 5.5.2 and 5.8.2)
_FIELDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "EventId": (_IDS.BaseEventType, ("EventId",)),
    "EventType": (_IDS.BaseEventType, ("EventType",)),
    "SourceName": (_IDS.BaseEventType, ("SourceName",)),
    "Time": (_IDS.BaseEventType, ("Time",)),
    "Message": (_IDS.BaseEventType, ("Message",)),
    "Severity": (_IDS.BaseEventType, ("Severity",)),
    "ConditionId": (_IDS.ConditionType, ()),
    "ConditionName": (_IDS.ConditionType, ("ConditionName",)),
    "BranchId": (_IDS.ConditionType, ("BranchId",)),
    "Retain": (_IDS.ConditionType, ("Retain",)),
    "Enabled": (_IDS.ConditionType, ("EnabledState", "Id")),
    "Acked": (_IDS.AcknowledgeableConditionType, ("AckedState", "Id")),
    "Confirmed": (_IDS.AcknowledgeableConditionType, ("ConfirmedState", "Id")),
    "Active": (_IDS.AlarmConditionType, ("ActiveState", "Id")),
    "Suppressed": (_IDS.AlarmConditionType, ("SuppressedState", "Id")),
    "OutOfService": (_IDS.AlarmConditionType, ("OutOfServiceState", "Id")),
    "Shelving": (_IDS.AlarmConditionType, ("ShelvingState", "CurrentState", "Id")),
}

_REFRESH_END = ua.NodeId(_IDS.RefreshEndEventType)
_UNSHELVED = ua.NodeId(_IDS.ShelvedStateMachineType_Unshelved)


@dataclass(frozen=True)
class AlarmList:
    """Standing alarms, most severe first. `complete` is false where the server cannot repeat them."""

    alarms: list[AlarmEvent]
    complete: bool
    more: bool


async def list_alarms(session: Session, limit: int) -> AlarmList:
    """At most `limit` alarms that are active or wait for an acknowledgement."""
    standing: dict[tuple[str, str], AlarmEvent] = {}
    async with subscribed(session, _EVERY_S) as subscription:
        [made] = await subscription.monitor([_item()])
        if not made.StatusCode.is_good():
            raise RefusedError(made.StatusCode.value, "Watching the server's events")
        complete = await _refresh(session, subscription.id)
        try:
            async with asyncio.timeout(session.endpoint.timeout_s / 2):
                await _gather(subscription, standing)
        except TimeoutError:
            complete = False
    found = sorted(standing.values(), key=lambda alarm: (-alarm.severity, alarm.source, alarm.name))
    return AlarmList(alarms=found[:limit], complete=complete, more=len(found) > limit)


async def _refresh(session: Session, subscription: int) -> bool:
    """Ask for all standing conditions again; False where the server has no such method."""
    method = ua.CallMethodRequest()
    method.ObjectId = ua.NodeId(_IDS.ConditionType)
    method.MethodId = ua.NodeId(_IDS.ConditionType_ConditionRefresh)
    method.InputArguments = [ua.Variant(subscription, ua.VariantType.UInt32)]
    request = ua.CallRequest()
    request.Parameters.MethodsToCall = [method]
    try:
        reply = await session.call(request, ua.CallResponse)
    except RefusedError:
        return False
    return len(reply.Results) == 1 and reply.Results[0].StatusCode.is_good()


async def _gather(subscription: Subscription, standing: dict[tuple[str, str], AlarmEvent]) -> None:
    async for news in subscription.news():
        for part in news:
            if not isinstance(part, ua.EventNotificationList):
                continue
            for event in part.Events or []:
                fields = dict(zip(_FIELDS, (field.Value for field in event.EventFields), strict=False))
                if fields.get("EventType") == _REFRESH_END:
                    return
                _note(fields, standing)


def _note(fields: dict[str, Any], standing: dict[tuple[str, str], AlarmEvent]) -> None:
    condition = fields.get("ConditionId")
    if condition is None or fields.get("ConditionName") is None:
        return  # an event, not a condition
    key = (str(condition), str(fields.get("BranchId")))
    if fields.get("Retain"):
        standing[key] = to_alarm(fields)
    else:
        standing.pop(key, None)


def to_alarm(fields: dict[str, Any]) -> AlarmEvent:
    """One condition's event in the shared words; what the server leaves out counts as normal."""
    severity = fields.get("Severity")
    shelving = fields.get("Shelving")
    event_id = fields.get("EventId")
    return AlarmEvent(
        time=_time(fields.get("Time")),
        source=str(fields.get("SourceName") or ""),
        name=str(fields.get("ConditionName") or ""),
        text=str(getattr(fields.get("Message"), "Text", None) or ""),
        severity=min(1000, max(1, severity)) if isinstance(severity, int) else 500,
        active=bool(fields.get("Active")),
        acknowledged=fields.get("Acked") is not False,
        confirmed=fields.get("Confirmed") is not False,
        shelved=shelving is not None and shelving != _UNSHELVED,
        suppressed=bool(fields.get("Suppressed")),
        out_of_service=bool(fields.get("OutOfService")),
        retain=True,
        event_id=event_id.hex() if isinstance(event_id, bytes) else "",
    )


def _time(value: Any) -> datetime:
    if not isinstance(value, datetime):
        return datetime.now(UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _item() -> Any:
    events = ua.EventFilter()
    events.SelectClauses = [_clause(declared_by, path) for declared_by, path in _FIELDS.values()]
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = ua.ReadValueId(NodeId=ua.NodeId(_IDS.Server), AttributeId=ua.AttributeIds.EventNotifier)
    item.MonitoringMode = ua.MonitoringMode.Reporting
    parameters = ua.MonitoringParameters()
    parameters.ClientHandle = 1
    parameters.SamplingInterval = 0
    parameters.QueueSize = 10_000
    parameters.DiscardOldest = True
    parameters.Filter = events
    item.RequestedParameters = parameters
    return item


def _clause(declared_by: int, path: tuple[str, ...]) -> Any:
    clause = ua.SimpleAttributeOperand()
    clause.TypeDefinitionId = ua.NodeId(declared_by)
    clause.BrowsePath = [ua.QualifiedName(name, 0) for name in path]
    clause.AttributeId = ua.AttributeIds.Value if path else ua.AttributeIds.NodeId
    return clause
