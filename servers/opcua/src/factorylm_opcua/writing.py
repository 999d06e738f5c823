"""Writes one tag: the node's own type, the value alone, sent once; or by the method the plant file names."""

from dataclasses import dataclass
from typing import Any

from factorylm_schema import (
    BadReplyError,
    BadRequestError,
    DeviceRefusedError,
    DeviceTimeoutError,
    NotConnectedError,
    OutcomeUnknownError,
    Tag,
    Value,
    WriteRefusedError,
)
from factorylm_skill.engineering import to_raw

from factorylm_opcua.address import parse
from factorylm_opcua.datavalue import Sample
from factorylm_opcua.library import NodeId, ua
from factorylm_opcua.method_call import call_request, judge_call, method_of
from factorylm_opcua.nodes import to_node_id
from factorylm_opcua.reading import place_of
from factorylm_opcua.session import Session
from factorylm_opcua.status import name_of, quality_of, words
from factorylm_opcua.values import NAMES, to_write

_CURRENT_WRITE = 0x02  # OPC 10000-3, 8.57: bit 1 of AccessLevel
_ENUMERATION = 29
_LAST_BUILT_IN = 25

# The server gave up waiting for the device behind it: nobody knows whether the device got it
_UNDECIDED = ("BadTimeout", "BadCommunicationError", "BadRequestTimeout", "BadNoCommunication")


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """What a node takes: the built-in type by name, one value or an array, and whether we may write it."""

    node: NodeId
    type_name: str
    is_array: bool
    writable: bool


async def node_type(session: Session, tag: Tag) -> NodeType:
    """The tag's node as the server describes it; asked once per connection."""
    place, node = place_of(session, tag)
    if node is None:
        raise WriteRefusedError(place.problem, hint=place.hint)
    key = ("type", place.text)
    if key not in session.remembered:
        session.remembered[key] = await _asked(session, node)
    found: NodeType = session.remembered[key]
    return found


async def write_tag(session: Session, tag: Tag, value: Value) -> None:
    """Send `value` once; see Driver.write for what it raises."""
    method = method_of(tag)
    if method:
        [result] = await _sent(session, tag, await call_request(session, method, to_raw(tag, value)), ua.CallResponse)
        judge_call(tag, result)
    else:
        target = await node_type(session, tag)
        request = _request(target, encoded(tag, target, value), session)
        [status] = await _sent(session, tag, request, ua.WriteResponse)
        _judge(tag, status.value)


async def _sent(session: Session, tag: Tag, request: Any, answer: Any) -> list[Any]:
    """The one result of a request that is sent once; raises OutcomeUnknownError when nobody knows."""
    if not session.is_open:
        raise NotConnectedError(f"the connection to {session.endpoint.place} is closed; nothing was sent")
    try:
        reply = await session.call(request, answer)
    except (NotConnectedError, DeviceTimeoutError, BadReplyError) as error:
        raise OutcomeUnknownError(
            f"the write to {tag.id} was sent and not answered: {error.message}",
            hint="Read the tag before anything else",
        ) from error
    results: list[Any] = reply.Results
    if len(results) != 1:
        raise OutcomeUnknownError(f"the write to {tag.id} was answered {len(results)} times", hint="Read the tag")
    return results


def encoded(tag: Tag, target: NodeType, value: Value) -> Any:
    """The value as the node's type; raises WriteRefusedError where it does not fit."""
    if parse(tag.address).element:
        raise WriteRefusedError("an element of an array cannot be written safely", hint="Write it at the server")
    if target.is_array:
        raise WriteRefusedError(f"{tag.id} is an array", hint="Only single values are written")
    if not target.writable:
        raise WriteRefusedError(
            f"the server does not let us write {tag.id}", hint="Ask the server's administrator for the right"
        )
    if tag.type and tag.type != target.type_name:
        raise WriteRefusedError(
            f"{tag.id} is of type {target.type_name} now, the plant file says {tag.type}",
            hint="Check the node, then the plant file",
        )
    try:
        return to_write(target.type_name, to_raw(tag, value))
    except BadRequestError as error:
        raise WriteRefusedError(error.message, hint=error.hint) from error


def _request(target: NodeType, value: Any, session: Session) -> Any:
    variant_type = getattr(ua.VariantType, target.type_name)
    if target.type_name == "LocalizedText":
        value = ua.LocalizedText(value)
    # value only: many servers answer BadWriteNotSupported to a status or a time beside it (OPC 10000-4, 5.10.4.2)
    time = session.clock() if session.endpoint.source_timestamps else None
    data = ua.DataValue(ua.Variant(value, variant_type), StatusCode=None, SourceTimestamp=time)
    item = ua.WriteValue(NodeId=target.node, AttributeId=ua.AttributeIds.Value, Value=data)
    return ua.WriteRequest(Parameters=ua.WriteParameters(NodesToWrite=[item]))


def _judge(tag: Tag, status: int) -> None:
    if status >> 30 == 0:
        return
    said, hint = words(status)
    if name_of(status) in _UNDECIDED:
        raise OutcomeUnknownError(f"the write to {tag.id} may have arrived: {said}", hint="Read the tag first")
    quality = quality_of(status)
    raise DeviceRefusedError(
        f"{tag.id} was not written: {said}", hint=hint, quality=quality if quality.is_bad else None
    )


async def _asked(session: Session, node: NodeId) -> NodeType:
    attributes = (
        ua.AttributeIds.Value,
        ua.AttributeIds.DataType,
        ua.AttributeIds.AccessLevel,
        ua.AttributeIds.UserAccessLevel,
    )
    parameters = ua.ReadParameters(
        NodesToRead=[ua.ReadValueId(NodeId=node, AttributeId=attribute) for attribute in attributes]
    )
    value, data_type, access, user_access = await session.read(parameters)
    if data_type.status >> 30:
        said, hint = words(data_type.status)
        raise DeviceRefusedError(f"the node cannot be written: {said}", hint=hint, quality=quality_of(data_type.status))
    type_name = NAMES.get(value.type_id) or await _declared(session, str(data_type.value))
    return NodeType(
        node=node,
        type_name=type_name,
        is_array=isinstance(value.value, list),
        writable=_may_write(access) and _may_write(user_access),
    )


def _may_write(access: Sample) -> bool:
    """An access level the server does not tell forbids nothing; the server decides then."""
    return not isinstance(access.value, int) or bool(access.value & _CURRENT_WRITE)


async def _declared(session: Session, data_type: str) -> str:
    """The built-in type below `data_type`, found by walking up its supertypes."""
    for _ in range(20):
        address = parse(data_type)
        number = address.identifier if address.number == 0 and not address.uri else None
        if number == _ENUMERATION:
            return "Int32"
        if isinstance(number, int) and number <= _LAST_BUILT_IN:
            return NAMES.get(number, "Variant")
        parent = await _supertype(session, to_node_id(address, address.number))
        if parent is None:
            break
        data_type = parent
    return "Variant"


async def _supertype(session: Session, node: NodeId) -> str | None:
    description = ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Inverse,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasSubtype),
        IncludeSubtypes=False,
        NodeClassMask=0,
        ResultMask=0,
    )
    request = ua.BrowseRequest(Parameters=ua.BrowseParameters(NodesToBrowse=[description]))
    reply = await session.call(request, ua.BrowseResponse)
    references = reply.Results[0].References if len(reply.Results) == 1 else []
    return references[0].NodeId.to_string() if references else None
